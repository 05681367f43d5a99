"""Processes that spoke HTTP, with what is known of each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pulse.store.client import Store
from pulse.store.filters import TrafficFilter, conditions
from pulse.store.gate import ask
from pulse.store.latency import P95, microseconds
from qcloud.kernel.scope import Scope

_P95: Final = 6
"""Its place in the list."""
# 500 rows at most: nobody reads more, and hostile traffic can make many.

_PROCESSES: Final = f"""
SELECT exe, count() AS requests, countIf(status >= 400), countIf(status = 0),
    sum(toUInt128(bytes_sent)), sum(toUInt128(bytes_received)),
    {P95}, min(timestamp), max(timestamp),
    arraySort(groupUniqArray(20)(hostname)),
    arraySort(arrayFilter(x -> x != '', groupUniqArray(20)(container_name))),
    arraySort(arrayFilter(x -> x != '', groupUniqArray(20)(user))),
    countIf(direction = 'ingress'), uniqIf(vendor, vendor != '')
FROM requests WHERE %s
GROUP BY exe ORDER BY requests DESC, exe LIMIT 500
"""  # noqa: S608  of our own texts alone


@dataclass(frozen=True)
class ProcessRow:
    """An executable that spoke HTTP. Lists are sorted and hold at most 20 names."""

    exe: str
    requests: int
    errors: int
    unanswered: int
    bytes_sent: int
    bytes_received: int
    p95_us: float
    first_seen: datetime
    last_seen: datetime
    hostnames: tuple[str, ...]
    containers: tuple[str, ...]
    users: tuple[str, ...]
    ingress: int
    """Requests that it answered."""
    vendors: int
    """Third parties that it called; about right above some thousands."""


def processes(
    scope: Scope, chosen: TrafficFilter, *, store: Store | None = None
) -> list[ProcessRow]:
    where, parameters = conditions(scope, chosen)
    rows = ask(scope, _PROCESSES % where, parameters, store=store)
    return [ProcessRow(*_plain(row)) for row in rows]


def _plain(row: Any) -> list[Any]:
    values: list[Any] = [tuple(value) if isinstance(value, list) else value for value in row]
    values[_P95] = microseconds(int(values[_P95]))
    return values
