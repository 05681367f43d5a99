"""Third parties: who was called, by whom, how, and where.

A request to one is ``egress-external`` and has a vendor; that is the only definition.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pulse.store.client import Store
from pulse.store.endpoints import ROUTE
from pulse.store.filters import TrafficFilter, conditions
from pulse.store.gate import ask
from pulse.store.latency import P95, microseconds
from qcloud.kernel.scope import Scope

MOST_LISTED: Final = 2_000
"""The busiest; hostile traffic can name any number of hosts."""
MOST_SEEN: Final = 5_000
MOST_PARTS: Final = 1_000
"""Callers, or paths, of one third party."""
_THIRD: Final = "direction = 'egress-external' AND vendor != ''"
_SUMS: Final = (
    "count() AS requests, countIf(status >= 400), countIf(status = 0),"
    f" sum(toUInt128(bytes_sent)), sum(toUInt128(bytes_received)), {P95},"
    " min(timestamp), max(timestamp)"
)
_P95: Final = 5
"""Its place in ``_SUMS``."""

# Nothing but our own texts is put into these.
_VENDORS: Final = f"""
SELECT vendor, {_SUMS},
    arraySort(groupUniqArray(20)(host)), arraySort(groupUniqArray(20)(exe)),
    arraySort(arrayFilter(x -> x != '', groupUniqArray(10)(auth_token_type))),
    arraySort(arrayFilter(x -> x != '', groupUniqArray(10)(tls_version))),
    countIf(scheme = 'http'), arraySort(groupUniqArray(50)(environment_id))
FROM requests WHERE %s AND {_THIRD}
GROUP BY vendor ORDER BY requests DESC, vendor LIMIT {MOST_LISTED}
"""  # noqa: S608
_CALLERS: Final = f"""
SELECT environment_id, exe, container_name, {_SUMS},
    arraySort(groupUniqArray(20)(hostname)),
    arraySort(arrayFilter(x -> x != '', groupUniqArray(10)(auth_token_type)))
FROM requests WHERE %s AND {_THIRD}
GROUP BY environment_id, exe, container_name
ORDER BY requests DESC, environment_id, exe, container_name LIMIT {MOST_PARTS}
"""  # noqa: S608
_PATHS: Final = f"""
SELECT host, {ROUTE} AS place, method, {_SUMS}
FROM requests WHERE %s AND {_THIRD}
GROUP BY host, place, method ORDER BY requests DESC, host, place, method LIMIT {MOST_PARTS}
"""  # noqa: S608
_SEEN: Final = f"""
SELECT environment_id, vendor, min(timestamp) AS first, max(timestamp)
FROM requests WHERE %s AND {_THIRD}
GROUP BY environment_id, vendor ORDER BY first, environment_id, vendor LIMIT {MOST_SEEN}
"""  # noqa: S608


@dataclass(frozen=True)
class Sums:
    """Of one group of requests."""

    requests: int
    errors: int
    """Answered with 4xx or 5xx."""
    unanswered: int
    bytes_sent: int
    bytes_received: int
    p95_us: float
    """Within 1.6 %."""
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True)
class _VendorOwn:
    vendor: str


@dataclass(frozen=True)
class VendorRow(Sums, _VendorOwn):
    """A third party that requests went to. Lists are sorted and hold at most 20 names."""

    hosts: tuple[str, ...]
    processes: tuple[str, ...]
    auth_types: tuple[str, ...]
    """How requests authenticated: ``bearer``, ``basic``, …"""
    tls_versions: tuple[str, ...]
    """Where the agent saw them."""
    plain: int
    """Requests without TLS."""
    environments: tuple[UUID, ...]


@dataclass(frozen=True)
class _CallerOwn:
    environment_id: UUID
    exe: str
    container: str


@dataclass(frozen=True)
class CallerRow(Sums, _CallerOwn):
    """A process that called one."""

    hostnames: tuple[str, ...]
    auth_types: tuple[str, ...]


@dataclass(frozen=True)
class _PathOwn:
    host: str
    route: str
    method: str


@dataclass(frozen=True)
class PathRow(Sums, _PathOwn):
    """A path template that was called."""


@dataclass(frozen=True, slots=True)
class Seen:
    environment_id: UUID
    vendor: str
    first: datetime
    last: datetime


def vendors(scope: Scope, chosen: TrafficFilter, *, store: Store | None = None) -> list[VendorRow]:
    """By requests, the most first; at most ``MOST_LISTED``."""
    where, parameters = conditions(scope, chosen)
    rows = ask(scope, _VENDORS % where, parameters, store=store)
    return [VendorRow(*_plain(row, 1)) for row in rows]


def callers(scope: Scope, chosen: TrafficFilter, *, store: Store | None = None) -> list[CallerRow]:
    where, parameters = conditions(scope, chosen)
    rows = ask(scope, _CALLERS % where, parameters, store=store)
    return [CallerRow(*_plain(row, 3)) for row in rows]


def paths(scope: Scope, chosen: TrafficFilter, *, store: Store | None = None) -> list[PathRow]:
    where, parameters = conditions(scope, chosen)
    rows = ask(scope, _PATHS % where, parameters, store=store)
    return [PathRow(*_plain(row, 3)) for row in rows]


def seen(scope: Scope, chosen: TrafficFilter, *, store: Store | None = None) -> list[Seen]:
    """Which environment called whom in the range, those called first first."""
    where, parameters = conditions(scope, chosen)
    return [Seen(*row) for row in ask(scope, _SEEN % where, parameters, store=store)]


def _plain(row: Any, keys: int) -> list[Any]:
    values: list[Any] = [tuple(value) if isinstance(value, list) else value for value in row]
    values[keys + _P95] = microseconds(int(values[keys + _P95]))
    return values
