"""Times as messages tell them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from qcloud.kernel.clock import told


@pytest.mark.parametrize(
    ("moment", "zone", "words"),
    [
        (datetime(2026, 11, 21, 21, 2, tzinfo=UTC), "Europe/Berlin",
         "2026-11-21 22:02 CET (21:02 UTC)"),
        (datetime(2026, 7, 1, 23, 30, tzinfo=UTC), "Europe/Berlin",
         "2026-07-02 01:30 CEST (2026-07-01 23:30 UTC)"),
        (datetime(2026, 11, 21, 21, 2, tzinfo=UTC), "UTC", "2026-11-21 21:02 UTC"),
        (datetime(2026, 11, 21, 21, 2, tzinfo=UTC), "Asia/Kathmandu",
         "2026-11-22 02:47 +0545 (2026-11-21 21:02 UTC)"),
    ],
)  # fmt: skip
def test_a_time_is_told_in_the_zone_and_in_utc(moment: datetime, zone: str, words: str) -> None:
    assert told(moment, zone) == words
