"""The kinds of data that expire, and how long the platform keeps each where nobody chose.

Usage, frozen usage and invoices are no kind: they are books. Vendors stay with the account,
for people have said what they think of them; deliveries have a retention of their own in
``notify``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    REQUESTS = "requests"
    MINUTES = "minutes"
    QUARTERS = "quarters"
    HOURS = "hours"
    DAYS = "days"
    OTHERS = "others"
    ISSUES = "issues"
    INCIDENTS = "incidents"


@dataclass(frozen=True)
class About:
    label: str
    note: str
    days: int
    """The default."""


KINDS: Final = {
    Kind.REQUESTS: About("Single requests", "Every request with all that is known of it.", 30),
    Kind.MINUTES: About("Sums by minute", "Totals alone; the edges of charts.", 30),
    Kind.QUARTERS: About(
        "Sums by quarter of an hour", "Charts and rankings of days and weeks.", 90
    ),
    Kind.HOURS: About("Sums by hour", "Charts and rankings of months.", 400),
    Kind.DAYS: About("Sums by day", "Charts and rankings of years.", 1_830),
    Kind.OTHERS: About(
        "Other events",
        "Errors that agents reported, lookups of names, certificates, records of payloads.",
        30,
    ),
    Kind.ISSUES: About("Issues", "Counted from when they were last seen; open ones stay.", 400),
    Kind.INCIDENTS: About("Incidents of alerts", "Those that are over, from their end.", 400),
}
LEVELS: Final = {
    Kind.MINUTES: 60,
    Kind.QUARTERS: 900,
    Kind.HOURS: 3_600,
    Kind.DAYS: 86_400,
}
"""Seconds of a bucket in the event store's ``rollups``."""
ORDER: Final = (
    (Kind.REQUESTS, Kind.QUARTERS),
    (Kind.MINUTES, Kind.QUARTERS),
    (Kind.QUARTERS, Kind.HOURS),
    (Kind.HOURS, Kind.DAYS),
)
"""The first of each pair is kept no longer than the second: a chart of a time whose coarse
sums are gone would show nothing, however many fine ones are left."""
EVENTS: Final = (Kind.REQUESTS, Kind.OTHERS, *LEVELS)
"""What lies in the event store."""
LEAST: Final = 1
MOST: Final = 3_660
"""Days that can be set at all."""
