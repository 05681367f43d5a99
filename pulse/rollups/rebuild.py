"""Counting again what loads have touched, and swapping it in.

Always from the requests themselves, a whole quarter at a time, so that a quarter counted twice
is the same quarter. New rows go into the event store under new versions first; one
transaction of PostgreSQL makes them the ones that count and takes the notes away. Killed in
between, the new rows are never believed, and the notes are still there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Final
from uuid import UUID

import structlog
from django.db import connection

from pulse.models import Load, LoadState
from pulse.retention.kinds import Kind
from pulse.rollups.manifest import day_of, day_start
from pulse.store.client import Store
from pulse.store.rolled.cover import joined
from pulse.store.rolled.kinds import DAY, FLAG_BITS, HOUR, QUARTER, flags_of
from pulse.store.rolled.write import (
    count_quarters,
    merge_units,
    overflowing,
    quarters_with_requests,
    remove_versions,
    versions_of,
)
from pulse.tables.retention import RetentionMark
from pulse.tables.rollups import RollupDay, TouchedSpan
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped

log = structlog.get_logger(__name__)

_NOTES: Final = 5_000
_DAYS_AT_ONCE: Final = 2
"""A transaction each: what was counted is of use before all is."""
_CLOSED: Final = 50
"""Days at most that are closed in one transaction; the next minute closes others."""
_FORGET: Final = timedelta(hours=1)
"""Rows of a version that nobody names any more; no reader takes that long."""


def rebuild_touched(*, store: Store | None = None) -> int:
    """Count every touched quarter that has ended; returns how many were counted.

    Raises ``StoreUnavailable``; what was not counted stays noted.
    """
    with unscoped("rollups: accounts with new events"):
        noted = TouchedSpan.objects.order_by("account_id").values_list("account_id", flat=True)
        ended = RollupDay.objects.filter(whole=0, day__lt=now().date())
        open_days = ended.order_by("account_id").values_list("account_id", flat=True)
        accounts = sorted({*noted.distinct(), *open_days.distinct()})
    return sum(rebuild_account(account_id, store=store) for account_id in accounts)


def rebuild_account(account_id: UUID, *, store: Store | None = None) -> int:
    """As ``rebuild_touched`` for one account; a few days a transaction."""
    done = 0
    while True:
        counted, more = _some(account_id, store)
        done += counted
        if not more:
            return done


def forget_old_versions(*, store: Store | None = None) -> int:
    """Remove the rows that no manifest names any more; returns how many versions they had."""
    with unscoped("rollups: accounts with rollups"):
        accounts = list(
            RollupDay.objects.order_by("account_id").values_list("account_id").distinct()
        )
    return sum(_forget(account_id, store) for (account_id,) in accounts)


def _forget(account_id: UUID, store: Store | None) -> int:
    latest = _version_at(now() - _FORGET)
    present = {v for v in versions_of(account_id, store=store) if v < latest}
    with unscoped("rollups: versions of an account"):
        days = RollupDay.objects.filter(account_id=account_id)
        for quarters, hours, whole in days.values_list("quarters", "hours", "whole"):
            present.difference_update((*quarters, *hours, whole))
    if present:
        remove_versions(account_id, sorted(present), store=store)
    return len(present)


def _some(account_id: UUID, store: Store | None) -> tuple[int, bool]:
    """Count some touched days; how many quarters, and whether notes are left to be counted."""
    ended = int(now().timestamp()) // QUARTER * QUARTER
    with unscoped("rollups: count an account's quarters"):
        wait_for_rebuild(account_id)
        notes = _notes(account_id, ended)
        touched = _touched(account_id, notes, ended, store)
        days = [(day, list(group)) for day, group in groupby(touched, day_of)]
        chosen, left = days[:_DAYS_AT_ONCE], days[_DAYS_AT_ONCE:]
        for day, quarters in chosen:
            _count_day(account_id, day, quarters, store)
        # Notes before this moment are dealt with; quarters behind it still wait.
        _settle(notes, day_start(left[0][0]) if left else ended)
        if not left:
            _close_days(account_id, day_of(ended), store)
    return sum(len(quarters) for _, quarters in chosen), bool(left) or len(notes) == _NOTES


def _touched(
    account_id: UUID, notes: list[TouchedSpan], ended: int, store: Store | None
) -> list[int]:
    """Quarters under the notes that have requests, or had some when they were counted."""
    gone = RetentionMark.objects.filter(account_id=account_id, kind=Kind.REQUESTS)
    floor = max((_seconds(mark.through) for mark in gone), default=0)
    # What came behind its retention changes nothing: those quarters stay as they were counted.
    spans = joined(
        [
            (max(_seconds(note.since), floor), min(_seconds(note.until), ended))
            for note in notes
            if _seconds(note.until) > floor
        ]
    )
    if not spans:
        return []
    found = set(quarters_with_requests(account_id, spans, store=store))
    known = RollupDay.objects.filter(
        account_id=account_id, day__gte=day_of(spans[0][0]), day__lte=day_of(spans[-1][1])
    )
    for day, quarters in known.values_list("day", "quarters"):
        starts = (day_start(day) + place * QUARTER for place, v in enumerate(quarters) if v)
        found.update(s for s in starts if any(low <= s < high for low, high in spans))
    return sorted(found)


def _notes(account_id: UUID, ended: int) -> list[TouchedSpan]:
    """Those of loads whose rows are in the store, with a quarter that has ended."""
    pending = Load.objects.filter(state=LoadState.PENDING).values("id")
    notes = TouchedSpan.objects.filter(account_id=account_id, since__lt=_moment(ended))
    return list(notes.exclude(load_id__in=pending).order_by("since", "id")[:_NOTES])


def _settle(notes: list[TouchedSpan], through: int) -> None:
    gone = [note.id for note in notes if _seconds(note.until) <= through]
    TouchedSpan.objects.filter(id__in=gone).delete()
    cut = [note for note in notes if _seconds(note.until) > through]
    rest = [note for note in cut if _seconds(note.since) < through]
    for note in rest:
        note.since = _moment(through)
    TouchedSpan.objects.bulk_update(rest, ["since"], batch_size=500)


def _count_day(account_id: UUID, day: date, quarters: list[int], store: Store | None) -> None:
    row = RollupDay.objects.filter(account_id=account_id, day=day).first() or RollupDay(
        account_id=account_id, day=day, quarters=[0] * 96, hours=[0] * 24, whole=0
    )
    fresh = _versions()
    flags = overflowing(account_id, quarters, store=store)
    versions = {quarter: next(fresh) | flag for quarter, flag in sorted(flags.items())}
    if versions:
        count_quarters(account_id, versions, store=store)
    for quarter in quarters:
        place = (quarter - day_start(day)) // QUARTER
        row.quarters[place] = versions.get(quarter, 0)
        row.hours[place // 4] = 0
    _merge(row, fresh, store)
    row.save()


def _close_days(account_id: UUID, today: date, store: Store | None) -> None:
    """Days that have ended since they were counted last."""
    for row in RollupDay.objects.filter(account_id=account_id, whole=0, day__lt=today)[:_CLOSED]:
        _merge(row, _versions(), store)
        row.save()


def _merge(row: RollupDay, fresh: Iterator[int], store: Store | None) -> None:
    """Hours that have ended from their quarters, and then the day, where any is missing."""
    start, ended = day_start(row.day), int(now().timestamp())
    parts = {hour: _parts(row, hour) for hour in range(24)}
    due = {
        hour: next(fresh) | _flags(found)
        for hour, found in parts.items()
        if found and not row.hours[hour] and start + (hour + 1) * HOUR <= ended
    }
    if due:
        versions = {start + hour * HOUR: version for hour, version in due.items()}
        below = [version for hour in due for version in parts[hour]]
        merge_units(row.account_id, QUARTER, HOUR, below, versions, store=store)
    for hour, version in due.items():
        row.hours[hour] = version
    row.whole = 0
    hours = [version for version in row.hours if version]
    if start + DAY <= ended and hours:
        row.whole = next(fresh) | _flags(hours)
        merge_units(row.account_id, HOUR, DAY, hours, {start: row.whole}, store=store)


def _parts(row: RollupDay, hour: int) -> list[int]:
    return [version for version in row.quarters[hour * 4 : hour * 4 + 4] if version]


def _flags(versions: Iterable[int]) -> int:
    """What one part lacks, the whole lacks."""
    found = 0
    for version in versions:
        found |= flags_of(version)
    return found


def _versions() -> Iterator[int]:
    """Numbers that no version of the account has had: it is counted by one at a time."""
    number = time.time_ns() // 1_000
    while True:
        number += 1
        yield number << FLAG_BITS


def _version_at(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6) << FLAG_BITS


def wait_for_rebuild(account_id: UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"rollups {account_id}"]
        )


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


__all__ = ["forget_old_versions", "rebuild_account", "rebuild_touched"]
