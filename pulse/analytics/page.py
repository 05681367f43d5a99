"""The traffic page in as few scans as it takes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pulse.analytics.covers import kept_since, manifest_for
from pulse.analytics.series import (
    Scan,
    TimeSeries,
    Totals,
    latency_series,
    prepared_scan,
    requests_series,
    status_series,
    steps_of,
    totals_of,
)
from pulse.analytics.tiles.question import question_of
from pulse.analytics.top import DEFAULT_LIMIT, Ranking, prepared_rankings, rankings_of
from pulse.store.client import Store
from pulse.store.filters import TrafficFilter
from qcloud.kernel.scope import Scope

TOPS: Final = ("host", "route", "process", "vendor")

# The engine works while these wait.
_pool = ThreadPoolExecutor(8, "analytics")


@dataclass(frozen=True)
class TrafficPage:
    """Everything the page shows, of one and the same range."""

    totals: Totals
    requests: TimeSeries
    latency: TimeSeries
    status: TimeSeries
    rankings: dict[str, Ranking]
    """By ``host``, ``route``, ``process`` and ``vendor``."""
    kept_since: datetime | None = None
    """Before it nothing is kept that could answer; ``None``: all of the range is."""


def traffic_page(scope: Scope, chosen: TrafficFilter, *, store: Store | None = None) -> TrafficPage:
    """Totals, series and rankings of the range.

    Raises ``StoreUnavailable``.
    """
    manifest = manifest_for(scope, chosen)
    question = question_of(scope, chosen, manifest, store=store)
    if question is not None:
        steps = steps_of(chosen, manifest)
        both = question.both(steps, TOPS, DEFAULT_LIMIT, _pool)
        if both is not None:
            (buckets, total), ranked = both
            found = Scan(steps, buckets, total, kept_since(chosen, manifest))
            return _page(found, rankings_of(ranked))

    def rank() -> dict[str, Ranking]:
        return prepared_rankings(scope, chosen, TOPS, manifest, store=store)

    # The engine answers two questions at the same time.
    asked = _pool.submit(copy_context().run, rank)
    found = prepared_scan(scope, chosen, manifest, store)
    return _page(found, asked.result())


def _page(found: Scan, rankings: dict[str, Ranking]) -> TrafficPage:
    return TrafficPage(
        totals=totals_of(found),
        requests=requests_series(found),
        latency=latency_series(found),
        status=status_series(found),
        rankings=rankings,
        kept_since=found.kept_since,
    )
