"""Buckets of time that people can read: at most 150, each of a round length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Final

from pulse.store.filters import micros, moment_of

MAX_BUCKETS: Final = 150
_SECOND: Final = 1_000_000
_DAY: Final = 86_400
# Seconds. Each divides a day, so that buckets begin at round times; then whole days.
# From 900 on they are multiples of what rollups are kept by.
_NICE: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 900, 1_800, 3_600, 7_200, 14_400, 21_600)


@dataclass(frozen=True)
class Steps:
    """Buckets number ``first`` to ``last``, counted from 1970 in steps of ``step_us``."""

    step_us: int
    first: int
    last: int

    @property
    def step(self) -> timedelta:
        return timedelta(microseconds=self.step_us)

    @property
    def numbers(self) -> range:
        return range(self.first, self.last + 1)

    @property
    def times(self) -> tuple[datetime, ...]:
        """When each bucket begins, UTC. The first may begin before the range does."""
        return tuple(moment_of(number * self.step_us) for number in self.numbers)


def steps_for(since: datetime, until: datetime, *, least: int = 1) -> Steps:
    """The finest round steps with at most ``MAX_BUCKETS`` buckets over ``[since, until)``.

    ``least``: seconds, a length that all longer ones are multiples of (a minute, a quarter of
    an hour, an hour, a day).
    """
    start, end = micros(since), micros(until)
    for seconds in _lengths():
        if seconds < least:
            continue
        size = seconds * _SECOND
        steps = Steps(size, start // size, (end - 1) // size)
        if len(steps.numbers) <= MAX_BUCKETS:
            return steps
    raise AssertionError("the lengths grow without end")


def _lengths() -> Iterator[int]:
    yield from _NICE
    yield from count(_DAY, _DAY)
