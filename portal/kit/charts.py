"""Charts as tables of numbers; the script draws the numbers of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

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
    def rows(self) -> list[tuple[datetime, list[tuple[str, str]]]]:
        """Per bucket its time and, a series, the exact value and its words."""
        columns = [series.values for series in self.series]
        return [
            (moment, [self._cell(column[i]) for column in columns])
            for i, moment in enumerate(self.times)
        ]

    @property
    def body(self) -> SafeString:
        """The rows as the table's markup: a thousand cells, too many for a template's loop."""
        return SafeString("".join(_row(moment, cells) for moment, cells in self.rows))

    @property
    def is_empty(self) -> bool:
        return not any(value for series in self.series for value in series.values)

    def _cell(self, value: float | None) -> tuple[str, str]:
        if value is None:
            return "", formats.NONE
        if self.unit == "ms":
            return f"{value:.6g}", formats.milliseconds(value)
        return f"{value:.6g}", f"{formats.compact(value)} {self.unit}".strip()


def _row(moment: datetime, cells: list[tuple[str, str]]) -> str:
    time = (
        f'<time datetime="{formats.iso(moment)}" title="{formats.utc(moment)}">'
        f"{formats.when(moment)}</time>"
    )
    numbers = "".join(
        f'<td class="number" data-value="{exact}">{escape(words)}</td>' for exact, words in cells
    )
    return f'<tr><td class="nowrap">{time}</td>{numbers}</tr>'


def per_second(counts: Sequence[float | None], step: int) -> tuple[float | None, ...]:
    """Counts a bucket as rates."""
    return tuple(None if value is None else value / step for value in counts)
