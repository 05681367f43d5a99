"""Erasing an account's traffic for good.

Usage hours and frozen usage stay: they hold counts alone, and invoices rest on them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog

from pulse.claims import wait_for_claims
from pulse.errors import ErasureWaits
from pulse.holding import refuse_if_held
from pulse.models import ErasedAccount, Load, LoadState, TouchedHour
from pulse.rollups.swap import counting
from pulse.store.client import Store
from pulse.store.erasure import delete_rows_of, rollups_under_way, rows_of
from pulse.tables.rollups import RollupDay, TouchedSpan
from qcloud.kernel.scope import unscoped

log = structlog.get_logger(__name__)

_PATIENCE_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.2


@dataclass(frozen=True)
class Erased:
    """Rows of the account in the event store by table, before and after."""

    account_id: UUID
    before: dict[str, int]
    after: dict[str, int]

    @property
    def complete(self) -> bool:
        return not any(self.after.values())


def erase(
    account_id: UUID, *, store: Store | None = None, patience: float = _PATIENCE_SECONDS
) -> Erased:
    """Remove every event of the account, and take none of it any more.

    The caller has checked who asks, journals it, and has revoked the account's tokens. From
    now on batches of the account that wait in a spool are left out; loads and counts of rollups
    that began earlier are waited for, up to ``patience`` seconds. Calling it again is harmless.
    Raises ``HeldBack`` (a legal hold is in force; nothing was changed), ``ErasureWaits`` or
    ``StoreUnavailable``: call it again later.
    """
    refuse_if_held(account_id)
    deadline = time.monotonic() + patience
    _wait_for_loads(_mark(account_id), deadline)
    with _nobody_counting(account_id, deadline):
        _wait_for_rollups(deadline, store)
        before = rows_of(account_id, store=store)
        delete_rows_of(account_id, store=store)
        with unscoped("erasure: notes of an account"):
            for notes in (TouchedHour, TouchedSpan, RollupDay):
                notes.objects.filter(account_id=account_id).delete()
        found = Erased(account_id, before, rows_of(account_id, store=store))
    log.info("account erased", account=str(account_id), before=found.before, after=found.after)
    return found


def _mark(account_id: UUID) -> list[UUID]:
    """From here on no load takes an event of the account; loads that may have one are returned."""
    with unscoped("erasure: no event of this account counts any more"):
        wait_for_claims()
        ErasedAccount.objects.get_or_create(account_id=account_id)
        pending = Load.objects.filter(state=LoadState.PENDING)
        return list(pending.values_list("id", flat=True))


def _wait_for_loads(older: list[UUID], deadline: float) -> None:
    while _pending(older):
        _look_again(
            deadline,
            f"{len(older)} loads that began before the erasure are not in the event store yet:"
            " the loader or the event store is behind or stopped",
        )


def _pending(loads: list[UUID]) -> bool:
    if not loads:
        return False
    with unscoped("erasure: loads under way"):
        return bool(Load.objects.filter(id__in=loads, state=LoadState.PENDING).exists())


@contextmanager
def _nobody_counting(account_id: UUID, deadline: float) -> Iterator[None]:
    """Whoever counts rollups of the account has ended, and nobody begins."""
    while True:
        with counting(account_id) as ours:
            if ours:
                yield
                return
        _look_again(
            deadline, "rollups of the account are still being counted: the event store is behind"
        )


def _wait_for_rollups(deadline: float, store: Store | None) -> None:
    """A statement of a worker that was killed may still write in the engine."""
    before = rollups_under_way(store=store)
    while before & rollups_under_way(store=store):
        _look_again(deadline, "the event store still writes rollups that were begun before")


def _look_again(deadline: float, reason: str) -> None:
    if time.monotonic() > deadline:
        raise ErasureWaits(reason)
    time.sleep(_LOOK_SECONDS)
