"""What rules of ``detect_errors`` reported: by place, rule and hour, and single ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from pulse.store.client import Store
from pulse.store.endpoints import Endpoint
from pulse.store.filters import micros
from pulse.store.gate import ask, ask_as_system
from qcloud.kernel.scope import Scope

MOST_HOURS: Final = 5_000
"""Places, rules and hours in one look; the busiest of them."""

# Whole hours are counted, also when only some of their reports are new.
_HOURS: Final = f"""
SELECT environment_id, host, route, rule, toStartOfHour(timestamp) AS hour,
    uniqExact(request_id) AS requests, min(timestamp), max(timestamp),
    argMax(reasons, timestamp)
FROM reported_issues
WHERE account_id = {{account:UUID}}
    AND timestamp >= (
        SELECT toStartOfHour(min(timestamp)) FROM reported_issues
        WHERE account_id = {{account:UUID}}
            AND received_at >= fromUnixTimestamp64Micro({{since:Int64}}, 'UTC')
    )
    AND (environment_id, host, route, rule, toStartOfHour(timestamp)) IN (
        SELECT environment_id, host, route, rule, toStartOfHour(timestamp) FROM reported_issues
        WHERE account_id = {{account:UUID}}
            AND received_at >= fromUnixTimestamp64Micro({{since:Int64}}, 'UTC')
    )
GROUP BY environment_id, host, route, rule, hour
ORDER BY requests DESC, environment_id, host, route, rule, hour LIMIT {MOST_HOURS}
"""  # noqa: S608  the only thing put in is a number of ours
_LATEST: Final = """
SELECT timestamp, request_id, rule, reasons, method, path, status, duration_us
FROM reported_issues
WHERE account_id = {account:UUID} AND environment_id = {environment:UUID}
    AND host = {host:String} AND route = {route:String} AND rule = {rule:String}
ORDER BY timestamp DESC, request_id LIMIT {limit:UInt32}
"""
_OF_REQUEST: Final = """
SELECT timestamp, request_id, rule, reasons, method, path, status, duration_us
FROM reported_issues WHERE account_id = {account:UUID} AND request_id = {request:UUID}
ORDER BY rule LIMIT 20
"""
_ACCOUNTS: Final = """
SELECT DISTINCT account_id FROM reported_issues
WHERE received_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
"""


@dataclass(frozen=True, slots=True)
class ReportedHour:
    """What one rule reported of one place in one hour."""

    place: Endpoint
    rule: str
    hour: datetime
    requests: int
    first: datetime
    last: datetime
    reasons: str
    """Of the last one; a line each."""


@dataclass(frozen=True, slots=True)
class Report:
    """One exchange that a rule called an error."""

    timestamp: datetime
    request_id: UUID
    rule: str
    reasons: str
    method: str
    path: str
    status: int
    duration_us: int


def reported_hours(
    scope: Scope, received_since: datetime, *, store: Store | None = None
) -> list[ReportedHour]:
    """Every hour of every place and rule that something came in of since then, whole."""
    parameters = {"account": scope.account_id, "since": micros(received_since)}
    rows = ask(scope, _HOURS, parameters, store=store)
    return [ReportedHour(Endpoint(*row[:3]), *row[3:]) for row in rows]


def latest_reports(
    scope: Scope, place: Endpoint, rule: str, limit: int = 10, *, store: Store | None = None
) -> list[Report]:
    """The newest ones of a place and a rule."""
    parameters = {
        "account": scope.account_id,
        "environment": place.environment_id,
        "host": place.host,
        "route": place.route,
        "rule": rule,
        "limit": limit,
    }
    return [Report(*row) for row in ask(scope, _LATEST, parameters, store=store)]


def reports_of(scope: Scope, request_id: UUID, *, store: Store | None = None) -> list[Report]:
    """What was reported of one request."""
    parameters = {"account": scope.account_id, "request": request_id}
    return [Report(*row) for row in ask(scope, _OF_REQUEST, parameters, store=store)]


def reporting_accounts(since_us: int, *, store: Store | None = None) -> list[UUID]:
    """Accounts of which a report came in since then."""
    rows = ask_as_system(
        "detectors: accounts with reports", _ACCOUNTS, {"since": since_us}, store=store
    )
    return [row[0] for row in rows]
