"""Charts of traffic from the series that Pulse counts."""

from __future__ import annotations

from typing import Final

from django.utils import timezone

from portal.kit import formats
from portal.kit.charts import Chart, Series
from pulse.analytics import TimeSeries, Totals

_STATUS_COLOURS: Final = {
    "none": ("no response", "status-none"),
    "5xx": ("5xx", "status-5xx"),
    "4xx": ("4xx", "status-4xx"),
    "3xx": ("3xx", "status-3xx"),
    "2xx": ("2xx", "status-2xx"),
}
"""From the top of the stack to its ground."""
_LATENCY_COLOURS: Final = {"p50": "series-1", "p95": "series-2", "p99": "series-5"}


def status_chart(found: TimeSeries, totals: Totals) -> Chart:
    """Requests a second by status, stacked."""
    step = int(found.step.total_seconds())
    by_name = {series.name: series.values for series in found.series}
    return Chart(
        id="chart-status",
        title="Requests a second by status",
        sentence=_status_sentence(totals),
        unit="req/s",
        times=found.times,
        series=tuple(
            Series(label, colour, tuple(None if v is None else v / step for v in by_name[name]))
            for name, (label, colour) in _STATUS_COLOURS.items()
        ),
        step=step,
        stacked=True,
        now=int(timezone.now().timestamp()),
    )


def _status_sentence(totals: Totals) -> str:
    share = totals.status_5xx / totals.requests if totals.requests else None
    return (
        f"{formats.count(totals.requests)} requests; {formats.count(totals.status_5xx)}"
        f" server errors ({formats.percent(share)}), {formats.count(totals.status_4xx)}"
        f" client errors, {formats.count(totals.no_response)} without response."
    )


def latency_chart(found: TimeSeries, totals: Totals) -> Chart:
    """Percentiles of duration in milliseconds."""
    return Chart(
        id="chart-latency",
        title="Duration of requests",
        sentence=(
            f"Half of the requests within {formats.milliseconds(totals.p50_ms)},"
            f" 95 % within {formats.milliseconds(totals.p95_ms)},"
            f" 99 % within {formats.milliseconds(totals.p99_ms)}."
        ),
        unit="ms",
        times=found.times,
        series=tuple(
            Series(series.name, _LATENCY_COLOURS[series.name], series.values)
            for series in found.series
        ),
        step=int(found.step.total_seconds()),
        now=int(timezone.now().timestamp()),
    )


def trend(found: TimeSeries, *names: str, points: int = 48) -> list[float | None]:
    """The sum of some series for a sparkline, in at most so many points."""
    chosen = [series.values for series in found.series if not names or series.name in names]
    if not chosen:
        return []
    sums = [sum(value or 0 for value in values) for values in zip(*chosen, strict=True)]
    width = max(1, -(-len(sums) // points))
    return [float(sum(sums[i : i + width])) for i in range(0, len(sums), width)]
