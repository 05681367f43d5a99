"""Ranges of time as they stand in an address: half-open, relative or absolute."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.utils import timezone

from portal.kit import formats
from portal.kit.urls import with_query

PRESETS: Final = (
    ("15m", "15 min"),
    ("1h", "1 h"),
    ("6h", "6 h"),
    ("24h", "24 h"),
    ("7d", "7 d"),
    ("30d", "30 d"),
)
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_RELATIVE: Final = re.compile(r"now-(\d{1,5})([smhd])\Z")
_QUICKEST: Final = 5
_SLOWEST: Final = 60
_PIXELS: Final = 720
"""About as wide as a chart is drawn."""
MIN_SPAN: Final = timedelta(seconds=10)
MAX_SPAN: Final = timedelta(days=400)
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""Beyond lies nothing that was measured, and soon nothing that calendars can count."""


@dataclass(frozen=True)
class TimeRange:
    """``since`` inclusive, ``until`` exclusive, UTC."""

    since: datetime
    until: datetime
    preset: str
    """``1h`` while the range moves with the clock, empty when it stands."""
    error: str = ""

    @property
    def span(self) -> timedelta:
        return self.until - self.since

    @property
    def refresh(self) -> int:
        """Seconds after which a live page asks again: about as long as a chart's line moves by a
        pixel; where the range stands, only what comes late can change it.
        """
        if not self.preset:
            return _SLOWEST
        pixel = self.span.total_seconds() / _PIXELS
        return max(_QUICKEST, min(_SLOWEST, round(pixel / _QUICKEST) * _QUICKEST))

    @property
    def label(self) -> str:
        if self.preset:
            return f"Last {dict(PRESETS).get(self.preset, self.preset)}"
        return f"{formats.when(self.since)} – {formats.when(self.until)}"


def read_range(request: HttpRequest, *, default: str = "1h") -> TimeRange:
    """The range in ``from`` and ``to``; the default, with an error to show, if they are wrong."""
    now = timezone.now().replace(microsecond=0)
    start, end = request.GET.get("from", ""), request.GET.get("to", "")
    if not start and not end:
        return _relative(now, default)
    relative = _RELATIVE.match(start)
    if relative and end in {"", "now"}:
        return _relative(now, relative[1] + relative[2])
    zone = timezone.get_current_timezone()
    since, until = _moment(start, zone), _moment(end, zone) if end not in {"", "now"} else now
    if since is None or until is None or since >= until:
        wrong = "That range is not understood: “from” must be a time before “to”."
        return TimeRange(*_span(now, default), default, wrong)
    span = min(max(until - since, MIN_SPAN), MAX_SPAN)
    return TimeRange(until - span, until, "")


def _relative(now: datetime, preset: str) -> TimeRange:
    return TimeRange(*_span(now, preset), preset)


def _span(now: datetime, preset: str) -> tuple[datetime, datetime]:
    length = timedelta(seconds=int(preset[:-1]) * _UNITS[preset[-1]])
    return now - min(max(length, MIN_SPAN), MAX_SPAN), now


def _moment(text: str, zone: object) -> datetime | None:
    """ISO 8601 with an offset, or, as a browser's field sends it, without: the reader's zone."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone if isinstance(zone, ZoneInfo) else UTC)
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if EARLIEST <= moment <= LATEST else None


@dataclass(frozen=True)
class RangePicker:
    """What the picker's template shows: links that do what dragging a chart does."""

    range: TimeRange
    presets: tuple[tuple[str, str, bool], ...]
    earlier: str
    later: str
    wider: str
    absolute: str
    from_value: str
    to_value: str


def range_picker(request: HttpRequest, chosen: TimeRange) -> RangePicker:
    presets = tuple(
        (label, with_query(request, **{"from": f"now-{key}", "to": None}), key == chosen.preset)
        for key, label in PRESETS
    )
    half = chosen.span / 2
    local = [timezone.localtime(m) for m in (chosen.since, chosen.until)]
    return RangePicker(
        range=chosen,
        presets=presets,
        earlier=_link(request, chosen.since - half, chosen.until - half),
        later=_link(request, chosen.since + half, chosen.until + half),
        wider=_link(request, chosen.since - half, chosen.until + half),
        absolute=_link(request, chosen.since, chosen.until),
        from_value=f"{local[0]:%Y-%m-%dT%H:%M:%S}",
        to_value=f"{local[1]:%Y-%m-%dT%H:%M:%S}",
    )


def _link(request: HttpRequest, since: datetime, until: datetime) -> str:
    return with_query(request, **{"from": formats.iso(since), "to": formats.iso(until)})


def bucket_seconds(chosen: TimeRange, *, most: int = 120) -> int:
    """The finest plain step that gives at most ``most`` buckets."""
    total = chosen.span.total_seconds()
    for step in (1, 5, 10, 15, 30, 60, 300, 900, 1_800, 3_600, 10_800, 21_600, 86_400):
        if total / step <= most:
            return step
    return 7 * 86_400
