"""Which part of a range is read from which rollups, and which from the requests themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pulse.store.rolled.kinds import DAY, HOUR, MINUTE, QUARTER, flags_of

_MICRO: Final = 1_000_000
MAX_SPANS: Final = 24
"""Stretches of raw requests in one statement; nearer ones are read as one."""
UNITS: Final = (DAY, HOUR, QUARTER)

Span = tuple[int, int]
"""Half-open."""


@dataclass(frozen=True)
class Manifest:
    """What is known of an account's rollups at one moment. Times in seconds since 1970."""

    versions: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    """Length of the unit → its beginning → its version. A quarter that is neither here nor
    dirty has no requests."""
    dirty: Sequence[Span] = ()
    """Whole quarters whose requests may not be those that were counted."""
    gone: Mapping[int, int] = field(default_factory=dict)
    """Length of the unit, 0 for the requests themselves → before when they are not kept."""

    def keeps(self, length: int, since: int) -> bool:
        """Whether what happened from ``since`` on (microseconds) is kept in such units."""
        return self.gone.get(length, 0) * _MICRO <= since


@dataclass(frozen=True)
class Rolled:
    """Rows of one level: buckets of ``[since, until)`` (seconds) that have these versions."""

    level: int
    since: int
    until: int
    versions: tuple[int, ...]


@dataclass(frozen=True)
class Cover:
    """Every moment of a range once: in ``raw`` (microseconds) or in ``rolled``."""

    raw: tuple[Span, ...]
    rolled: tuple[Rolled, ...] = ()


def whole(since: int, until: int) -> Cover:
    """The range read from the requests alone."""
    return Cover(((since, until),))


def cover(
    since: int, until: int, manifest: Manifest, *, levels: Sequence[int], without: int = 0
) -> Cover:
    """The range ``[since, until)``, microseconds, in as few rows as it takes.

    ``levels``: those that may be read. ``without``: flags of the kinds that are wanted; units
    that lack one are read raw.
    """
    return _Filling(manifest, levels, without).fill(since, until)


class _Filling:
    def __init__(self, manifest: Manifest, levels: Sequence[int], without: int) -> None:
        self._levels = levels
        dirty = list(manifest.dirty)
        self._usable: dict[int, dict[int, int]] = {}
        for length in UNITS:
            known = manifest.versions.get(length, {})
            self._usable[length] = {
                start: version
                for start, version in sorted(known.items())
                if not flags_of(version) & without and not _meets(start, start + length, dirty)
            }
        lacking = [
            (start, start + QUARTER)
            for start, version in manifest.versions.get(QUARTER, {}).items()
            if flags_of(version) & without
        ]
        self._raw_only = joined([*dirty, *lacking])
        self._raw: list[Span] = []
        self._found: dict[int, list[tuple[int, int, int]]] = defaultdict(list)

    def fill(self, since: int, until: int) -> Cover:
        self._days(since, until, 0)
        spans, dropped = _few(joined(self._raw))
        rolled = []
        for level, entries in sorted(self._found.items()):
            kept = [e for e in entries if not _meets(e[0] * _MICRO, e[1] * _MICRO, dropped)]
            if kept:
                rolled.append(
                    Rolled(
                        level,
                        min(e[0] for e in kept),
                        max(e[1] for e in kept),
                        tuple(sorted(e[2] for e in kept)),
                    )
                )
        return Cover(tuple(spans), tuple(rolled))

    def _days(self, since: int, until: int, depth: int) -> None:
        """Whole units of this length first; what is left with shorter ones."""
        if since >= until:
            return
        if depth == len(UNITS):
            self._minutes(since, until)
            return
        length = UNITS[depth]
        if length not in self._levels:
            self._days(since, until, depth + 1)
            return
        begin, end = _up(since, length * _MICRO), _down(until, length * _MICRO)
        if begin >= end:
            self._days(since, until, depth + 1)
            return
        place = since
        for start, version in self._within(length, begin, end):
            self._days(place, start * _MICRO, depth + 1)
            self._found[length].append((start, start + length, version))
            place = (start + length) * _MICRO
        self._days(place, until, depth + 1)

    def _within(self, length: int, begin: int, end: int) -> Iterator[tuple[int, int]]:
        for start, version in self._usable[length].items():
            if begin <= start * _MICRO and (start + length) * _MICRO <= end:
                yield start, version

    def _minutes(self, since: int, until: int) -> None:
        """Parts of quarters: by the minute where that is allowed, raw at the edges."""
        for low, high in self._raw_only:
            self._add_raw(max(low * _MICRO, since), min(high * _MICRO, until))
        for start, version in self._usable[QUARTER].items():
            low = max(start * _MICRO, since)
            high = min((start + QUARTER) * _MICRO, until)
            if low >= high:
                continue
            begin, end = _up(low, MINUTE * _MICRO), _down(high, MINUTE * _MICRO)
            if MINUTE not in self._levels or begin >= end:
                self._add_raw(low, high)
                continue
            self._found[MINUTE].append((begin // _MICRO, end // _MICRO, version))
            self._add_raw(low, begin)
            self._add_raw(end, high)

    def _add_raw(self, since: int, until: int) -> None:
        if since < until:
            self._raw.append((since, until))


def _few(spans: list[Span]) -> tuple[list[Span], list[Span]]:
    """At most ``MAX_SPANS`` by reading the smallest gaps as well; the gaps that are read."""
    gaps = sorted(
        (spans[i + 1][0] - spans[i][1], spans[i][1], spans[i + 1][0]) for i in range(len(spans) - 1)
    )
    closed = [(low, high) for _, low, high in gaps[: max(0, len(spans) - MAX_SPANS)]]
    return joined([*spans, *closed]), closed


def joined(spans: Sequence[Span]) -> list[Span]:
    """Sorted, apart from each other."""
    found: list[Span] = []
    for low, high in sorted(spans):
        if found and low <= found[-1][1]:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return found


def _meets(low: int, high: int, spans: Sequence[Span]) -> bool:
    return any(s < high and low < e for s, e in spans)


def _up(value: int, length: int) -> int:
    return -(-value // length) * length


def _down(value: int, length: int) -> int:
    return value // length * length
