"""Series, sums and rankings of one range in one scan, for the page that shows them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pulse.store.client import Store
from pulse.store.filters import TrafficFilter, conditions
from pulse.store.gate import ask
from pulse.store.series import BUCKET, MEASURES, Sums, sums_of
from pulse.store.tops import DIMENSIONS, Group
from qcloud.kernel.scope import Scope


@dataclass(frozen=True)
class Overview:
    buckets: dict[int, Sums]
    """As ``pulse.store.series.series`` gives them."""
    total: Sums | None
    tops: dict[str, list[Group]]
    """As ``pulse.store.tops.tops`` gives them."""


def overview(
    scope: Scope,
    chosen: TrafficFilter,
    step_us: int,
    dimensions: Sequence[str],
    limit: int,
    *,
    store: Store | None = None,
) -> Overview:
    """``series`` and ``tops`` at once. Raises ``KeyError`` for an unknown dimension."""
    where, parameters = conditions(scope, chosen)
    rows = ask(
        scope,
        _statement([DIMENSIONS[name] for name in dimensions], where),
        {**parameters, "step": step_us, "limit": limit},
        store=store,
    )
    found = Overview({}, None, {name: [] for name in dimensions})
    total = None
    for row in rows:
        keys, which, measures = row[: len(dimensions) + 1], row[len(dimensions) + 1], row[-14:]
        place = _place(which, len(keys))
        if place is None:
            total = sums_of(measures[:-1])
        elif place == 0:
            found.buckets[int(keys[0])] = sums_of(measures[:-1])
        else:
            found.tops[dimensions[place - 1]].append(_group(keys[place], measures))
    return Overview(found.buckets, total if total and total.requests else None, found.tops)


def _statement(columns: list[str], where: str) -> str:
    names = [f"d{i}" for i in range(len(columns))]
    named = ", ".join(f"{column} AS {name}" for column, name in zip(columns, names, strict=True))
    texts = ", ".join(["''", "''", *(f"toString({name})" for name in names)])
    sets = ", ".join(f"({name})" for name in ("bucket", *names))
    every = ", ".join(("bucket", *names))
    # ``grouping`` has a bit for each key, the first one highest: 1 when the row is not
    # grouped by it. A bucket's own number keeps LIMIT BY from touching the series.
    ours = f"which = {2 ** len(names) - 1} OR which = {2 ** (len(names) + 1) - 1}"
    return (
        f"SELECT {BUCKET} AS bucket, {named}, grouping({every}) AS which, {MEASURES},"  # noqa: S608
        f" max(timestamp) AS last_seen FROM requests WHERE {where}"
        f" GROUP BY GROUPING SETS ({sets}, ()) HAVING {ours} OR concat({texts}) != ''"
        " ORDER BY requests DESC, last_seen DESC LIMIT {limit:UInt32} BY which, bucket"
    )


def _place(which: int, count: int) -> int | None:
    """Which key the row is grouped by; ``None``: it is the sum of all."""
    return next((i for i in range(count) if not which >> (count - 1 - i) & 1), None)


def _group(value: Any, measures: Sequence[Any]) -> Group:
    sums = sums_of(measures[:-1])
    return Group(
        value=str(value),
        requests=sums.requests,
        errors=sums.status_4xx + sums.status_5xx,
        unanswered=sums.no_response,
        bytes_sent=sums.bytes_sent,
        bytes_received=sums.bytes_received,
        p95_us=sums.quantiles[1],
        last_seen=measures[-1],
    )
