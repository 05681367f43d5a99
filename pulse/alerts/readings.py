"""The value of a rule's measure at each minute, and whether it is good or bad."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from fleet.selectors import agents
from identity.alarms import ANOMALY, BREAK_GLASS, FAILED, LOCKED, alarms_between
from identity.quotas import events_limits
from pulse.alerts.expiring import first_expiries
from pulse.alerts.machine import Reading
from pulse.alerts.rules import MEASURES, Spec
from pulse.analytics import Totals, totals
from pulse.analytics.covers import cover_for_series, manifest_for
from pulse.inventory.selectors import noticed_between, refused_calls
from pulse.issues.selectors import opened_between
from pulse.metering import usage_hours
from pulse.store.certificates import KEPT, certificate_looks
from pulse.store.client import Store
from pulse.store.filters import TrafficFilter, micros
from pulse.store.rolled.cover import Cover, whole
from pulse.store.rolled.read import source_of
from pulse.store.ticks import Tick, percentiles, ticks, widened
from qcloud.kernel.scope import Scope

MINUTE: Final = timedelta(minutes=1)
_MICROSECOND: Final = timedelta(microseconds=1)
_LEVELS: Final = {"p95": 0.95, "p99": 0.99}
_LONG: Final = timedelta(hours=1)
"""Requests of a longer time are not read one by one where rollups can tell."""
_FEW: Final = 3
"""Minutes that are judged one by one: the beat comes every half minute."""
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Measured:
    at: datetime
    value: float | None
    """In the measure's unit; ``None`` without data."""
    reading: Reading


def readings(
    scope: Scope,
    spec: Spec,
    environment_id: UUID | None,
    first: datetime,
    last: datetime,
    *,
    store: Store | None = None,
) -> list[Measured]:
    """One for each full minute from ``first`` to ``last``, both included.

    Inside the account's scope. Raises ``StoreUnavailable``.
    """
    asked = _Asked(scope, spec, (environment_id,) if environment_id else (), first, last, store)
    source = MEASURES[spec.measure].source
    values = _SOURCES.get(spec.measure, _SOURCES.get(source, _counted))(asked)
    return [Measured(at, value, _reading(spec, value)) for at, value in values]


@dataclass(frozen=True, slots=True)
class _Asked:
    scope: Scope
    spec: Spec
    places: tuple[UUID, ...]
    first: datetime
    last: datetime
    store: Store | None

    @property
    def window(self) -> timedelta:
        return self.spec.window * MINUTE

    @property
    def minutes(self) -> Iterator[datetime]:
        at = self.first
        while at <= self.last:
            yield at
            at += MINUTE


Values = Iterator[tuple[datetime, float | None]]


def _reading(spec: Spec, value: float | None) -> Reading:
    if value is None:
        return Reading.MISSING
    return Reading.BAD if spec.bad(value) else Reading.GOOD


def _traffic(asked: _Asked) -> Values:
    filters: dict[str, Any] = dict(asked.spec.filters)
    # A range must not be empty; one minute alone would be.
    until = max(asked.last, asked.first + MINUTE)
    chosen = TrafficFilter(asked.first, until, environments=asked.places, **filters)
    few = asked.window > _LONG and asked.last - asked.first < _FEW * MINUTE
    if few and asked.spec.measure in _OF_TOTALS:
        values = _one_by_one(asked, chosen)
    elif asked.spec.measure in _LEVELS:
        values = _percentiles(asked, chosen)
    else:
        found = ticks(asked.scope, chosen, asked.window, store=asked.store)
        values = ((tick.at, _value(asked.spec, tick)) for tick in found)
    for at, value in values:
        if at <= asked.last:
            yield at, value


def _one_by_one(asked: _Asked, chosen: TrafficFilter) -> Values:
    """Few long windows: sums of a range each, out of rollups where they exist."""
    for at in asked.minutes:
        sums = totals(
            asked.scope, replace(chosen, since=at - asked.window, until=at), store=asked.store
        )
        yield at, _OF_TOTALS[asked.spec.measure](asked.spec, sums)


def _percentiles(asked: _Asked, chosen: TrafficFilter) -> Values:
    found = percentiles(
        asked.scope, chosen, asked.window, _LEVELS[asked.spec.measure],
        _cover(asked.scope, widened(chosen, asked.window)), store=asked.store,
    )  # fmt: skip
    for at, value in found:
        yield at, None if value is None else value / 1_000


def _cover(scope: Scope, chosen: TrafficFilter) -> Cover:
    """Minutes of rollups where there are any, and where looking for them is worth it."""
    source = source_of(chosen)
    if source is None or source.kind != "total" or chosen.until - chosen.since <= _LONG:
        return whole(micros(chosen.since), micros(chosen.until))
    manifest = manifest_for(scope, chosen)
    return cover_for_series(chosen, manifest, int(MINUTE / _MICROSECOND), source)


