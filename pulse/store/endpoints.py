"""Sums by endpoint, for what watches them: bounded, however many paths there are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from pulse.store.client import Store
from pulse.store.filters import TrafficFilter, conditions
from pulse.store.gate import ask, ask_as_system
from qcloud.kernel.scope import Scope

MOST_ENDPOINTS: Final = 2_000
"""The busiest of an account; the others count in the sums of their hosts."""
MOST_STATUSES: Final = 500
ROUTE: Final = "if(route = '', path, route)"
"""Rows from before routes were stored have none."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    environment_id: UUID
    host: str
    route: str
    """Empty: the whole host."""


@dataclass(frozen=True, slots=True)
class EndpointSums:
    requests: int
    errors: int
    """Answered with 5xx, or not at all."""
    p95_us: float
    """Within 1 %; ``nan`` without requests."""


# The only thing put into these texts is ROUTE, a name of ours.
_SUMS: Final = f"""
SELECT environment_id, host, {ROUTE} AS place, grouping(place) AS whole, count() AS requests,
    countIf(status >= 500 OR status = 0), quantileBFloat16(0.95)(duration_us)
FROM requests WHERE %s
GROUP BY GROUPING SETS ((environment_id, host, place), (environment_id, host))
ORDER BY requests DESC, environment_id, host, place LIMIT {{most:UInt32}} BY whole
"""  # noqa: S608
_STATUSES: Final = f"""
SELECT environment_id, host, {ROUTE} AS place, status, count() AS requests
FROM requests WHERE %s AND status >= 400
GROUP BY environment_id, host, place, status
ORDER BY requests DESC, environment_id, host, place, status LIMIT {MOST_STATUSES}
"""  # noqa: S608
_SEEN: Final = f"""
SELECT count(), countIf(status = {{seen_status:UInt16}})
FROM requests WHERE %s AND {ROUTE} = {{seen_route:String}}
"""  # noqa: S608
_TOTALS: Final = f"""
SELECT environment_id, host, {ROUTE} AS place, grouping(place) AS whole,
    countIf(status >= 500 OR status = 0), count()
FROM requests WHERE %s AND host IN {{hosts:Array(String)}}
GROUP BY GROUPING SETS ((environment_id, host, place), (environment_id, host))
HAVING whole = 1 OR place IN {{routes:Array(String)}}
"""  # noqa: S608


def endpoint_sums(
    scope: Scope, chosen: TrafficFilter, *, store: Store | None = None
) -> dict[Endpoint, EndpointSums]:
    """The busiest endpoints, and each host as a whole (``route`` empty)."""
    where, parameters = conditions(scope, chosen)
    rows = ask(scope, _SUMS % where, {**parameters, "most": MOST_ENDPOINTS}, store=store)
    return {
        Endpoint(row[0], row[1], "" if row[3] else row[2]): EndpointSums(*row[4:])
        for row in rows
        if row[3] or row[2]
    }


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
    endpoint: Endpoint,
    status: int,
    *,
    store: Store | None = None,
) -> tuple[int, int]:
    """Requests of the endpoint in the range, and those of them with the status."""
    narrowed = TrafficFilter(
        chosen.since, chosen.until, environments=(endpoint.environment_id,), host=endpoint.host
    )
    where, parameters = conditions(scope, narrowed)
    parameters |= {"seen_status": status, "seen_route": endpoint.route}
    ((requests, with_status),) = ask(scope, _SEEN % where, parameters, store=store)
    return int(requests), int(with_status)


def totals(
    scope: Scope,
    chosen: TrafficFilter,
    endpoints: Collection[Endpoint],
    *,
    store: Store | None = None,
) -> dict[Endpoint, tuple[int, int]]:
    """Errors and requests of these endpoints, exactly, however many others there are."""
    where, parameters = conditions(scope, chosen)
    parameters |= {
        "hosts": sorted({e.host for e in endpoints}),
        "routes": sorted({e.route for e in endpoints if e.route}),
    }
    rows = ask(scope, _TOTALS % where, parameters, store=store)
    found = {Endpoint(r[0], r[1], "" if r[3] else r[2]): (int(r[4]), int(r[5])) for r in rows}
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
