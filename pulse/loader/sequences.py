"""The set of batch numbers that one start of an agent has used."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

from psycopg.types.multirange import Int8Multirange
from psycopg.types.range import Int8Range

MAX_RANGES: Final = 1_000
"""Agents number their batches without gaps, so a few ranges are enough. An agent that leaves
more gaps than this has the lowest ones counted as used: its ledger row stays bounded."""


class Sequences:
    """Half-open ranges, sorted, apart from each other."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._ranges = sorted(ranges)

    @classmethod
    def of(cls, stored: Int8Multirange) -> Sequences:
        return cls((r.lower or 0, r.upper or 0) for r in stored if not r.isempty)

    def stored(self) -> Int8Multirange:
        return Int8Multirange([Int8Range(low, high) for low, high in self._ranges])

    def add(self, number: int) -> bool:
        """Take the number; ``False`` when it was taken before."""
        place = bisect_right(self._ranges, number, key=lambda r: r[0])
        if place and number < self._ranges[place - 1][1]:
            return False
        low, high = number, number + 1
        if place < len(self._ranges) and self._ranges[place][0] == high:
            high = self._ranges.pop(place)[1]
        if place and self._ranges[place - 1][1] == low:
            place -= 1
            low = self._ranges.pop(place)[0]
        self._ranges.insert(place, (low, high))
        if len(self._ranges) > MAX_RANGES:
            (first, _), (_, second) = self._ranges[:2]
            self._ranges[:2] = [(first, second)]
        return True

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self._ranges, number, key=lambda r: r[0])
        return bool(place) and number < self._ranges[place - 1][1]

    def __len__(self) -> int:
        """How many ranges it takes."""
        return len(self._ranges)