def _error_rate(sums: Totals) -> float | None:
    failed = sums.status_5xx + sums.no_response
    return 100 * failed / sums.requests if sums.requests else None


_OF_TOTALS: Final[dict[str, Callable[[Spec, Totals], float | None]]] = {
    "requests": lambda spec, sums: sums.requests / spec.window,
    "error_rate": lambda _spec, sums: _error_rate(sums),
    "p95": lambda _spec, sums: sums.p95_ms,
    "p99": lambda _spec, sums: sums.p99_ms,
}
"""Not of bytes: agents may report more than sums of rollups hold."""


def _value(spec: Spec, tick: Tick) -> float | None:
    if spec.measure == "requests":
        return tick.requests / spec.window
    if spec.measure == "throughput":
        return tick.bytes / 1000 / spec.window
    return 100 * tick.errors / tick.requests if tick.requests else None


def _counted(asked: _Asked) -> Values:
    """How many things fell into ``[t - window, t)``."""
    moments = _moments(asked)
    for at in asked.minutes:
        begin = bisect_left(moments, at - asked.window)
        yield at, float(bisect_left(moments, at) - begin)


def _moments(asked: _Asked) -> list[datetime]:
    """When the things that are counted happened, in order."""
    since = asked.first - asked.window
    if asked.spec.measure in _ALARMS:
        kind = _ALARMS[asked.spec.measure]
        return alarms_between(asked.scope, kind, since, asked.last)
    if asked.spec.measure == "vendors":
        return noticed_between(asked.scope, since, asked.last, asked.places)
    only = asked.spec.measure == "issues_regressed"
    found = opened_between(asked.scope, since, asked.last, asked.places)
    return [at for at, what in found if not only or what == "regressed"]


def _silent(asked: _Asked) -> Values:
    """Agents whose last sign of life is older than the window. Only the last one is known."""
    beats = [
        agent.last_heartbeat_at or agent.registered_at
        for agent in agents(asked.scope)
        if not asked.places or agent.environment_id in asked.places
    ]
    for at in asked.minutes:
        silent = sum(beat < at - asked.window for beat in beats)
        yield at, float(silent) if beats else None


def _refused(asked: _Asked) -> Values:
    """Third parties that may not be used and were called within the window. Only the last call
    is known, and that some minutes late.
    """
    calls = refused_calls(asked.scope, asked.places)
    for at in asked.minutes:
        yield at, float(len(calls) - bisect_left(calls, at - asked.window))


def _expires(asked: _Asked) -> Values:
    """Days to the first expiry of what servers showed lately; below zero when it is past."""
    looks = certificate_looks(
        asked.scope, asked.first - KEPT, asked.last, environments=asked.places, store=asked.store
    )
    for at, first in first_expiries(asked.minutes, looks):
        yield at, (first - at) / _DAY if first else None


def _used(asked: _Asked) -> Values:
    """Requests since midnight, as far as their hours are counted; or what part of the quota."""
    limit = None
    if asked.spec.measure == "quota_events":
        own = [known.limit for known in events_limits(asked.scope) if known.is_own]
        limit = own[0] if own else None
    midnight = asked.first.replace(hour=0, minute=0, second=0, microsecond=0)
    hours = usage_hours(asked.scope, midnight, asked.last + MINUTE)
    for at, total in _running(asked.minutes, [(hour.hour, hour.requests) for hour in hours]):
        if asked.spec.measure == "usage_day":
            yield at, float(total)
        else:
            yield at, 100 * total / limit if limit else None


def _running(
    minutes: Iterator[datetime], hours: Sequence[tuple[datetime, int]]
) -> Iterator[tuple[datetime, int]]:
    """Sums of the hours of each minute's day that began by then. ``hours`` are in order."""
    place, total, day = 0, 0, None
    for at in minutes:
        if at.date() != day:
            day, total = at.date(), 0
        while place < len(hours) and hours[place][0] <= at:
            total += hours[place][1] if hours[place][0].date() == day else 0
            place += 1
        yield at, total


_ALARMS: Final = {
    "sign_in_anomalies": ANOMALY,
    "sign_in_failures": FAILED,
    "sign_in_locks": LOCKED,
    "break_glass": BREAK_GLASS,
}
_SOURCES: Final[dict[str, Callable[[_Asked], Values]]] = {
    "traffic": _traffic,
    "fleet": _silent,
    "usage": _used,
    "vendors_refused": _refused,
    "certificates": _expires,
}
"""By measure or by source; what is left is counted by when it happened."""
