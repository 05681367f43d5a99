"""Counting again what loads have touched, and swapping it in.

Always from the requests themselves, a whole quarter at a time, so that a quarter counted twice
is the same quarter. A few quarters are counted by a few statements, none of them long, under
new versions, while no transaction is open; then one short transaction of PostgreSQL makes
these versions the ones that count and takes the notes away (``swap``). Killed in between, the
new rows are never believed, and the notes are still there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import structlog

from pulse.models import Load, LoadState
from pulse.rollups.manifest import closed_before, day_of, day_start
from pulse.rollups.merging import close_days, ended_days, merge_day
from pulse.rollups.swap import (
    Versions,
    counting,
    read_known,
    swap,
    throw_away,
    wait_for_rebuild,
)
from pulse.rollups.versions import fresh_versions
from pulse.store.client import ClickHouseError, Store
from pulse.store.rolled.cover import joined
from pulse.store.rolled.kinds import QUARTER
from pulse.store.rolled.write import count_quarters, overflowing, requests_by_quarter
from pulse.tables.rollups import RollupDay, TouchedSpan
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped

log = structlog.get_logger(__name__)

_NOTES: Final = 5_000
_REQUESTS_AT_ONCE: Final = 2_000_000
"""Of one portion, so that no statement takes longer than the store lets one take. A quarter
that has more is a portion by itself, counted by the minute."""


def rebuild_touched(*, store: Store | None = None) -> int:
    """Count every touched quarter that has ended; returns how many were counted.

    Raises ``StoreUnavailable``; what was not counted stays noted.
    """
    with unscoped("rollups: accounts with new events"):
        noted = TouchedSpan.objects.order_by("account_id").values_list("account_id", flat=True)
        open_days = ended_days().order_by("account_id").values_list("account_id", flat=True)
        accounts = sorted({*noted.distinct(), *open_days.distinct()})
    return sum(rebuild_account(account_id, store=store) for account_id in accounts)


def rebuild_account(account_id: UUID, *, store: Store | None = None) -> int:
    """As ``rebuild_touched`` for one account; a few quarters a transaction. 0 while somebody
    else counts it.
    """
    with counting(account_id) as ours:
        done, more = 0, ours
        while more:
            counted, more = _some(account_id, store)
            done += counted
        if ours:
            close_days(account_id, store=store)
    return done


@dataclass(frozen=True)
class _Work:
    account_id: UUID
    notes: list[TouchedSpan]
    """Those that are not settled yet."""
    store: Store | None


def _some(account_id: UUID, store: Store | None) -> tuple[int, bool]:
    """Count what some notes touch; how many quarters, and whether notes are left to be looked
    at.
    """
    ended = int(now().timestamp()) // QUARTER * QUARTER
    with unscoped("rollups: what is to be counted"):
        notes, floor = _notes(account_id, ended), closed_before(account_id)
    work, more = _Work(account_id, notes, store), len(notes) == _NOTES
    portions = list(_portions(_touched(work, floor, ended)))
    done = 0
    for place, portion in enumerate(portions):
        following = portions[place + 1] if place + 1 < len(portions) else None
        counted = _count(work, portion, min(following) if following else ended)
        if counted is None:
            # Somebody else counts, or removes: they went on, and the next minute looks again.
            return done, False
        done += counted
        day = day_of(min(portion))
        if following is None or day_of(min(following)) != day:
            merge_day(account_id, day, store=store)
    if not portions:
        with unscoped("rollups: notes of what is not counted"):
            wait_for_rebuild(account_id)
            _settle(notes, ended)
    return done, more and bool(done or not portions)


def _touched(work: _Work, floor: int, ended: int) -> dict[int, int]:
    """Quarters under the notes that have requests, or had some when they were counted, with
    how many they have now; sorted.
    """
    # What came behind its retention changes nothing: those quarters stay as they were counted.
    spans = joined(
        [
            (max(_seconds(note.since), floor), min(_seconds(note.until), ended))
            for note in work.notes
            if _seconds(note.until) > floor
        ]
    )
    if not spans:
        return {}
    found = requests_by_quarter(work.account_id, spans, store=work.store)
    with unscoped("rollups: quarters that were counted"):
        days = RollupDay.objects.filter(
            account_id=work.account_id,
            day__gte=day_of(spans[0][0]),
            day__lte=day_of(spans[-1][1]),
        )
        known = list(days.values_list("day", "quarters"))
    for day, quarters in known:
        starts = (day_start(day) + place * QUARTER for place, v in enumerate(quarters) if v)
        for start in starts:
            if any(low <= start < high for low, high in spans):
                found.setdefault(start, 0)
    return dict(sorted(found.items()))


def _portions(sizes: Mapping[int, int]) -> Iterator[dict[int, int]]:
    """Quarters of one day each, few enough to be counted at once."""
    portion: dict[int, int] = {}
    for start, requests in sizes.items():
        if portion and (
            day_of(start) != day_of(min(portion))
            or sum(portion.values()) + requests > _REQUESTS_AT_ONCE
        ):
            yield portion
            portion = {}
        portion[start] = requests
    if portion:
        yield portion


def _count(work: _Work, portion: Mapping[int, int], through: int) -> int | None:
    """Count the portion and settle the notes through that moment; how many quarters, ``None``:
    it was in vain.
    """
    day = day_of(min(portion))
    before = read_known(work.account_id, day)
    try:
        versions = _counted(work.account_id, portion, work.store)
    except ClickHouseError as error:
        return _one_by_one(work, portion, through, error)
    quarters, hours = list(before.quarters), list(before.hours)
    for start in portion:
        place = (start - day_start(day)) // QUARTER
        quarters[place] = versions.get(start, 0)
        hours[place // 4] = 0
    with unscoped("rollups: swap what was counted"):
        done = swap(before, Versions(quarters, hours, 0), _under(work.notes, portion))
        if done:
            _settle(work.notes, through)
    if not done:
        throw_away(work.account_id, list(versions.values()), work.store)
    return len(portion) if done else None


def _counted(account_id: UUID, portion: Mapping[int, int], store: Store | None) -> dict[int, int]:
    """The versions under which the quarters of the portion that have requests now stand."""
    starts = list(portion)
    pieces = max(1, min(QUARTER // 60, -(-sum(portion.values()) // _REQUESTS_AT_ONCE)))
    flags = overflowing(account_id, starts, pieces=pieces, store=store)
    fresh = fresh_versions()
    versions = {start: next(fresh) | flag for start, flag in sorted(flags.items())}
    if versions:
        count_quarters(account_id, versions, pieces=pieces, store=store)
    return versions


def _one_by_one(
    work: _Work, portion: Mapping[int, int], through: int, error: ClickHouseError
) -> int | None:
    """The engine refused the portion: it is asked for each quarter by itself."""
    if len(portion) == 1:
        return _leave(work, portion, through, error)
    done, starts = 0, list(portion)
    for start, end in zip(starts, [*starts[1:], through], strict=True):
        counted = _count(work, {start: portion[start]}, end)
        if counted is None:
            return None
        done += counted
    return done


def _leave(
    work: _Work, portion: Mapping[int, int], through: int, error: ClickHouseError
) -> int | None:
    """A quarter that cannot be counted stays noted, and is read from its requests, while the
    others go on. The next minute tries again.
    """
    (start,) = portion
    log.warning(
        "a quarter of rollups is not counted",
        account=str(work.account_id),
        quarter=_moment(start).isoformat(),
        reason=str(error).splitlines()[0][:300],
    )
    under = _under(work.notes, portion)
    with unscoped("rollups: notes of what is not counted"):
        wait_for_rebuild(work.account_id)
        if TouchedSpan.objects.filter(id__in=[note.id for note in under]).count() != len(under):
            return None
        TouchedSpan.objects.create(
            account_id=work.account_id,
            load_id=under[0].load_id,
            since=_moment(start),
            until=_moment(start + QUARTER),
        )
        _settle(work.notes, through)
    return 0


def _under(notes: list[TouchedSpan], portion: Mapping[int, int]) -> list[TouchedSpan]:
    """The notes that speak of one of these quarters."""
    low, high = min(portion), max(portion) + QUARTER
    return [note for note in notes if _seconds(note.since) < high and _seconds(note.until) > low]


def _notes(account_id: UUID, ended: int) -> list[TouchedSpan]:
    """Those of loads whose rows are in the store, with a quarter that has ended."""
    pending = Load.objects.filter(state=LoadState.PENDING).values("id")
    notes = TouchedSpan.objects.filter(account_id=account_id, since__lt=_moment(ended))
    return list(notes.exclude(load_id__in=pending).order_by("since", "id")[:_NOTES])


def _settle(notes: list[TouchedSpan], through: int) -> None:
    """Notes before this moment are dealt with; those that reach behind it wait from there on."""
    gone = [note.id for note in notes if _seconds(note.until) <= through]
    TouchedSpan.objects.filter(id__in=gone).delete()
    rest = [note for note in notes if _seconds(note.since) < through < _seconds(note.until)]
    for note in rest:
        note.since = _moment(through)
    TouchedSpan.objects.bulk_update(rest, ["since"], batch_size=500)
    notes[:] = [note for note in notes if _seconds(note.until) > through]


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


__all__ = ["rebuild_account", "rebuild_touched"]
