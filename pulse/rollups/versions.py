"""The numbers under which rollups stand in the event store; removing those nobody names."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from pulse.store.client import Store
from pulse.store.rolled.kinds import FLAG_BITS, flags_of
from pulse.store.rolled.write import remove_versions, versions_of
from pulse.tables.rollups import RollupDay
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped

FORGET: Final = timedelta(hours=3)
"""Rows of a version that nobody names: no reader takes that long, and nobody who counts."""


def fresh_versions() -> Iterator[int]:
    """Numbers that no version of the account has had, with no flag."""
    number = time.time_ns() // 1_000
    while True:
        number += 1
        yield number << FLAG_BITS


def flags_in(versions: Iterable[int]) -> int:
    """What one part lacks, the whole lacks."""
    found = 0
    for version in versions:
        found |= flags_of(version)
    return found


def forget_old_versions(*, store: Store | None = None) -> int:
    """Remove the rows that no manifest names any more; returns how many versions they had."""
    with unscoped("rollups: accounts with rollups"):
        accounts = list(
            RollupDay.objects.order_by("account_id").values_list("account_id").distinct()
        )
    return sum(_forget(account_id, store) for (account_id,) in accounts)


def _forget(account_id: UUID, store: Store | None) -> int:
    latest = _version_at(now() - FORGET)
    present = {v for v in versions_of(account_id, store=store) if v < latest}
    with unscoped("rollups: versions of an account"):
        days = RollupDay.objects.filter(account_id=account_id)
        for quarters, hours, whole in days.values_list("quarters", "hours", "whole"):
            present.difference_update((*quarters, *hours, whole))
    if present:
        remove_versions(account_id, sorted(present), store=store)
    return len(present)


def _version_at(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6) << FLAG_BITS
