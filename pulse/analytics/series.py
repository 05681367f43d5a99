"""Series over time, gaps filled, and the sums of a range."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pulse.analytics.covers import cover_for_series, kept_since, least_step, manifest_for
from pulse.analytics.steps import Steps, steps_for
from pulse.analytics.tiles.question import Question, question_of
from pulse.store import series as store_series
from pulse.store.client import Store
from pulse.store.filters import TrafficFilter
from pulse.store.rolled import read as rolled
from pulse.store.rolled.cover import Manifest
from pulse.store.rolled.read import source_of
from pulse.store.series import Sums
from qcloud.kernel.scope import Scope

Value = int | float | None


@dataclass(frozen=True)
class Series:
    """One line of a chart; a value for each of the chart's times."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class TimeSeries:
    """A chart over time. ``times`` are the beginnings of buckets of length ``step``, UTC."""

    step: timedelta
    times: tuple[datetime, ...]
    series: tuple[Series, ...]
    unit: str
    """``requests`` a bucket, or ``ms``."""


@dataclass(frozen=True)
class Totals:
    """Sums of a range. Latencies in milliseconds, within 1.6 %; ``None`` without requests."""

    requests: int = 0
    ingress: int = 0
    egress_internal: int = 0
    egress_external: int = 0
    status_2xx: int = 0
    status_3xx: int = 0
    status_4xx: int = 0
    status_5xx: int = 0
    no_response: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    replayed: int = 0
    """Of them fed from a recording; to be said wherever figures are shown."""
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None

    @property
    def errors(self) -> int:
        """Answered with 4xx or 5xx."""
        return self.status_4xx + self.status_5xx

    @property
    def error_ratio(self) -> float:
        """0 to 1; 0 without requests."""
        return self.errors / self.requests if self.requests else 0.0


@dataclass(frozen=True)
class Scan:
    """What one scan of the store tells about a range."""

    steps: Steps
    buckets: dict[int, Sums]
    total: Sums | None
    kept_since: datetime | None = None
    """Before it nothing is kept that could answer; ``None``: all of the range is."""


def requests_over_time(
    scope: Scope, chosen: TrafficFilter, *, store: Store | None = None
) -> TimeSeries:
    """Requests a bucket by direction: ``ingress``, ``egress-internal``, ``egress-external``."""
    return requests_series(scan(scope, chosen, store))


def latency_over_time(
    scope: Scope, chosen: TrafficFilter, *, store: Store | None = None
) -> TimeSeries:
    """``p50``, ``p95``, ``p99`` a bucket in milliseconds; ``None`` where nothing happened."""
    return latency_series(scan(scope, chosen, store))


def status_over_time(
    scope: Scope, chosen: TrafficFilter, *, store: Store | None = None
) -> TimeSeries:
    """Requests a bucket by class of status: ``2xx`` … ``5xx``, ``none``."""
    return status_series(scan(scope, chosen, store))


def totals(scope: Scope, chosen: TrafficFilter, *, store: Store | None = None) -> Totals:
    return totals_of(scan(scope, chosen, store))


def scan(scope: Scope, chosen: TrafficFilter, store: Store | None) -> Scan:
    """One pass over the range. Raises ``StoreUnavailable``."""
    manifest = manifest_for(scope, chosen)
    question = question_of(scope, chosen, manifest, store=store)
    return prepared_scan(scope, chosen, manifest, store, question)


def prepared_scan(
    scope: Scope,
    chosen: TrafficFilter,
    manifest: Manifest,
    store: Store | None,
    question: Question | None = None,
) -> Scan:
    """``scan`` with what is known of the rollups: it asks the event store alone."""
    steps = steps_of(chosen, manifest)
    source = source_of(chosen)
    held = question.series(steps) if question else None
    if held is not None:
        buckets, total = held
    elif source is None:
        buckets, total = store_series.series(scope, chosen, steps.step_us, store=store)
    else:
        found = cover_for_series(chosen, manifest, steps.step_us, source)
        buckets, total = rolled.series(scope, chosen, steps.step_us, source, found, store=store)
    return Scan(steps, buckets, total, kept_since(chosen, manifest))


def steps_of(chosen: TrafficFilter, manifest: Manifest) -> Steps:
    """No finer than what is kept of the range."""
    return steps_for(chosen.since, chosen.until, least=least_step(chosen, manifest))


def requests_series(found: Scan) -> TimeSeries:
    return _chart(found, _DIRECTIONS, 0, "requests")


def status_series(found: Scan) -> TimeSeries:
    return _chart(found, _STATUSES, 0, "requests")


def latency_series(found: Scan) -> TimeSeries:
    return _chart(found, _LATENCIES, None, "ms")


def totals_of(found: Scan) -> Totals:
    if found.total is None:
        return Totals()
    counts = {k: v for k, v in vars(found.total).items() if k != "quantiles"}
    p50, p95, p99 = (_milliseconds(value) for value in found.total.quantiles)
    return Totals(**counts, p50_ms=p50, p95_ms=p95, p99_ms=p99)


_Reader = Callable[[Sums], Value]
_DIRECTIONS: Final[dict[str, _Reader]] = {
    "ingress": lambda s: s.ingress,
    "egress-internal": lambda s: s.egress_internal,
    "egress-external": lambda s: s.egress_external,
}
_STATUSES: Final[dict[str, _Reader]] = {
    "2xx": lambda s: s.status_2xx,
    "3xx": lambda s: s.status_3xx,
    "4xx": lambda s: s.status_4xx,
    "5xx": lambda s: s.status_5xx,
    "none": lambda s: s.no_response,
}
_LATENCIES: Final[dict[str, _Reader]] = {
    "p50": lambda s: _milliseconds(s.quantiles[0]),
    "p95": lambda s: _milliseconds(s.quantiles[1]),
    "p99": lambda s: _milliseconds(s.quantiles[2]),
}


def _chart(found: Scan, readers: dict[str, _Reader], gap: Value, unit: str) -> TimeSeries:
    lines = []
    for name, read in readers.items():
        values = (
            read(found.buckets[number]) if number in found.buckets else gap
            for number in found.steps.numbers
        )
        lines.append(Series(name, tuple(values)))
    return TimeSeries(found.steps.step, found.steps.times, tuple(lines), unit)


def _milliseconds(microseconds: float) -> float:
    return microseconds / 1_000
