"""Months and days of every zone: half-open, gapless, true to the local calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import periods
from qcloud.kernel.errors import Invalid

ZONES = sorted(available_timezones())
INSTANTS = st.integers(0, 120 * 365 * 24 * 3600).map(
    lambda seconds: datetime(1975, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
TICK = timedelta(microseconds=1)


def test_every_month_of_every_zone_begins_where_the_one_before_ends() -> None:
    """All 598 zones; 2009–2012 holds days that were skipped, 2024 a leap day."""
    for zone in ZONES:
        info = ZoneInfo(zone)
        for year in (1993, 2009, 2010, 2011, 2012, 2024, 2026):
            for number in range(1, 13):
                month = periods.month(year, number, zone)
                assert periods.next_month(month).start == month.end
                first = month.start.astimezone(info)
                assert (first.year, first.month) == (year, number)
                last = (month.end - TICK).astimezone(info)
                assert (last.year, last.month) == (year, number)
                before = (month.start - TICK).astimezone(info)
                assert (before.year, before.month) != (year, number)


@given(instant=INSTANTS, zone=st.sampled_from(ZONES))
def test_an_instant_is_in_exactly_one_month(instant: datetime, zone: str) -> None:
    month = periods.month_containing(instant, zone)
    assert month.holds(instant)
    assert not periods.next_month(month).holds(instant)
    assert periods.month_of_key(month.key, zone) == month


@given(instant=INSTANTS, zone=st.sampled_from(ZONES))
def test_a_metered_hour_is_in_exactly_one_month(instant: datetime, zone: str) -> None:
    """Also where the offset is not whole hours and a boundary cuts an hour."""
    hour = periods.floor_hour(instant)
    month = periods.month_containing(hour, zone)
    assert month.usage_since <= hour < month.usage_until
    assert periods.next_month(month).usage_since == month.usage_until


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        (date(2026, 3, 29), "Europe/Berlin", 23),
        (date(2026, 10, 25), "Europe/Berlin", 25),
        (date(2026, 7, 1), "Europe/Berlin", 24),
        (date(2026, 3, 8), "America/New_York", 23),
        (date(2026, 11, 1), "America/New_York", 25),
        (date(2018, 11, 4), "America/Sao_Paulo", 23),  # clocks jump over midnight
        (date(2026, 4, 5), "Australia/Lord_Howe", 24.5),  # half an hour
        (date(2011, 12, 30), "Pacific/Apia", 0),  # the day that Samoa skipped
        (date(2024, 2, 29), "Asia/Kolkata", 24),
    ],
)
def test_length_of_a_day(day: date, zone: str, hours: float) -> None:
    span = periods.span(day, day, zone)
    assert span.end - span.start == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("key", "zone", "start", "end"),
    [
        ("2026-03", "Europe/Berlin", "2026-02-28T23:00+00:00", "2026-03-31T22:00+00:00"),
        ("2026-10", "Europe/Berlin", "2026-09-30T22:00+00:00", "2026-10-31T23:00+00:00"),
        ("2024-02", "UTC", "2024-02-01T00:00+00:00", "2024-03-01T00:00+00:00"),
        ("2026-12", "Asia/Kolkata", "2026-11-30T18:30+00:00", "2026-12-31T18:30+00:00"),
        # Clocks jumped over midnight: the month begins at the jump.
        ("2017-10", "America/Asuncion", "2017-10-01T04:00+00:00", "2017-11-01T03:00+00:00"),
        # The last day of 1994 was skipped.
        ("1994-12", "Pacific/Kiritimati", "1994-12-01T10:00+00:00", "1994-12-31T10:00+00:00"),
    ],
)
def test_bounds_of_a_month(key: str, zone: str, start: str, end: str) -> None:
    month = periods.month_of_key(key, zone)
    assert (month.start, month.end) == (
        datetime.fromisoformat(start),
        datetime.fromisoformat(end),
    )


def test_a_boundary_inside_an_hour_gives_the_hour_to_the_month_it_begins_in() -> None:
    december = periods.month(2026, 12, "Asia/Kolkata")
    assert december.start == datetime(2026, 11, 30, 18, 30, tzinfo=UTC)
    assert december.usage_since == datetime(2026, 11, 30, 19, tzinfo=UTC)
    assert december.usage_until == datetime(2026, 12, 31, 19, tzinfo=UTC)


def test_leap_years() -> None:
    days = {year: periods.month(year, 2, "UTC").last_day.day for year in (2024, 2025, 2100)}
    assert days == {2024: 29, 2025: 28, 2100: 28}


@pytest.mark.parametrize("key", ["2026-13", "2026-00", "2026-1", "26-01", "", "2026-11 ", "x"])
def test_refuses_what_is_no_month(key: str) -> None:
    with pytest.raises(Invalid) as refused:
        periods.month_of_key(key, "UTC")
    assert refused.value.code == "billing.period_malformed"


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "", "Europe"])
def test_refuses_what_is_no_zone(zone: str) -> None:
    with pytest.raises(Invalid) as refused:
        periods.month(2026, 11, zone)
    assert refused.value.code == "billing.zone_unknown"
