"""Series and rankings from rollups and raw requests together.

Both halves count by the same texts (``kinds``), so that the sum is what the requests alone
would give, percentiles included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pulse.store.client import Store
from pulse.store.filters import TrafficFilter, conditions
from pulse.store.gate import ask
from pulse.store.latency import microseconds
from pulse.store.rolled.cover import Cover, Rolled, Span
from pulse.store.rolled.kinds import COUNTS, ERRORS, HISTOGRAM, MERGED, PLACES, VALUES, flag_of
from pulse.store.series import Sums, sums_of
from pulse.store.tops import Group
from qcloud.kernel.scope import Scope

_DIMENSIONS: Final = {
    "host": "host",
    "method": "method",
    "status": "status",
    "status_class": "class",
    "process": "process",
    "direction": "direction",
    "vendor": "vendor",
    "route": "route",
}
"""Fields of a filter that rollups know, with their kinds."""
_ONLY_RAW: Final = (
    "path", "path_prefix", "node", "container", "pod", "tag", "header", "digest", "kept", "query",
)  # fmt: skip
_SUMS: Final = ", ".join(f"sum({name}) AS {name}" for name in COUNTS)
_RAW: Final = ", ".join(f"{text} AS {name}" for name, text in COUNTS.items())
_CLASSES: Final = {"none": "0", "2xx": "2", "3xx": "3", "4xx": "4", "5xx": "5"}


@dataclass(frozen=True)
class Source:
    """The rows of ``rollups`` that answer a filter; ``value`` of one kind, or the cube."""

    kind: str
    value: str = ""

    @property
    def without(self) -> int:
        return flag_of(self.kind)


@dataclass(frozen=True)
class Ranked:
    """The largest groups of a dimension, and what stands behind them."""

    groups: tuple[Group, ...]
    other_values: int
    other_requests: int


def source_of(chosen: TrafficFilter) -> Source | None:
    """Where sums under this filter stand; ``None``: the requests alone can tell."""
    given = narrowed(chosen)
    if given is None:
        return None
    if not given:
        return Source("total")
    if len(given) > 1:
        return Source("cube")
    ((kind, value),) = given.items()
    return Source(kind, value)


def narrowed(chosen: TrafficFilter) -> dict[str, str] | None:
    """The filter as kinds and their values; ``None``: rollups do not know all of it."""
    if any(getattr(chosen, name) for name in _ONLY_RAW):
        return None
    given = {kind: getattr(chosen, name) for name, kind in _DIMENSIONS.items()}
    return {
        kind: _CLASSES[value] if kind == "class" else str(value)
        for kind, value in given.items()
        if value not in ("", None)
    }


def ranks_from(chosen: TrafficFilter, kinds: Sequence[str]) -> int | None:
    """Flags of the kinds that rankings need; ``None`` when rollups do not have them."""
    source = source_of(chosen)
    if source is None or not set(kinds) <= set(VALUES) | set(PLACES):
        return None
    if source.kind == "total":
        return sum(flag_of(kind) for kind in set(kinds))
    return flag_of("cube") if set(kinds) <= set(VALUES) else None


def series(
    scope: Scope,
    chosen: TrafficFilter,
    step_us: int,
    source: Source,
    found: Cover,
    *,
    store: Store | None = None,
) -> tuple[dict[int, Sums], Sums | None]:
    """As ``store.series.series``, and equal to it."""
    where, parameters = conditions(scope, chosen)
    columns = ", ".join(COUNTS)
    bucket = "intDiv(toUnixTimestamp64Micro(timestamp), {step:Int64})"
    branches = [
        f"SELECT {bucket} AS b, {_RAW}, {HISTOGRAM} AS histogram FROM requests"  # noqa: S608
        f" WHERE {where} AND {spans} GROUP BY b"
        for spans in raw_conditions(found.raw)
    ]
    rolled_where = _rolled_where(scope, chosen, source)
    levels = [_level(index, part) for index, part in enumerate(found.rolled)]
    if levels:
        branches.append(
            f"SELECT intDiv(toInt64(toUnixTimestamp(bucket)) * 1000000, {{step:Int64}}) AS b,"  # noqa: S608
            f" {columns}, histogram FROM rollups WHERE ({' OR '.join(levels)}) AND {rolled_where}"
        )
    if not branches:
        return {}, None
    sql = (
        f"SELECT b, grouping(b) AS is_total, {_SUMS}, {MERGED}"  # noqa: S608
        f" FROM ({' UNION ALL '.join(branches)}) GROUP BY b WITH ROLLUP"
    )
    parameters |= {"step": step_us, "value": source.value, **_versions(found)}
    rows = ask(scope, sql, parameters, store=store)
    buckets = {int(row[0]): sums_of(row[2:]) for row in rows if not row[1]}
    totals = [sums_of(row[2:]) for row in rows if row[1]]
    return buckets, totals[0] if totals and totals[0].requests else None


def ranks(
    scope: Scope,
    chosen: TrafficFilter,
    kinds: Sequence[str],
    limit: int,
    found: Cover,
    *,
    store: Store | None = None,
) -> dict[str, Ranked]:
    """The ``limit`` largest groups of each kind, by requests; the empty value left out."""
    counted = _counted(scope, chosen, kinds, found, limit=limit, store=store)
    measured = _measured(scope, chosen, counted, found, store)
    result = {}
    for kind in kinds:
        rows = counted.get(kind, [])
        groups = tuple(
            Group(value, requests, errors, measured[kind, value])
            for value, requests, errors, _, _ in rows
        )
        values, requests = rows[0][3:] if rows else (0, 0)
        shown = sum(group.requests for group in groups)
        result[kind] = Ranked(groups, values - len(groups), requests - shown)
    return result


_Counted = dict[str, list[tuple[str, int, int, int, int]]]


def _counted(
    scope: Scope,
    chosen: TrafficFilter,
    kinds: Sequence[str],
    found: Cover,
    *,
    limit: int,
    store: Store | None,
) -> _Counted:
    """By kind: value, requests, errors; values and requests of the whole kind."""
    rows_of, parameters = _branches(scope, chosen, kinds, found, _SIZES)
    if not rows_of:
        return {}
    sql = (
        "SELECT k, v, sum(requests) AS n, sum(errors),"  # noqa: S608
        " count() OVER (PARTITION BY k), sum(n) OVER (PARTITION BY k)"
        f" FROM ({rows_of}) WHERE v != '' GROUP BY k, v"
        " ORDER BY n DESC, v LIMIT {limit:UInt32} BY k"
    )
    counted: _Counted = {}
    for row in ask(scope, sql, {**parameters, "limit": limit}, store=store):
        entry = (str(row[1]), *(int(value) for value in row[2:]))
        counted.setdefault(str(row[0]), []).append(entry)  # type: ignore[arg-type]
    return counted


def _measured(
    scope: Scope, chosen: TrafficFilter, counted: _Counted, found: Cover, store: Store | None
) -> dict[tuple[str, str], float]:
    """The 95th percentile, microseconds, of those values that are shown."""
    pairs = [(kind, row[0]) for kind, rows in counted.items() for row in rows]
    if not pairs:
        return {}
    rows_of, parameters = _branches(scope, chosen, list(counted), found, _SHAPES)
    sql = f"SELECT k, v, {MERGED} FROM ({rows_of}) GROUP BY k, v"  # noqa: S608
    parameters |= {"kinds": [k for k, _ in pairs], "values": [v for _, v in pairs]}
    rows = ask(scope, sql, parameters, store=store)
    return {(str(row[0]), str(row[1])): microseconds(int(row[2][1])) for row in rows}


@dataclass(frozen=True)
class _Wanted:
    """What a ranking takes from each source: of requests, of one value's rows, of the cube."""

    names: str
    raw: str
    cube: str
    among: str = ""


