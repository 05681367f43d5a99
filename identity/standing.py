"""What an account may do at all: its own state, and that of the accounts above it.

A suspended reseller's customers are suspended with it: they read on, their agents' data is
still taken and counted, nothing is changed. That is not stored with them, so whoever was
active is active again when the reseller is resumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from identity.models import Account, AccountState


@dataclass(frozen=True)
class Standing:
    is_suspended: bool
    is_closing: bool
    is_gone: bool
    """Being erased, or erased: nobody enters."""


def standing_of(path: str) -> Standing:
    """Of the account with this path. In system mode: an account sees nobody above it."""
    states = set(Account.objects.filter(id__in=ids_on(path)).values_list("state", flat=True))
    return Standing(
        is_suspended=AccountState.SUSPENDED in states,
        is_closing=AccountState.CLOSING in states,
        is_gone=bool(states & {AccountState.ERASING, AccountState.CLOSED}),
    )


def ids_on(path: str) -> list[UUID]:
    """The accounts on a path, the topmost first, the account itself last."""
    return [UUID(hex=part) for part in path.strip("/").split("/")]


def path_end(path: str) -> str:
    """The first text behind every path that begins with this one; ``0`` follows ``/``.

    A range of paths is what an index serves.
    """
    return f"{path.removesuffix('/')}0"
