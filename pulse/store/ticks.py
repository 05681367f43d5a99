"""Sums and percentiles over a window that moves minute by minute, for rules and their previews."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from pulse.store.client import Store
from pulse.store.filters import TrafficFilter, conditions, micros, moment_of
from pulse.store.gate import ask, ask_arrow
from pulse.store.latency import KEY, microseconds
from pulse.store.rolled.cover import Cover
from pulse.store.rolled.kinds import MINUTE as _LEVEL
from qcloud.kernel.scope import Scope

MINUTE: Final = timedelta(minutes=1)
_MINUTE_US: Final = 60_000_000
_OF_REQUEST: Final = f"intDiv(toUnixTimestamp64Micro(timestamp), {_MINUTE_US}) AS minute"
_SUMS: Final = f"""
SELECT {_OF_REQUEST}, count(), countIf(status BETWEEN 500 AND 599 OR status = 0),
    sum(toUInt128(bytes_sent) + toUInt128(bytes_received))
FROM requests WHERE %s GROUP BY minute
"""  # noqa: S608  names and numbers of ours
# Keys of durations and how often each occurred, minute by minute: quantiles of a window are
# made of them by whoever moves it. The engine alone takes minutes for a window of a day.
_KEYS: Final = f"""
SELECT {_OF_REQUEST}, {KEY} AS key, count() AS n FROM requests WHERE %s GROUP BY minute, key
"""  # noqa: S608
_ROLLED_KEYS: Final = f"""
SELECT intDiv(toInt64(toUnixTimestamp(bucket)), 60) AS minute,
    arrayJoin(arrayZip(histogram.1, histogram.2)) AS pair, pair.1 AS key, pair.2 AS n
FROM rollups
WHERE account_id = {{account:UUID}} AND level = {_LEVEL} AND kind = 'total' AND (%s)
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Tick:
    at: datetime
    """The end of the window; events at this very moment are in the next one."""
    requests: int
    errors: int
    """5xx, or no answer."""
    bytes: int


def ticks(
    scope: Scope, chosen: TrafficFilter, window: timedelta, *, store: Store | None = None
) -> list[Tick]:
    """A tick for each full minute ``t`` in ``[since, until]`` of the filter: what happened in
    ``[t - window, t)``. Whole minutes all of them.
    """
    where, parameters = conditions(scope, widened(chosen, window))
    rows = ask(scope, _SUMS % where, parameters, store=store)
    of_minute = {int(row[0]): tuple(map(int, row[1:])) for row in rows}
    found = []
    span = int(window / MINUTE)
    running = [0, 0, 0]
    first, last = _bounds(chosen)
    for minute in range(first - span, last):
        for place, value in enumerate(of_minute.get(minute, ())):
            running[place] += value
        for place, value in enumerate(of_minute.get(minute - span, ())):
            running[place] -= value
        if minute >= first - 1:
            found.append(Tick(moment_of((minute + 1) * _MINUTE_US), *running))
    return found


def percentiles(
    scope: Scope,
    chosen: TrafficFilter,
    window: timedelta,
    level: float,
    found: Cover,
    *,
    store: Store | None = None,
) -> list[tuple[datetime, float | None]]:
    """For each full minute as in ``ticks`` the quantile of what happened in the window, in
    microseconds, within 1.6 %; ``None`` without requests.

    ``found``: what of the filter, widened by the window, is read from minutes of rollups and
    what from requests. Only a filter without more than environments has such rollups.
    """
    rows = _keys(scope, widened(chosen, window), found, store)
    first, last = _bounds(chosen)
    ends = range(first, last + 1)
    of_windows = _quantiles(rows, ends, int(window / MINUTE), level)
    return list(zip((moment_of(end * _MINUTE_US) for end in ends), of_windows, strict=True))


def widened(chosen: TrafficFilter, window: timedelta) -> TrafficFilter:
    """With all that the first window holds."""
    return replace(chosen, since=chosen.since - window)


def _bounds(chosen: TrafficFilter) -> tuple[int, int]:
    return micros(chosen.since) // _MINUTE_US, micros(chosen.until) // _MINUTE_US


def _keys(
    scope: Scope, chosen: TrafficFilter, found: Cover, store: Store | None
) -> tuple[Any, Any, Any]:
    """Minute, key and how often, by minute."""
    where, parameters = conditions(scope, chosen)
    parts = []
    if found.raw:
        spans = " OR ".join(
            f"(timestamp >= fromUnixTimestamp64Micro({low}, 'UTC')"
            f" AND timestamp < fromUnixTimestamp64Micro({high}, 'UTC'))"
            for low, high in found.raw
        )
        parts.append(ask_arrow(scope, _KEYS % f"{where} AND ({spans})", parameters, store=store))
    if found.rolled:
        units = " OR ".join(
            f"(bucket >= toDateTime({part.since}, 'UTC') AND bucket < toDateTime({part.until},"
            f" 'UTC') AND version IN {{versions_{number}:Array(UInt64)}})"
            for number, part in enumerate(found.rolled)
        )
        own = " AND environment_id IN {environments:Array(UUID)}" if chosen.environments else ""
        parameters |= {f"versions_{i}": list(p.versions) for i, p in enumerate(found.rolled)}
        parts.append(ask_arrow(scope, _ROLLED_KEYS % units + own, parameters, store=store))
    columns = (
        np.concatenate([np.zeros(0, np.int64), *(part[name].to_numpy() for part in parts)])
        for name in ("minute", "key", "n")
    )
    minutes, keys, counts = columns
    order = np.argsort(minutes, kind="stable")
    return minutes[order], keys[order].astype(np.int64), counts[order].astype(np.int64)


def _quantiles(
    rows: tuple[Any, Any, Any], ends: range, span: int, level: float
) -> Iterator[float | None]:
    """As ``quantileExactWeighted`` would of each window's requests."""
    minutes, keys, counts = rows
    distinct = np.flatnonzero(np.bincount(keys))
    place = np.searchsorted(distinct, keys)
    running = np.zeros(len(distinct), np.int64)
    borders = np.searchsorted(minutes, np.arange(ends.start - span, ends.stop))
    for number in range(len(borders) - 1):
        new = slice(borders[number], borders[number + 1])
        # A key may stand in several rows of a minute: environments have rows of their own.
        np.add.at(running, place[new], counts[new])
        if number < span - 1:
            continue
        summed = np.cumsum(running)
        total = int(summed[-1]) if len(summed) else 0
        if total:
            least = np.ceil(total * level)
            yield microseconds(int(distinct[np.searchsorted(summed, least)]))
        else:
            yield None
        old = number - span + 1
        gone = slice(borders[old], borders[old + 1])
        np.subtract.at(running, place[gone], counts[gone])
