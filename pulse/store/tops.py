"""Who and what takes the most: groups by one dimension, several of them in one scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pulse.store.client import Store
from pulse.store.filters import TrafficFilter, conditions
from pulse.store.gate import ask
from pulse.store.latency import P95, microseconds
from qcloud.kernel.scope import Scope

# What a page may group by, as an expression on ``requests``. Nothing else reaches the SQL.
DIMENSIONS: Final = {
    "host": "host",
    "path": "path",
    "route": "route",
    "endpoint": "concat(method, ' ', host, path)",
    "method": "method",
    "status": "toString(status)",
    "process": "exe",
    "vendor": "vendor",
    "hostname": "hostname",
    "container": "container_name",
    "tag": "arrayJoin(splitByChar('\\n', tags))",
    "pod": "if(pod_name = '', '', concat(pod_namespace, '/', pod_name))",
    "protocol": "protocol",
    "content_type": "content_type",
    "user_agent": "agent",
}

_MEASURES: Final = f"""
    count() AS requests,
    countIf(status >= 400) AS errors,
    {P95}
"""


@dataclass(frozen=True)
class Group:
    """One value of a dimension and its exchanges."""

    value: str
    requests: int
    errors: int
    """Answered with 4xx or 5xx."""
    p95_us: float
    """Within 1.6 %."""


def tops(
    scope: Scope,
    chosen: TrafficFilter,
    dimensions: Sequence[str],
    limit: int,
    *,
    store: Store | None = None,
) -> dict[str, list[Group]]:
    """The ``limit`` largest groups of each dimension, by requests; the empty value left out.

    A request counts under each of its tags. Raises ``KeyError`` for an unknown dimension.
    """
    if "tag" in dimensions and len(dimensions) > 1:
        # It makes several rows of one, which the other dimensions must not count.
        rest = [name for name in dimensions if name != "tag"]
        alone = tops(scope, chosen, ["tag"], limit, store=store)
        return tops(scope, chosen, rest, limit, store=store) | alone
    where, parameters = conditions(scope, chosen)
    columns = [DIMENSIONS[name] for name in dimensions]
    named = ", ".join(f"{column} AS d{i}" for i, column in enumerate(columns))
    keys = ", ".join(f"d{i}" for i in range(len(columns)))
    sets = ", ".join(f"(d{i})" for i in range(len(columns)))
    sql = (
        f"SELECT {named}, grouping({keys}) AS which, {_MEASURES} FROM requests WHERE {where}"  # noqa: S608
        f" GROUP BY GROUPING SETS ({sets}) HAVING concat({_texts(len(columns))}) != ''"
        f" ORDER BY requests DESC, {keys} LIMIT {{limit:UInt32}} BY which"
    )
    rows = ask(scope, sql, {**parameters, "limit": limit}, store=store)
    found: dict[str, list[Group]] = {name: [] for name in dimensions}
    for row in rows:
        place = _place(row[len(columns)], len(columns))
        found[dimensions[place]].append(_group(row[place], row[len(columns) + 1 :]))
    return found


def _texts(count: int) -> str:
    """ClickHouse's ``concat`` wants two arguments; the keys outside a set are empty."""
    return ", ".join(["''", *(f"toString(d{i})" for i in range(count))])


def _place(which: int, count: int) -> int:
    """``grouping`` has a bit for each key, 1 when the row is not grouped by it."""
    return next(i for i in range(count) if not which >> (count - 1 - i) & 1)


def _group(value: Any, measures: Sequence[Any]) -> Group:
    requests, errors, p95 = measures
    return Group(str(value), requests, errors, microseconds(int(p95)))
