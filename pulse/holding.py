"""What legal holds forbid: asked by whoever erases an account."""

from __future__ import annotations

from uuid import UUID

from pulse.errors import HeldBack
from pulse.tables.retention import LegalHold
from qcloud.kernel.scope import unscoped


def holds_in_force(account_id: UUID) -> int:
    with unscoped("retention: whether a legal hold is in force"):
        return int(LegalHold.objects.filter(account_id=account_id, released_at=None).count())


def refuse_if_held(account_id: UUID) -> None:
    """Raises ``HeldBack``."""
    if found := holds_in_force(account_id):
        raise HeldBack(found)


def objection(account_id: UUID) -> str:
    """Why the account must not be erased; empty: no hold is in force."""
    return HeldBack(found).message if (found := holds_in_force(account_id)) else ""
