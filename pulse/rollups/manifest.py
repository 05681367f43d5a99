"""What PostgreSQL knows of an account's rollups, as readers need it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

from pulse.retention.kinds import LEVELS, Kind
from pulse.store.rolled.cover import Manifest
from pulse.store.rolled.kinds import DAY, HOUR, QUARTER
from pulse.tables.retention import RetentionMark
from pulse.tables.rollups import RollupDay, TouchedSpan
from qcloud.kernel.scope import Scope, Tier, scoped

_EPOCH: Final = date(1970, 1, 1)


def manifest_of(scope: Scope, since: datetime, until: datetime) -> Manifest:
    """The versions and the dirty spans of ``[since, until)``; empty for those who see nothing.

    Read before the event store is asked: requests that a load brings afterwards are not in
    it, and their quarter counts as it was a moment ago.
    """
    if scope.tier is not Tier.CUSTOMER:
        return Manifest()
    with scoped(scope):
        # One statement each, the notes first: a quarter that is counted in between is read
        # raw, never under a version that is older than its note.
        notes = (
            TouchedSpan.objects.filter(
                account_id=scope.account_id, since__lt=until, until__gt=since
            )
            .values_list("since", "until")
            .distinct()
        )
        spans = {(_seconds(low), _seconds(high)) for low, high in notes}
        # Behind the retention of requests nothing is dirty: what came late is counted by nobody.
        marks = _marks(scope.account_id)
        floor = _closed_before(marks)
        dirty = sorted((max(low, floor), high) for low, high in spans if high > floor)
        first, last = since.astimezone(UTC).date(), until.astimezone(UTC).date()
        days = list(
            RollupDay.objects.filter(
                account_id=scope.account_id, day__gte=first, day__lte=last
            ).values_list("day", "quarters", "hours", "whole")
        )
    versions: dict[int, dict[int, int]] = {DAY: {}, HOUR: {}, QUARTER: {}}
    for day, quarters, hours, whole in days:
        start = day_start(day)
        for length, entries in ((QUARTER, quarters), (HOUR, hours), (DAY, [whole])):
            versions[length].update(
                (start + place * length, version)
                for place, version in enumerate(entries)
                if version
            )
    return Manifest(versions, dirty, _gone(marks))


def gone_of(scope: Scope) -> Manifest:
    """What of an account is not kept any more, and nothing of its rollups."""
    if scope.tier is not Tier.CUSTOMER:
        return Manifest()
    with scoped(scope):
        return Manifest(gone=_gone(_marks(scope.account_id)))


def closed_before(account_id: UUID) -> int:
    """Seconds: no quarter before it is counted any more. In the caller's scope.

    Neither where requests are gone nor where quarters are: one of them alone would make an
    hour out of its late requests.
    """
    return _closed_before(_marks(account_id))


def _closed_before(marks: Mapping[str, int]) -> int:
    return max(marks.get(Kind.REQUESTS, 0), marks.get(Kind.QUARTERS, 0))


def _marks(account_id: UUID) -> dict[str, int]:
    """Kind → seconds before which it is not kept."""
    rows = RetentionMark.objects.filter(account_id=account_id)
    return {kind: _seconds(through) for kind, through in rows.values_list("kind", "through")}


def _gone(marks: Mapping[str, int]) -> dict[int, int]:
    lengths = {Kind.REQUESTS: 0, **LEVELS}
    return {lengths[Kind(kind)]: moment for kind, moment in marks.items() if kind in lengths}


def day_start(day: date) -> int:
    """Seconds since 1970."""
    return (day - _EPOCH).days * DAY


def day_of(second: int) -> date:
    return _EPOCH + timedelta(days=second // DAY)


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
