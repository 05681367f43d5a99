"""The traffic page in as few scans as it takes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Final

from pulse.analytics.series import (
    TimeSeries,
    Totals,
    latency_series,
    requests_series,
    scan,
    status_series,
    totals_of,
)
from pulse.analytics.top import TopRow, top, top_many
from pulse.store.client import Store
from pulse.store.filters import TrafficFilter
from qcloud.kernel.scope import Scope

TOPS: Final = ("host", "process", "vendor")

# The engine works while these wait; two of the three questions wait here.
_pool = ThreadPoolExecutor(8, "analytics")


@dataclass(frozen=True)
class TrafficPage:
    """Everything the page shows, of one and the same range."""

    totals: Totals
    requests: TimeSeries
    latency: TimeSeries
    status: TimeSeries
    tops: dict[str, list[TopRow]]
    """By ``host``, ``path``, ``process`` and ``vendor``."""


def traffic_page(scope: Scope, chosen: TrafficFilter, *, store: Store | None = None) -> TrafficPage:
    """Totals, series and rankings of the range.

    Three questions asked at the same time. Raises ``StoreUnavailable``.
    """
    tops = _pool.submit(copy_context().run, lambda: top_many(scope, chosen, TOPS, store=store))
    paths = _pool.submit(copy_context().run, lambda: top(scope, chosen, "path", store=store))
    found = scan(scope, chosen, store)
    return TrafficPage(
        totals=totals_of(found),
        requests=requests_series(found),
        latency=latency_series(found),
        status=status_series(found),
        tops={**tops.result(), "path": paths.result()},
    )
