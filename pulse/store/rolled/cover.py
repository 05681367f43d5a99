"""Which part of a range is read from which rollups, and which from the requests themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pulse.store.rolled.kinds import DAY, HOUR, MINUTE, QUARTER

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
class Unit:
    """What stands under one version: ``[since, until)`` (seconds) in rows of one level. Of
    minutes it is a part of the quarter that has the version.
    """

    level: int
    since: int
    until: int
    version: int


@dataclass(frozen=True)
class Units:
    """As ``Cover``, unit by unit; stretches of requests as they are, however many."""

    raw: tuple[Span, ...]
    rolled: tuple[Unit, ...] = ()


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


def units(
    since: int, until: int, manifest: Manifest, *, levels: Sequence[int], without: int = 0
) -> Units:
    """As ``cover``, for those who know what stands under a version."""
    return _Filling(manifest, levels, without).units(since, until)


class _Filling:
    def __init__(self, manifest: Manifest, levels: Sequence[int], without: int) -> None:
        self._levels = levels
        dirty = joined(manifest.dirty)
        self._usable: dict[int, dict[int, int]] = {}
        for length in UNITS:
            known = manifest.versions.get(length, {})
            met = {start for span in dirty for start in present(known, *span, length)}
            self._usable[length] = {
                start: version
                for start, version in known.items()
                if not version & without and start not in met
            }
        lacking = [
            (start, start + QUARTER)
            for start, version in manifest.versions.get(QUARTER, {}).items()
            if version & without
        ]
        self._raw_only = joined([*dirty, *lacking])
        self._raw: list[Span] = []
        self._found: dict[int, list[tuple[int, int, int]]] = defaultdict(list)

    def units(self, since: int, until: int) -> Units:
        self._days(since, until, 0)
        rolled = (
            Unit(level, *entry)
            for level, entries in sorted(self._found.items())
            for entry in sorted(entries)
        )
        return Units(tuple(joined(self._raw)), tuple(rolled))

    def fill(self, since: int, until: int) -> Cover:
        found = self.units(since, until)
        spans, dropped = _few(list(found.raw))
        kept: dict[int, list[Unit]] = defaultdict(list)
        for unit in found.rolled:
            if not _meets(unit.since * _MICRO, unit.until * _MICRO, dropped):
                kept[unit.level].append(unit)
        return Cover(tuple(spans), tuple(_of_level(level, kept[level]) for level in kept))

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
        usable = self._usable[length]
        for start in present(usable, begin // _MICRO, end // _MICRO, length):
            yield start, usable[start]

    def _minutes(self, since: int, until: int) -> None:
        """Parts of quarters: by the minute where that is allowed, raw at the edges."""
        for low, high in self._raw_only:
            self._add_raw(max(low * _MICRO, since), min(high * _MICRO, until))
        usable = self._usable[QUARTER]
        for start in present(usable, since // _MICRO, -(-until // _MICRO), QUARTER):
            version = usable[start]
            low = max(start * _MICRO, since)
            high = min((start + QUARTER) * _MICRO, until)
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


def _of_level(level: int, units: Sequence[Unit]) -> Rolled:
    since, until = min(u.since for u in units), max(u.until for u in units)
    return Rolled(level, since, until, tuple(sorted(u.version for u in units)))


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


def present(known: Mapping[int, int], low: int, high: int, length: int) -> list[int]:
    """Where the known units of this length begin that meet ``[low, high)``, seconds; sorted.

    Ranges may be decades long, and so may what is known of one.
    """
    starts = range(_down(low, length), high, length)
    if len(starts) <= len(known):
        return [start for start in starts if start in known]
    return sorted(start for start in known if starts.start <= start < high)


def _meets(low: int, high: int, spans: Sequence[Span]) -> bool:
    return any(s < high and low < e for s, e in spans)


def _up(value: int, length: int) -> int:
    return -(-value // length) * length


def _down(value: int, length: int) -> int:
    return value // length * length