_SIZES: Final = _Wanted(
    "requests, errors",
    f"count() AS requests, {ERRORS} AS errors",
    "sum(c.requests) AS requests, sum(c.errors) AS errors",
)
_SHAPES: Final = _Wanted(
    "histogram",
    f"{HISTOGRAM} AS histogram",
    "(groupArrayArray(c.histogram.1), groupArrayArray(c.histogram.2)) AS histogram",
    " AND (k, v) IN arrayZip({kinds:Array(String)}, {values:Array(String)})",
)


def _branches(
    scope: Scope, chosen: TrafficFilter, kinds: Sequence[str], found: Cover, wanted: _Wanted
) -> tuple[str, dict[str, Any]]:
    """Rows of kind, value and what is ``wanted``, out of every part of the cover.

    Requests and the cube are grouped by all dimensions together first: there are few
    combinations, and only they are taken apart into values.
    """
    where, parameters = conditions(scope, chosen)
    source = source_of(chosen) or Source("cube")
    names = ", ".join(f"'{kind}'" for kind in kinds)
    texts = {**VALUES, **PLACES}
    cells = ", ".join(f"{texts[kind]} AS d{i}" for i, kind in enumerate(kinds))
    keys = ", ".join(f"d{i}" for i in range(len(kinds)))
    pairs = ", ".join(f"('{kind}', toString(d{i}))" for i, kind in enumerate(kinds))
    apart = (
        f"SELECT pair.1 AS k, pair.2 AS v, {wanted.names} FROM (%s)"  # noqa: S608
        f" ARRAY JOIN [{pairs}] AS pair WHERE 1{wanted.among}"
    )
    parts = [
        apart
        % f"SELECT {cells}, {wanted.raw} FROM requests WHERE {where} AND {spans} GROUP BY {keys}"  # noqa: S608
        for spans in raw_conditions(found.raw)
    ]
    rolled_where = _rolled_where(scope, chosen, Source("cube"))
    levels = [_level(index, part) for index, part in enumerate(found.rolled)]
    if source.kind == "total" and levels:
        among = " AND value IN {values:Array(String)}" if wanted.among else ""
        parts.append(
            f"SELECT toString(kind) AS k, toString(value) AS v, {wanted.names} FROM rollups"  # noqa: S608
            f" WHERE ({' OR '.join(levels)}) AND account_id = {{account:UUID}}"
            f" AND kind IN ({names}){_environments(chosen)}{among}{wanted.among}"
        )
    elif levels:
        parts.append(
            apart % f"SELECT {cells}, {wanted.cube} FROM rollups AS c WHERE ({' OR '.join(levels)})"  # noqa: S608
            f" AND {rolled_where} GROUP BY {keys}"
        )
    return " UNION ALL ".join(parts), {**parameters, **_versions(found)}


