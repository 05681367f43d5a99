"""Charts as tables of numbers; the script draws the numbers of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import lru_cache

from django.utils import timezone
from django.utils.html import escape
from django.utils.safestring import SafeString

from portal.kit import formats


@dataclass(frozen=True)
class Series:
    label: str
    colour: str
    """A custom property without its dashes: ``status-5xx``, ``series-1``."""
    values: tuple[float | None, ...]
    dashed: bool = False
    """A line of its own, not in the stack: what was before."""

    @property
    def hatched(self) -> bool:
        return self.colour == "status-5xx"


@dataclass(frozen=True)
class Chart:
    id: str
    title: str
    sentence: str
    """What the picture says, in words."""
    unit: str
    times: tuple[datetime, ...]
    series: tuple[Series, ...]
    step: int
    """Seconds of a bucket."""
    stacked: bool = False
    brush: bool = True
    now: int = 0
    """Seconds since 1970 UTC; a bucket that ends later is not over."""

    @property
    def body(self) -> SafeString:
        """A row for each bucket, its time and a cell for each series: markup, since a thousand
        cells are too many for a template's loop.
        """
        zone, year = timezone.get_current_timezone(), timezone.localtime(timezone.now()).year
        columns = [[_cell(value, self.unit) for value in series.values] for series in self.series]
        rows = (
            f"<tr>{_time(moment, zone, year)}{''.join([column[i] for column in columns])}</tr>"
            for i, moment in enumerate(self.times)
        )
        return SafeString("".join(rows))

    @property
    def is_empty(self) -> bool:
        return not any(value for series in self.series for value in series.values)


@lru_cache(4_096)
def _time(moment: datetime, zone: tzinfo, year: int) -> str:
    """Charts of one range have the same buckets, and so have those of five seconds later.
    ``year`` is the present one, which ``formats.when`` leaves out.
    """
    with timezone.override(zone):
        words = formats.when(moment, year)
    return (
        f'<td class="nowrap"><time datetime="{formats.iso(moment)}" title="{formats.utc(moment)}">'
        f"{words}</time></td>"
    )


@lru_cache(16_384)
def _cell(value: float | None, unit: str) -> str:
    """The exact value and its words. Most are small counts over the same few seconds."""
    exact = "" if value is None else f"{value:.6g}"
    return f'<td class="number" data-value="{exact}">{escape(_words(value, unit))}</td>'


def _words(value: float | None, unit: str) -> str:
    if value is None:
        return formats.NONE
    if unit == "ms":
        return formats.milliseconds(value)
    return f"{formats.compact(value)} {unit}".strip()


def per_second(counts: Sequence[float | None], step: int) -> tuple[float | None, ...]:
    """Counts a bucket as rates."""
    return tuple(None if value is None else value / step for value in counts)
