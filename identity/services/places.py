"""Where an actor acts, and what it may hand on."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

from identity.models import Account
from qcloud.kernel.errors import Denied, Invalid, NotFound
from qcloud.kernel.permissions import ROLES, Actor, RoleName, missing
from qcloud.kernel.scope import Tier, scoped, unscoped


def acting(actor: Actor) -> AbstractContextManager[Any]:
    """The actor's scope; system mode for the system itself."""
    if actor.scope is not None:
        return scoped(actor.scope)
    if actor.kind != "system":
        raise Denied("Choose the account that you act for.")
    return unscoped("the system acts on an account")


def row_below(actor: Actor, account_id: UUID) -> Account:
    """An account strictly below the actor's own, locked; for the system any but the first.

    Within ``acting``. Raises ``NotFound``.
    """
    below = Account.objects.select_for_update().filter(id=account_id, parent__isnull=False)
    if actor.scope is not None:
        below = below.exclude(id=actor.scope.account_id)
    row: Account | None = below.first()
    if row is None:
        raise NotFound("There is no such account below yours.")
    return row


def role_named(name: str) -> RoleName:
    """Raises ``Invalid``, listing the roles there are."""
    try:
        return RoleName(name)
    except ValueError as error:
        known = ", ".join(role.value for role in RoleName)
        raise Invalid(f"There is no role “{name[:40]}”. Choose one of: {known}.") from error


def require_grantable(actor: Actor, tier: Tier, role: RoleName) -> None:
    """Nobody grants, changes or takes away what they lack."""
    lacking = sorted(missing(actor, ROLES[tier][role]))
    if lacking:
        raise Denied(
            f"The role “{role}” includes “{lacking[0]}”, which you do not have yourself."
            " Ask an owner of the account.",
            lacking=lacking,
        )
