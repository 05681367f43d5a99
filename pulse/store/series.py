"""Traffic over time: one scan gives every series of the page and the sums above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pulse.store.client import Store
from pulse.store.filters import TrafficFilter, conditions
from pulse.store.gate import ask
from pulse.store.latency import PERCENTILES, microseconds
from qcloud.kernel.scope import Scope

MEASURES: Final = f"""
    count() AS requests,
    countIf(direction = 'ingress'),
    countIf(direction = 'egress-internal'),
    countIf(direction = 'egress-external'),
    countIf(status BETWEEN 200 AND 299),
    countIf(status BETWEEN 300 AND 399),
    countIf(status BETWEEN 400 AND 499),
    countIf(status BETWEEN 500 AND 599),
    countIf(status = 0),
    sum(bytes_sent),
    sum(bytes_received),
    countIf(replayed),
    {PERCENTILES}
"""
BUCKET: Final = "intDiv(toUnixTimestamp64Micro(timestamp), {step:Int64})"
_SERIES: Final = (
    f"SELECT {BUCKET} AS bucket, grouping(bucket) AS is_total, {MEASURES}"  # noqa: S608
    " FROM requests WHERE %s GROUP BY bucket WITH ROLLUP"
)


@dataclass(frozen=True)
class Sums:
    """Counts of exchanges; latencies in microseconds."""

    quantiles: tuple[float, float, float]
    """p50, p95, p99."""
    requests: int
    ingress: int
    egress_internal: int
    egress_external: int
    status_2xx: int
    status_3xx: int
    status_4xx: int
    status_5xx: int
    no_response: int
    bytes_sent: int
    bytes_received: int
    replayed: int


def series(
    scope: Scope, chosen: TrafficFilter, step_us: int, *, store: Store | None = None
) -> tuple[dict[int, Sums], Sums | None]:
    """Sums by bucket number (microseconds since 1970 divided by ``step_us``), and of all.

    Buckets without an exchange are left out; no sum when there is none at all.
    """
    where, parameters = conditions(scope, chosen)
    rows = ask(scope, _SERIES % where, {**parameters, "step": step_us}, store=store)
    buckets = {int(row[0]): sums_of(row[2:]) for row in rows if not row[1]}
    totals = [sums_of(row[2:]) for row in rows if row[1]]
    return buckets, totals[0] if totals and totals[0].requests else None


def sums_of(measures: Sequence[Any]) -> Sums:
    """The values of ``MEASURES``, in their order."""
    p50, p95, p99 = (microseconds(int(key)) for key in measures[-1])
    return Sums((p50, p95, p99), *(int(value) for value in measures[:-1]))
