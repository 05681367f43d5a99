from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.test import RequestFactory
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from portal.kit.metering import month_of
from portal.kit.ranges import MAX_SPAN, bucket_seconds, range_picker, read_range

FACTORY = RequestFactory()


def test_a_relative_range_moves_with_the_clock() -> None:
    chosen = read_range(FACTORY.get("/x?from=now-6h"))
    assert (chosen.preset, chosen.span, chosen.error) == ("6h", timedelta(hours=6), "")


def test_a_brushed_range_is_absolute_and_half_open() -> None:
    chosen = read_range(FACTORY.get("/x?from=2026-11-21T09:00:00Z&to=2026-11-21T09:05:00Z"))
    assert chosen.since == datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
    assert chosen.until == datetime(2026, 11, 21, 9, 5, tzinfo=UTC)
    assert chosen.preset == ""


def test_a_browsers_field_is_read_in_the_readers_zone() -> None:
    with timezone.override(ZoneInfo("Pacific/Kiritimati")):
        chosen = read_range(FACTORY.get("/x?from=2026-11-21T14:00:00&to=2026-11-21T15:00:00"))
    assert chosen.since == datetime(2026, 11, 21, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize("query", ["from=x", "from=2026-11-21T10:00Z&to=2026-11-21T09:00Z"])
def test_a_wrong_range_is_said_and_the_default_shown(query: str) -> None:
    chosen = read_range(FACTORY.get(f"/x?{query}"), default="1h")
    assert chosen.preset == "1h"
    assert "from" in chosen.error


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_text_in_the_address_breaks_a_page(start: str, end: str) -> None:
    request = FACTORY.get("/x", {"from": start, "to": end})
    chosen = read_range(request)
    assert timedelta(0) < chosen.span <= MAX_SPAN
    assert range_picker(request, chosen).absolute.startswith("/x?")
    assert chosen.span.total_seconds() / bucket_seconds(chosen) <= 120


def test_later_and_earlier_do_what_dragging_does() -> None:
    request = FACTORY.get("/x?from=2026-11-21T09:00:00Z&to=2026-11-21T10:00:00Z&f.env=prod&after=z")
    picker = range_picker(request, read_range(request))
    assert picker.later == "/x?from=2026-11-21T09:30:00Z&to=2026-11-21T10:30:00Z&f.env=prod"


@pytest.mark.parametrize(
    ("zone", "hours"),
    [("UTC", 30 * 24), ("Europe/Berlin", 30 * 24), ("America/New_York", 30 * 24 + 1)],
)
def test_a_month_is_the_zones_own_with_its_clock_changes(zone: str, hours: int) -> None:
    since, until = month_of(zone, datetime(2026, 11, 15, tzinfo=UTC))
    assert until - since == timedelta(hours=hours)
    assert since.astimezone(ZoneInfo(zone)).day == 1