def raw_conditions(spans: Sequence[Span]) -> list[str]:
    """One condition for all spans; none for no span."""
    if not spans:
        return []
    moments = (
        f"timestamp >= fromUnixTimestamp64Micro({low}, 'UTC')"
        f" AND timestamp < fromUnixTimestamp64Micro({high}, 'UTC')"
        for low, high in spans
    )
    return ["(" + " OR ".join(f"({text})" for text in moments) + ")"]


def _level(index: int, part: Rolled) -> str:
    return (
        f"(level = {part.level} AND bucket >= toDateTime({part.since}, 'UTC')"
        f" AND bucket < toDateTime({part.until}, 'UTC')"
        f" AND version IN {{versions_{index}:Array(UInt64)}})"
    )


def _versions(found: Cover) -> dict[str, list[int]]:
    return {f"versions_{index}": list(part.versions) for index, part in enumerate(found.rolled)}


def _rolled_where(scope: Scope, chosen: TrafficFilter, source: Source) -> str:
    if source.kind == "cube":
        where, _ = conditions(scope, chosen, moments=False)
        return f"kind = 'cube' AND {where}"
    value = "" if source.kind == "total" else " AND value = {value:String}"
    return f"account_id = {{account:UUID}} AND kind = '{source.kind}'{value}{_environments(chosen)}"


def _environments(chosen: TrafficFilter) -> str:
    return " AND environment_id IN {environments:Array(UUID)}" if chosen.environments else ""


__all__ = ["Ranked", "Source", "narrowed", "ranks", "ranks_from", "series", "source_of"]
