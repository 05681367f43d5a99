"""Billing periods: calendar spans of a named time zone, half-open, as UTC instants.

A period is computed from the calendar each time and never by adding hours or by keeping an
offset, so a change to or from summer time moves neither its first nor its last instant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from billing.errors import bad_period, bad_zone

HOUR: Final = timedelta(hours=1)
_KEY: Final = re.compile(r"(\d{4})-(\d{2})")


@dataclass(frozen=True, slots=True)
class Period:
    """One calendar month (or another span of days) of a zone."""

    key: str
    """``2026-11`` for a month: the name under which an invoice of a pair is unique."""
    zone: str
    first_day: date
    last_day: date
    start: datetime
    """UTC; the first instant of ``first_day`` in the zone. Belongs to the period."""
    end: datetime
    """UTC; the first instant after ``last_day``. Does not belong to the period."""

    @property
    def usage_since(self) -> datetime:
        """UTC; the first metered hour that begins in the period."""
        return ceil_hour(self.start)

    @property
    def usage_until(self) -> datetime:
        """UTC; the first metered hour that begins after the period.

        Usage is metered in whole UTC hours. Where a zone's offset is not whole hours
        (Asia/Kolkata), the hour that a boundary cuts belongs to the period it begins in.
        """
        return ceil_hour(self.end)

    def holds(self, instant: datetime) -> bool:
        return self.start <= instant < self.end


def zone_of(name: str) -> ZoneInfo:
    """The zone with this IANA name. Raises ``Invalid`` for a name that the system lacks."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise bad_zone(name) from error


def first_instant(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a day in a zone, in UTC.

    Where clocks jump over midnight the day begins at the jump; where midnight comes twice,
    at the first. A day that a zone skipped (Pacific/Apia, 2011-12-30) begins where the next
    one does.
    """
    guess = datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
    if guess.astimezone(zone).replace(tzinfo=None) == datetime.combine(day, time()):
        return guess
    return _edge(day, zone, guess)


def _edge(day: date, zone: ZoneInfo, guess: datetime) -> datetime:
    """Where the local date first reaches ``day``, searched to the second around a jump."""
    low, high = guess - timedelta(days=2), guess + timedelta(days=2)
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if middle.astimezone(zone).date() >= day:
            high = middle
        else:
            low = middle
    return high


def span(first_day: date, last_day: date, zone: str, *, key: str = "") -> Period:
    """Whole days of a zone, both ends included."""
    info = zone_of(zone)
    return Period(
        key=key or f"{first_day.isoformat()}/{last_day.isoformat()}",
        zone=zone,
        first_day=first_day,
        last_day=last_day,
        start=first_instant(first_day, info),
        end=first_instant(last_day + timedelta(days=1), info),
    )


def month(year: int, number: int, zone: str) -> Period:
    """One calendar month of a zone."""
    first = date(year, number, 1)
    last = _next_month(first) - timedelta(days=1)
    return span(first, last, zone, key=f"{year:04d}-{number:02d}")


def month_of_key(key: str, zone: str) -> Period:
    """The month named ``YYYY-MM``. Raises ``Invalid`` for anything else."""
    match = _KEY.fullmatch(key)
    if match is None or not 1 <= int(match[2]) <= 12 or int(match[1]) < 1970:
        raise bad_period(key)
    return month(int(match[1]), int(match[2]), zone)


def month_containing(instant: datetime, zone: str) -> Period:
    """The month of the zone in which an aware instant falls."""
    local = instant.astimezone(zone_of(zone))
    return month(local.year, local.month, zone)


def next_month(period: Period) -> Period:
    following = _next_month(period.first_day)
    return month(following.year, following.month, period.zone)


def ceil_hour(instant: datetime) -> datetime:
    """The instant itself on a full UTC hour, else the next full hour."""
    floor = floor_hour(instant)
    return floor if floor == instant else floor + HOUR


def floor_hour(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _next_month(first: date) -> date:
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)
