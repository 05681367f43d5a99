"""Sums by endpoint, for what watches them: bounded, however many paths there are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pulse.store.client import Store
from pulse.store.filters import TrafficFilter, conditions, micros
from pulse.store.gate import ask, ask_as_system
from pulse.store.latency import KEY, microseconds
from qcloud.kernel.scope import Scope

MOST_ENDPOINTS: Final = 2_000
"""The busiest of an account; the others count in the sums of their hosts."""
MOST_STATUSES: Final = 500
"""Of one window; those that most requests had."""
ROUTE: Final = "if(route = '', path, route)"
"""Rows from before routes were stored have none."""

Span = tuple[datetime, datetime]
"""Half-open."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    environment_id: UUID
    host: str
    route: str
    """Empty: the whole host; with no host either: the whole environment."""


@dataclass(frozen=True, slots=True)
class EndpointSums:
    requests: int
    errors: int
    """Answered with 5xx, or not at all."""
    p95_us: float
    """Within 1.6 %."""


@dataclass(frozen=True, slots=True)
class Affected:
    """What one endpoint did in one range."""

    requests: int
    errors: int
    statuses: dict[int, int]
    """Requests by status, of 400 and above."""
    minutes: dict[int, int]
    """Requests by minute, counted from 1970."""


# What is put into these texts are names and numbers of ours.
_FAILED: Final = "(status >= 500 OR status = 0)"
_STATUSES: Final = f"""
SELECT environment_id, host, {ROUTE} AS place, status, count() AS requests
FROM requests WHERE %s AND status >= 400
GROUP BY environment_id, host, place, status
ORDER BY requests DESC, environment_id, host, place, status LIMIT {MOST_STATUSES}
"""  # noqa: S608
# Two branches, so that paths are read of old rows alone: they are most of what lies on the disk.
_SEEN: Final = """
SELECT environment_id, host, %s AS place, if(status >= 400, status, 0) AS answer, count()
FROM requests PREWHERE route %s '' WHERE %s AND host IN {hosts:Array(String)}
    AND place IN {routes:Array(String)}
GROUP BY environment_id, host, place, answer
"""
_OF_HOSTS: Final = """
SELECT environment_id, host, status, count() FROM requests
WHERE %s AND host IN {hosts:Array(String)} AND status >= 400
GROUP BY environment_id, host, status
"""
_AFFECTED: Final = f"""
SELECT environment_id, host, {ROUTE} AS place, grouping(host) + grouping(place) AS level,
    count(), countIf({_FAILED}), sumMapIf([status], [toUInt64(1)], status >= 400),
    sumMap([intDiv(toUnixTimestamp64Micro(timestamp), 60000000)], [toUInt64(1)])
FROM requests
WHERE %s AND (host IN {{hosts:Array(String)}} OR environment_id IN {{places:Array(UUID)}})
GROUP BY GROUPING SETS ((environment_id, host, place), (environment_id, host), (environment_id))
HAVING (level = 0 AND place IN {{routes:Array(String)}})
    OR (level = 1 AND host IN {{hosts:Array(String)}})
    OR (level = 2 AND environment_id IN {{places:Array(UUID)}})
"""  # noqa: S608


def compared(
    scope: Scope, spans: Sequence[Span], *, store: Store | None = None
) -> tuple[dict[Endpoint, EndpointSums], ...]:
    """By span: the busiest endpoints of the first one and each host as a whole (``route``
    empty), and what the same ones did in the others. One scan; spans must not overlap. Who did
    nothing in a span is not in it.
    """
    inside = [_inside(number) for number in range(len(spans))]
    sums = ", ".join(
        f"countIf({span}){' AS requests' if not number else ''}, countIf({_FAILED} AND {span}),"
        f" quantileExactWeightedIf(0.95)({KEY}, 1, {span})"
        for number, span in enumerate(inside)
    )
    sql = (
        f"SELECT environment_id, host, {ROUTE} AS place, grouping(place) AS level, {sums}"  # noqa: S608
        f" FROM requests WHERE account_id = {{account:UUID}} AND ({' OR '.join(inside)})"
        " GROUP BY GROUPING SETS ((environment_id, host, place), (environment_id, host))"
        " HAVING requests > 0"
        " ORDER BY requests DESC, environment_id, host, place LIMIT {most:UInt32} BY level"
    )
    parameters = {"account": scope.account_id, "most": MOST_ENDPOINTS}
    for number, (since, until) in enumerate(spans):
        parameters |= {f"since_{number}": micros(since), f"until_{number}": micros(until)}
    rows = [row for row in ask(scope, sql, parameters, store=store) if row[1 if row[3] else 2]]
    return tuple(_sums_of(rows, 4 + 3 * number) for number in range(len(spans)))


