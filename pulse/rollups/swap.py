"""Making new versions of one day the ones that count, if nothing changed since it was looked at.

Counting takes as long as the engine takes, and no transaction is open meanwhile. So whoever
counts looks first, counts, and swaps in one short transaction, in which everything it built on
must still be so: the day's versions, how far retention went, and the notes that it answers.
Otherwise what it counted is thrown away.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

import structlog
from django.db import connection

from pulse.rollups.versions import FORGET
from pulse.store.client import Store
from pulse.store.rolled.write import remove_versions
from pulse.tables.retention import RetentionMark
from pulse.tables.rollups import RollupDay, TouchedSpan
from qcloud.kernel.scope import unscoped

log = structlog.get_logger(__name__)

_LONGEST: Final = FORGET.total_seconds() / 2
"""Who took longer, a machine that was asleep, may find its new rows removed as old ones."""


@dataclass(frozen=True)
class Known:
    """A day's versions, 0 where there is none, and what they depend on."""

    account_id: UUID
    day: date
    quarters: tuple[int, ...] = (0,) * 96
    hours: tuple[int, ...] = (0,) * 24
    whole: int = 0
    exists: bool = False
    marks: tuple[tuple[str, datetime], ...] = ()
    looked_at: float = 0.0
    """Seconds of this process."""

    def same_as(self, other: Known) -> bool:
        return (self.quarters, self.hours, self.whole, self.exists, self.marks) == (
            other.quarters, other.hours, other.whole, other.exists, other.marks,
        )  # fmt: skip


@dataclass(frozen=True)
class Versions:
    """What a day is to have."""

    quarters: Sequence[int]
    hours: Sequence[int]
    whole: int

    @property
    def empty(self) -> bool:
        return not (any(self.quarters) or any(self.hours) or self.whole)


def known(account_id: UUID, day: date) -> Known:
    """In the caller's transaction, which it should end before it counts."""
    row = RollupDay.objects.filter(account_id=account_id, day=day).first()
    marks = RetentionMark.objects.filter(account_id=account_id).order_by("kind")
    listed = tuple(marks.values_list("kind", "through"))
    if row is None:
        return Known(account_id, day, marks=listed, looked_at=time.monotonic())
    return Known(
        account_id, day, tuple(row.quarters), tuple(row.hours), row.whole,
        exists=True, marks=listed, looked_at=time.monotonic(),
    )  # fmt: skip


def swap(before: Known, after: Versions, notes: Sequence[TouchedSpan] = ()) -> bool:
    """In the caller's transaction, which holds the account from here on; ``False``: something
    changed, and nothing was written.

    ``notes``: those that the caller takes away; all of them must still be there. A note that
    came since is no hindrance: it goes on making its quarters dirty.
    """
    wait_for_rebuild(before.account_id)
    there = TouchedSpan.objects.select_for_update().filter(id__in=[note.id for note in notes])
    if (
        not before.same_as(known(before.account_id, before.day))
        or len(there.values_list("id", flat=True)) != len(notes)
        or time.monotonic() - before.looked_at > _LONGEST
    ):
        return False
    own = RollupDay.objects.filter(account_id=before.account_id, day=before.day)
    if after.empty:
        # As good as no row, and nothing that waits to be closed.
        own.delete()
        return True
    RollupDay.objects.update_or_create(
        account_id=before.account_id,
        day=before.day,
        defaults={
            "quarters": list(after.quarters),
            "hours": list(after.hours),
            "whole": after.whole,
        },
    )
    return True


def throw_away(account_id: UUID, versions: Sequence[int], store: Store | None) -> None:
    """Rows that were counted for nothing. What is not removed now is never believed either."""
    log.info("rollups counted in vain: something changed", account=str(account_id))
    if versions:
        remove_versions(account_id, sorted(versions), store=store)


def read_known(account_id: UUID, day: date) -> Known:
    """``known`` in a transaction of its own."""
    with unscoped("rollups: what is known of a day"):
        return known(account_id, day)


@contextmanager
def counting(account_id: UUID) -> Iterator[bool]:
    """``False``: somebody else counts this account. Version numbers are given out by time, so
    that two at once could give out the same.

    A lock of the connection: no transaction is open, and it goes with who held it.
    """
    key = f"rollups are counted {account_id}"
    if not _session("pg_try_advisory_lock", key):
        yield False
        return
    try:
        yield True
    finally:
        # A connection that is gone has given up the lock; asking would open another one.
        if connection.connection is not None and not connection.connection.closed:
            _session("pg_advisory_unlock", key)


def _session(function: str, key: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(hashtextextended(%s, 0))", [key])
        row = cursor.fetchone()
    return bool(row and row[0])


def wait_for_rebuild(account_id: UUID) -> None:
    """Until this transaction ends nobody else swaps rollups of this account."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"rollups {account_id}"]
        )
