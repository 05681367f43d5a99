"""Counting what accounts send, for the quota of events a day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import date, timedelta
from typing import Final
from uuid import UUID

from django.db import connection
from django.db.models import Sum

from pulse.spool.frames import FrameHeader
from pulse.tables.taken import EventsTaken
from qcloud.kernel.clock import now
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import unscoped

_KEPT: Final = timedelta(days=40)
_ADD: Final = """
INSERT INTO pulse_eventstaken (id, account_id, day, events) VALUES (%s, %s, %s, %s)
ON CONFLICT (account_id, day) DO UPDATE SET events = pulse_eventstaken.events + excluded.events
"""


def note_taken(headers: Iterable[FrameHeader]) -> None:
    """Add these batches, none of which was taken before. In the claim's transaction."""
    sums: Counter[tuple[UUID, date]] = Counter()
    for header in headers:
        sums[header.account_id, header.received_at.date()] += header.rows
    if sums:
        with connection.cursor() as cursor:
            # In one order, so that two loaders cannot wait for each other in a circle.
            rows = [(new_id(), *key, rows) for key, rows in sorted(sums.items())]
            cursor.executemany(_ADD, rows)


def taken_today(accounts: Collection[UUID]) -> int:
    """Events of these accounts together, since midnight UTC, as far as the loader has come."""
    with unscoped("ingest: the quota of events a day"):
        rows = EventsTaken.objects.filter(account_id__in=accounts, day=now().date())
        return rows.aggregate(total=Sum("events"))["total"] or 0


def forget_old_days() -> None:
    """No quota looks back further than today; people may."""
    with unscoped("ingest: the quota of events a day"):
        EventsTaken.objects.filter(day__lt=now().date() - _KEPT).delete()