def _inside(number: int) -> str:
    return (
        f"(timestamp >= fromUnixTimestamp64Micro({{since_{number}:Int64}}, 'UTC')"
        f" AND timestamp < fromUnixTimestamp64Micro({{until_{number}:Int64}}, 'UTC'))"
    )


def _sums_of(rows: Sequence[Sequence[Any]], place: int) -> dict[Endpoint, EndpointSums]:
    return {
        _endpoint(row): EndpointSums(
            int(row[place]), int(row[place + 1]), microseconds(int(row[place + 2]))
        )
        for row in rows
        if row[place]
    }


def _endpoint(row: Sequence[Any]) -> Endpoint:
    return Endpoint(row[0], "" if row[3] > 1 else row[1], "" if row[3] else row[2])


def _counts(pair: Any) -> dict[int, int]:
    """Of a ``sumMap``."""
    return {int(key): int(count) for key, count in zip(*pair, strict=True)}


def statuses(
    scope: Scope, chosen: TrafficFilter, *, store: Store | None = None
) -> dict[tuple[Endpoint, int], int]:
    """Requests by endpoint and status, of those answered with 400 and above."""
    where, parameters = conditions(scope, chosen)
    rows = ask(scope, _STATUSES % where, parameters, store=store)
    return {(Endpoint(*row[:3]), int(row[3])): int(row[4]) for row in rows}


def seen_before(
    scope: Scope,
    chosen: TrafficFilter,
    endpoints: Collection[Endpoint],
    *,
    store: Store | None = None,
) -> dict[Endpoint, dict[int, int]]:
    """Requests of these endpoints in the range by status; under 0 all those below 400."""
    where, parameters = conditions(scope, chosen)
    parameters |= {
        "hosts": sorted({e.host for e in endpoints}),
        "routes": sorted({e.route for e in endpoints}),
    }
    branches = (_SEEN % ("route", "!=", where), _SEEN % ("path", "=", where))
    found: dict[Endpoint, dict[int, int]] = {place: {} for place in endpoints}
    for row in ask(scope, " UNION ALL ".join(branches), parameters, store=store):
        counts = found.get(Endpoint(*row[:3]))
        if counts is not None:
            counts[int(row[3])] = counts.get(int(row[3]), 0) + int(row[4])
    return found


def statuses_of_hosts(
    scope: Scope, chosen: TrafficFilter, hosts: Collection[str], *, store: Store | None = None
) -> set[tuple[UUID, str, int]]:
    """Which statuses of 400 and above these hosts answered with, by environment."""
    where, parameters = conditions(scope, chosen)
    rows = ask(scope, _OF_HOSTS % where, {**parameters, "hosts": sorted(hosts)}, store=store)
    return {(row[0], row[1], int(row[2])) for row in rows}


def affected(
    scope: Scope,
    chosen: TrafficFilter,
    endpoints: Collection[Endpoint],
    *,
    store: Store | None = None,
) -> dict[Endpoint, Affected]:
    """What these endpoints did, exactly, however many others there are."""
    where, parameters = conditions(scope, chosen)
    parameters |= {
        "hosts": sorted({e.host for e in endpoints if e.host or e.route}),
        "routes": sorted({e.route for e in endpoints if e.route}),
        "places": sorted({e.environment_id for e in endpoints if not (e.host or e.route)}),
    }
    rows = ask(scope, _AFFECTED % where, parameters, store=store)
    found = {
        _endpoint(row): Affected(int(row[4]), int(row[5]), _counts(row[6]), _counts(row[7]))
        for row in rows
        if row[3] != 1 or row[1]
    }
    return {place: found[place] for place in endpoints if place in found}


_ACCOUNTS: Final = """
SELECT DISTINCT account_id FROM requests
WHERE timestamp >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
"""


def active_accounts(since_us: int, *, store: Store | None = None) -> list[UUID]:
    """Accounts with a request since then."""
    rows = ask_as_system(
        "detectors: accounts with traffic", _ACCOUNTS, {"since": since_us}, store=store
    )
    return [row[0] for row in rows]
