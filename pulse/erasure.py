"""Erasing an account's traffic for good.

Usage hours and frozen usage stay: they hold counts alone, and invoices rest on them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from pulse.errors import ErasureWaits
from pulse.holding import refuse_if_held
from pulse.models import ErasedAccount, Load, LoadState, TouchedHour
from pulse.store.client import Store
from pulse.store.erasure import delete_rows_of, rows_of
from pulse.tables.rollups import RollupDay, TouchedSpan
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped

log = structlog.get_logger(__name__)

_LOADS_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.5


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
    account_id: UUID, *, store: Store | None = None, patience: float = _LOADS_SECONDS
) -> Erased:
    """Remove every event of the account, and take none of it any more.

    The caller has checked who asks, journals it, and has revoked the account's tokens. From
    now on batches of the account that wait in a spool are left out; loads that began earlier
    are waited for, up to ``patience`` seconds. Calling it again is harmless. Raises
    ``HeldBack`` (a legal hold is in force; nothing was changed), ``ErasureWaits`` or
    ``StoreUnavailable``: call it again later.
    """
    refuse_if_held(account_id)
    since = _mark(account_id)
    _wait_for_loads(since, patience)
    before = rows_of(account_id, store=store)
    delete_rows_of(account_id, store=store)
    with unscoped("erasure: notes of an account"):
        for notes in (TouchedHour, TouchedSpan, RollupDay):
            notes.objects.filter(account_id=account_id).delete()
    found = Erased(account_id, before, rows_of(account_id, store=store))
    log.info("account erased", account=str(account_id), before=found.before, after=found.after)
    return found


def _mark(account_id: UUID) -> datetime:
    with unscoped("erasure: no event of this account counts any more"):
        ErasedAccount.objects.get_or_create(account_id=account_id)
    return now()


def _wait_for_loads(since: datetime, patience: float) -> None:
    """A load that was claimed before the mark may still bring rows of the account."""
    deadline = time.monotonic() + patience
    with unscoped("erasure: loads under way"):
        older = list(
            Load.objects.filter(
                state=LoadState.PENDING, created_at__lte=since + timedelta(seconds=1)
            ).values_list("id", flat=True)
        )
    while _pending(older):
        if time.monotonic() > deadline:
            raise ErasureWaits(len(older))
        time.sleep(_LOOK_SECONDS)


def _pending(loads: list[UUID]) -> bool:
    if not loads:
        return False
    with unscoped("erasure: loads under way"):
        return bool(Load.objects.filter(id__in=loads, state=LoadState.PENDING).exists())
