"""The same traffic at another time, to compare with: ``cmp=prev|1d|7d`` in the address."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from django.http import HttpRequest

from portal.kit.charts import Chart, Series
from portal.kit.ranges import EARLIEST, TimeRange
from portal.kit.urls import with_query
from pulse.analytics import TimeSeries, TrafficFilter

_WORDS: Final = {"prev": "the range before", "1d": "a day earlier", "7d": "a week earlier"}
_LINKS: Final = (
    ("", "Nothing"), ("prev", "Range before"), ("1d", "Day before"), ("7d", "Week before"),
)  # fmt: skip
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Comparison:
    key: str
    words: str
    shift: timedelta

    def of(self, chosen: TrafficFilter) -> TrafficFilter:
        return replace(chosen, since=chosen.since - self.shift, until=chosen.until - self.shift)


def read_comparison(request: HttpRequest, chosen: TimeRange) -> Comparison | None:
    """What the address asks to compare with; ``None``: nothing, or nothing that could be."""
    key = request.GET.get("cmp", "")
    if key not in _WORDS:
        return None
    shift = {"prev": chosen.span, "1d": _DAY, "7d": 7 * _DAY}[key]
    return Comparison(key, _WORDS[key], shift) if chosen.since - shift >= EARLIEST else None


def links(request: HttpRequest, current: Comparison | None) -> list[tuple[str, str, bool]]:
    """Words, address and whether it is so now."""
    key = current.key if current else ""
    return [
        (label, with_query(request, cmp=value or None), value == key) for value, label in _LINKS
    ]


def change(now: float | None, before: float | None) -> str:
    """``12 % more``, in words, because up is not always good."""
    if not before or now is None:
        return "nothing to compare with" if now else ""
    share = (now - before) / before
    if abs(share) < 0.005:
        return "as before"
    if abs(share) >= 10:
        return f"{now / before:,.0f} times as before"
    return f"{abs(share) * 100:.0f} % {'more' if share > 0 else 'less'}"


def with_before(chart: Chart, label: str, found: TimeSeries, names: tuple[str, ...]) -> Chart:
    """The chart with the sum of the earlier series as a dashed line, bucket by bucket.

    Without it, when the earlier time is kept in longer buckets alone.
    """
    if round(found.step.total_seconds()) != chart.step:
        return chart
    divisor = chart.step if chart.unit == "req/s" else 1
    chosen = [series.values for series in found.series if series.name in names]
    sums = [_sum(values, divisor) for values in zip(*chosen, strict=True)]
    length = len(chart.times)
    values = (*sums[:length], *([None] * (length - len(sums))))
    return replace(chart, series=(*chart.series, Series(label, "muted", values, dashed=True)))


def _sum(values: tuple[float | None, ...], divisor: int) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / divisor if known else None
