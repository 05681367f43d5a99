"""Lists whose rows the database sorts and counts: the cursor is how many were before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from portal.kit.tables import Fetch, Page, Query

Row = TypeVar("Row")
Select = Callable[[Query, int, int], tuple[Sequence[Row], int]]
"""Rows from an offset on, at most so many, and how many there are in all."""


def by_offset(select: Select[Row]) -> Fetch[Row]:
    def fetch(query: Query, cursor: str, limit: int) -> Page[Row]:
        offset = int(cursor) if cursor.isdecimal() and len(cursor) < 10 else 0
        rows, total = select(query, offset, limit)
        behind = offset + limit
        return Page(rows, str(behind) if behind < total else "", total)

    return fetch
