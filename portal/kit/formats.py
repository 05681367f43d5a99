"""Numbers with units and times in the reader's zone, for eyes; machines get exports."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Final

from django.utils import timezone

NONE: Final = "–"
"""There is no value; ``0`` is a value."""

_STEPS: Final = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_BYTES: Final = (
    (2**60, "EiB"), (2**50, "PiB"), (2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"),
)  # fmt: skip


_LONG: Final = ((3_600_000, "h"), (60_000, "min"))
"""From two of them on."""
_SMALL: Final = 0.1
_MOST_DIGITS: Final = 9


def _trim(value: float) -> str:
    """Three significant digits at most, no trailing zeros; small ones are not 0."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    if 0 < abs(value) < _SMALL:
        digits = min(_MOST_DIGITS, 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(value: float | None) -> str:
    """``12,345``: every digit."""
    return NONE if value is None else f"{value:,.0f}"


def compact(value: float | None) -> str:
    """``12.3 k``."""
    if value is None:
        return NONE
    value = float(value)
    for size, letter in _STEPS:
        # What would be rounded to a thousand of one unit is one of the next.
        if abs(value) >= size * 0.9995:
            return f"{_trim(value / size)} {letter}"
    return _trim(value)


def size(value: float | None) -> str:
    """``1.5 MiB``."""
    if value is None:
        return NONE
    for unit, letters in _BYTES:
        if abs(value) >= unit * (1 - 0.5 / 1024):
            return f"{_trim(value / unit)} {letters}"
    return f"{value:,.0f} B"


def milliseconds(value: float | None) -> str:
    """``850 µs``, ``12 ms``, ``1.25 s``, ``5 min``, ``3 h`` from milliseconds."""
    if value is None:
        return NONE
    for unit, letters in _LONG:
        if value >= 2 * unit:
            return f"{_trim(value / unit)} {letters}"
    if value >= 1000:
        return f"{_trim(value / 1000)} s"
    return f"{_trim(value)} ms" if value >= 1 or value == 0 else f"{_trim(value * 1000)} µs"


def rate(value: float | None) -> str:
    """``1.2 k req/s``."""
    return NONE if value is None else f"{compact(value)} req/s"


def percent(share: float | None) -> str:
    """``4.2 %`` of a share between 0 and 1."""
    if share is None:
        return NONE
    return "< 0.01 %" if 0 < share < 0.0001 else f"{_trim(share * 100)} %"


def when(moment: datetime | None, present: int | None = None) -> str:
    """``21 Nov 14:03:22`` in the reader's zone; with the year when it is not ``present``, this one
    if nothing is given.
    """
    if moment is None:
        return NONE
    local = timezone.localtime(moment)
    this = present or timezone.localtime(timezone.now()).year
    year = "" if local.year == this else f" {local.year}"
    return f"{local.day} {local:%b}{year} {local:%H:%M:%S}"


def utc(moment: datetime | None) -> str:
    """``2026-11-21 14:03:22.123 UTC``, for a title."""
    if moment is None:
        return ""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC"


def iso(moment: datetime) -> str:
    """RFC 3339 with ``Z``."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def ago(moment: datetime | None) -> str:
    """``12 s ago``, ``5 min ago``, ``3 h ago``, ``4 d ago``."""
    if moment is None:
        return "never"
    return f"{span(timezone.now() - moment)} ago"


def span(length: timedelta) -> str:
    """A length of time by its largest unit: ``45 s``, ``12 min``, ``3 h``, ``9 d``."""
    seconds = max(0, int(length.total_seconds()))
    for unit, letters in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds // unit} {letters}"
    return f"{seconds} s"
