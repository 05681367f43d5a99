"""From the kernel's monotonic clock to wall time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NS_IN_US: Final = 1_000
_READINGS: Final = 5


class WallClock:
    """``CLOCK_MONOTONIC`` nanoseconds as UTC; ``sync`` follows steps of the wall clock."""

    __slots__ = ("_offset_us",)

    def __init__(self) -> None:
        self._offset_us = 0
        self.sync()

    def sync(self) -> None:
        """Measure the distance of the two clocks anew; error below a microsecond or so."""
        best = min((self._reading() for _ in range(_READINGS)), key=lambda reading: reading[0])
        self._offset_us = best[1] // _NS_IN_US

    def at(self, monotonic_ns: int) -> datetime:
        """UTC, microseconds."""
        return _EPOCH + timedelta(0, 0, self._offset_us + monotonic_ns // _NS_IN_US)

    @staticmethod
    def _reading() -> tuple[int, int]:
        before = time.monotonic_ns()
        wall = time.time_ns()
        after = time.monotonic_ns()
        return after - before, wall - (before + after) // 2
