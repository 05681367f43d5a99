"""Hours out of quarters and days out of hours, once they have ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from uuid import UUID

import structlog
from django.db.models import QuerySet

from pulse.rollups.manifest import day_start
from pulse.rollups.swap import Known, Versions, read_known, swap, throw_away
from pulse.rollups.versions import flags_in, fresh_versions
from pulse.store.client import ClickHouseError, Store
from pulse.store.rolled.kinds import DAY, HOUR, QUARTER
from pulse.store.rolled.write import merge_units
from pulse.tables.rollups import RollupDay
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped

log = structlog.get_logger(__name__)


def close_days(account_id: UUID, *, store: Store | None = None) -> None:
    """Every day that has ended since it was counted last, the oldest first, each by itself."""
    with unscoped("rollups: days to be closed"):
        days = list(ended_days().filter(account_id=account_id).values_list("day", flat=True))
    for day in days:
        merge_day(account_id, day, store=store)


def ended_days() -> QuerySet[RollupDay]:
    """Days that want closing and have something to close. In the caller's scope."""
    rows: QuerySet[RollupDay] = RollupDay.objects.filter(whole=0, day__lt=now().date())
    return rows.exclude(quarters=[0] * 96, hours=[0] * 24).order_by("day")


def merge_day(account_id: UUID, day: date, *, store: Store | None = None) -> None:
    """The hours of the day that are missing and have ended, and then the day. The caller is
    the one who counts the account.

    Raises ``StoreUnavailable``. What the engine refuses is tried again by the next run.
    """
    try:
        _merge(read_known(account_id, day), store)
    except ClickHouseError as error:
        # Its hours and quarters answer meanwhile; other days have nothing to do with it.
        log.warning(
            "a day of rollups is not closed",
            account=str(account_id),
            day=day.isoformat(),
            reason=str(error).splitlines()[0][:300],
        )


def _merge(before: Known, store: Store | None) -> None:
    made: list[int] = []
    fresh = fresh_versions()
    hours = _hours(before, fresh, made, store)
    whole = before.whole if hours == list(before.hours) else 0
    if not whole and any(hours) and day_start(before.day) + DAY <= now().timestamp():
        whole = _whole(before, hours, next(fresh), store)
        made.append(whole)
    if not made:
        return
    with unscoped("rollups: swap what was merged"):
        done = swap(before, Versions(before.quarters, hours, whole))
    if not done:
        throw_away(before.account_id, made, store)


def _hours(before: Known, fresh: Iterator[int], made: list[int], store: Store | None) -> list[int]:
    start, ended = day_start(before.day), now().timestamp()
    hours = list(before.hours)
    parts = {hour: [v for v in before.quarters[hour * 4 : hour * 4 + 4] if v] for hour in range(24)}
    due = [
        hour
        for hour, found in parts.items()
        if found and not hours[hour] and start + (hour + 1) * HOUR <= ended
    ]
    for hour in due:
        hours[hour] = next(fresh) | flags_in(parts[hour])
        made.append(hours[hour])
    try:
        _merge_hours(before, due, hours, store)
    except ClickHouseError:
        # Too much at once, perhaps, and nothing was written or part of it was: new numbers,
        # and one after the other.
        for hour in due:
            hours[hour] = next(fresh) | flags_in(parts[hour])
            made.append(hours[hour])
            _merge_hours(before, [hour], hours, store)
    return hours


def _merge_hours(
    before: Known, due: Sequence[int], hours: Sequence[int], store: Store | None
) -> None:
    if not due:
        return
    start = day_start(before.day)
    versions = {start + hour * HOUR: hours[hour] for hour in due}
    below = [v for hour in due for v in before.quarters[hour * 4 : hour * 4 + 4] if v]
    merge_units(before.account_id, QUARTER, HOUR, below, versions, store=store)


def _whole(before: Known, hours: list[int], fresh: int, store: Store | None) -> int:
    below = [version for version in hours if version]
    whole = fresh | flags_in(below)
    merge_units(before.account_id, HOUR, DAY, below, {day_start(before.day): whole}, store=store)
    return whole
