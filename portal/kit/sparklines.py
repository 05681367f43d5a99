"""Small lines inside rows and stats, drawn by the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.utils.html import format_html
from django.utils.safestring import SafeString

_WIDTH: Final = 96.0
_HEIGHT: Final = 28.0
_PAD: Final = 2.0


def sparkline(values: Sequence[float | None], sentence: str = "") -> SafeString | str:
    """An SVG line from zero to the greatest value; nothing for fewer than two points.

    A missing value is a gap: the line stops and starts again.
    """
    known = [value for value in values if value is not None]
    if len(values) < 2 or not known:
        return ""
    top = max(known) or 1.0
    runs = _runs(values, _WIDTH / (len(values) - 1), (_HEIGHT - 2 * _PAD) / top)
    line = " ".join("M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in run) for run in runs)
    area = " ".join(_closed(run) for run in runs if len(run) > 1)
    return format_html(
        '<svg class="sparkline" viewBox="0 0 96 28" preserveAspectRatio="none" role="img"'
        ' aria-label="{}"><path class="area" d="{}"/><path d="{}"/></svg>',
        sentence or "Trend",
        area,
        line,
    )


def _runs(
    values: Sequence[float | None], step: float, scale: float
) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for i, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((i * step, _HEIGHT - _PAD - value * scale))
    return [run for run in runs if run]


def _closed(run: list[tuple[float, float]]) -> str:
    points = " L".join(f"{x:.1f} {y:.1f}" for x, y in run)
    return f"M{run[0][0]:.1f} {_HEIGHT} L{points} L{run[-1][0]:.1f} {_HEIGHT} Z"
