"""Sums over a window that moves minute by minute, for rules and their previews."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from pulse.store.client import Store
from pulse.store.filters import TrafficFilter, conditions, micros, moment_of
from pulse.store.gate import ask
from qcloud.kernel.scope import Scope

MINUTE: Final = timedelta(minutes=1)
_MINUTE_US: Final = 60_000_000

# States of the quantiles are merged over the window, so a tick says what one query over its
# window would. Minutes without a request are filled in: a window over them is a window too.
_TICKS: Final = """
SELECT minute, sum(requests) OVER span, sum(errors) OVER span, sum(bytes) OVER span,
    quantilesBFloat16Merge(0.95, 0.99)(latency) OVER span
FROM (
    SELECT intDiv(toUnixTimestamp64Micro(timestamp), 60000000) AS minute, count() AS requests,
        countIf(status >= 500 OR status = 0) AS errors,
        sum(toUInt128(bytes_sent) + toUInt128(bytes_received)) AS bytes,
        quantilesBFloat16State(0.95, 0.99)(duration_us) AS latency
    FROM requests WHERE %s GROUP BY minute
    ORDER BY minute WITH FILL FROM (toInt64({first:Int64})) TO toInt64({end:Int64}) STEP 1
) WINDOW span AS (ORDER BY minute RANGE BETWEEN %d PRECEDING AND CURRENT ROW)
ORDER BY minute
"""


@dataclass(frozen=True, slots=True)
class Tick:
    at: datetime
    """The end of the window; events at this very moment are in the next one."""
    requests: int
    errors: int
    """5xx, or no answer."""
    bytes: int
    p95_us: float
    """``nan`` without requests; within 1 %."""
    p99_us: float


def ticks(
    scope: Scope,
    chosen: TrafficFilter,
    window: timedelta,
    *,
    store: Store | None = None,
) -> list[Tick]:
    """A tick for each full minute ``t`` in ``[since, until]`` of the filter: what happened in
    ``[t - window, t)``. Whole minutes all of them.
    """
    span = int(window / MINUTE)
    first, last = micros(chosen.since) // _MINUTE_US, micros(chosen.until) // _MINUTE_US
    where, parameters = conditions(
        scope, replace(chosen, since=chosen.since - window, until=chosen.until)
    )
    parameters |= {"first": first - span, "end": last}
    rows = ask(scope, _TICKS % (where, span - 1), parameters, store=store)
    found = (
        Tick(
            moment_of((int(row[0]) + 1) * _MINUTE_US),
            int(row[1]), int(row[2]), int(row[3]), row[4][0], row[4][1],
        )
        for row in rows
    )  # fmt: skip
    return [tick for tick in found if chosen.since <= tick.at <= chosen.until]
