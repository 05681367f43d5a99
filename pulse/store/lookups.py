"""DNS lookups: which process asked for which name, what came of it, and what is new."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from pulse.store.client import Store
from pulse.store.filters import DIRECTIONS, micros
from pulse.store.gate import ask
from pulse.store.latency import P95, microseconds
from qcloud.kernel.errors import Invalid
from qcloud.kernel.scope import Scope

MOST_NAMES: Final = 2_000
"""Names and processes in one list, those with most lookups: hostile software can ask for any
number of names."""
NEW_AFTER: Final = timedelta(days=30)
"""A name is new when nobody asked for it in so long a time before the range."""
RESULTS: Final = ("ok", "failed", "nxdomain", "servfail", "refused", "timeout", "malformed")
_FAILED: Final = "(outcome = 'malformed' OR outcome = 'timeout' OR rcode NOT IN ('NOERROR', ''))"
_RESULTS: Final = {
    "ok": f"NOT {_FAILED}",
    "failed": _FAILED,
    "nxdomain": "rcode = 'NXDOMAIN'",
    "servfail": "rcode = 'SERVFAIL'",
    "refused": "rcode = 'REFUSED'",
    "timeout": "outcome = 'timeout'",
    "malformed": "outcome = 'malformed'",
}
_NOT_NEW: Final = """
SELECT name FROM dns_lookups WHERE account_id = {account:UUID}
    AND timestamp >= fromUnixTimestamp64Micro({before:Int64}, 'UTC')
    AND timestamp < fromUnixTimestamp64Micro({since:Int64}, 'UTC')
"""
_NARROWING: Final = {
    "environments": "environment_id IN {environments:Array(UUID)}",
    "name": "name = {name:String}",
    "process": "exe = {process:String}",
    "direction": "direction = {direction:String}",
    "query": (
        "(positionCaseInsensitiveUTF8(name, {query:String}) > 0"
        " OR positionCaseInsensitiveUTF8(exe, {query:String}) > 0)"
    ),
}
_SUMS: Final = (
    f"count() AS lookups, countIf({_FAILED}), countIf(rcode = 'NXDOMAIN'),"
    " countIf(outcome = 'timeout')"
)
# Nothing but our own texts is put into these.
_NAMES: Final = f"""
SELECT name, exe, {_SUMS}, {P95}, min(timestamp), max(timestamp),
    arraySort(groupUniqArray(10)(query_type)),
    arraySort(arrayFilter(x -> x != '', groupUniqArray(10)(rcode))),
    argMaxIf(addresses, timestamp, addresses != ''),
    arraySort(groupUniqArray(10)(destination_ip)),
    arraySort(groupUniqArray(20)(hostname)),
    arraySort(arrayFilter(x -> x != '', groupUniqArray(20)(
        if(container_name != '', container_name, pod_name)))),
    arraySort(groupUniqArray(50)(environment_id)),
    name NOT IN ({_NOT_NEW}) AS is_new, max(replayed)
FROM dns_lookups WHERE %s
GROUP BY name, exe ORDER BY lookups DESC, name, exe LIMIT {MOST_NAMES}
"""  # noqa: S608
_TOTALS: Final = f"""
SELECT {_SUMS}, uniqExact(name), uniqExactIf(name, name NOT IN ({_NOT_NEW}))
FROM dns_lookups WHERE %s
"""  # noqa: S608


@dataclass(frozen=True)
class LookupFilter:
    """Lookups of ``[since, until)`` that match every field that is given."""

    since: datetime
    until: datetime
    environments: tuple[UUID, ...] = ()
    """Empty: all of the account."""
    name: str = ""
    process: str = ""
    """The executable's path."""
    direction: str = ""
    """One of ``DIRECTIONS``; ``ingress``: the process was asked."""
    result: str = ""
    """One of ``RESULTS``."""
    only_new: bool = False
    query: str = ""
    """Part of the name or the executable; case does not matter."""

    def __post_init__(self) -> None:
        for name, allowed in (("direction", DIRECTIONS), ("result", RESULTS)):
            value = getattr(self, name)
            if value and value not in allowed:
                raise Invalid(f"{name} must be one of {', '.join(allowed)}", fields={name: value})
        if self.until <= self.since:
            raise Invalid("the end of the range must come after its beginning")


@dataclass(frozen=True, slots=True)
class NameRow:
    """What one process asked about one name."""

    name: str
    exe: str
    lookups: int
    failed: int
    """Another code than NOERROR, no readable answer, or none at all."""
    nxdomain: int
    timeouts: int
    p95_us: float
    """Within 1.6 %."""
    first_seen: datetime
    """Within the range."""
    last_seen: datetime
    types: tuple[str, ...]
    rcodes: tuple[str, ...]
    addresses: tuple[str, ...]
    """Of the last answer that had some."""
    resolvers: tuple[str, ...]
    nodes: tuple[str, ...]
    containers: tuple[str, ...]
    environments: tuple[UUID, ...]
    is_new: bool
    """Nobody of the account asked for it in ``NEW_AFTER`` before the range."""
    replayed: bool


@dataclass(frozen=True, slots=True)
class LookupTotals:
    lookups: int
    failed: int
    nxdomain: int
    timeouts: int
    names: int
    new_names: int


def names(scope: Scope, chosen: LookupFilter, *, store: Store | None = None) -> list[NameRow]:
    """By lookups, the most first; at most ``MOST_NAMES``."""
    where, parameters = _conditions(scope, chosen)
    rows = ask(scope, _NAMES % where, parameters, store=store)
    return [_name_row(row) for row in rows]


def lookup_totals(
    scope: Scope, chosen: LookupFilter, *, store: Store | None = None
) -> LookupTotals:
    where, parameters = _conditions(scope, chosen)
    (row,) = ask(scope, _TOTALS % where, parameters, store=store)
    return LookupTotals(*map(int, row))


def _conditions(scope: Scope, chosen: LookupFilter) -> tuple[str, dict[str, Any]]:
    parameters: dict[str, Any] = {
        "account": scope.account_id,
        "since": micros(chosen.since),
        "until": micros(chosen.until),
        "before": micros(chosen.since - NEW_AFTER),
    }
    parts = [
        "account_id = {account:UUID}",
        "timestamp >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')",
        "timestamp < fromUnixTimestamp64Micro({until:Int64}, 'UTC')",
    ]
    for name, condition in _NARROWING.items():
        value = getattr(chosen, name)
        if value:
            parts.append(condition)
            parameters[name] = list(value) if isinstance(value, tuple) else value
    if chosen.result:
        parts.append(_RESULTS[chosen.result])
    if chosen.only_new:
        parts.append(f"name NOT IN ({_NOT_NEW})")
    return " AND ".join(parts), parameters


def _name_row(row: Any) -> NameRow:
    values: list[Any] = [tuple(value) if isinstance(value, list) else value for value in row]
    values[6] = microseconds(int(values[6]))
    values[11] = tuple(line for line in str(values[11]).splitlines() if line)
    values[-2:] = [bool(value) for value in values[-2:]]
    return NameRow(*values)
