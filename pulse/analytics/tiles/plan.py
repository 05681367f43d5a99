"""Which tiles a question needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pulse.store.rolled.cover import MAX_SPANS, Manifest, Span, Unit, Units, joined, present
from pulse.store.rolled.kinds import MINUTE, QUARTER

_MICRO: Final = 1_000_000
MAX_UNITS: Final = 512
"""Tiles of one question. More of them would push each other out, and take longer to add up
than the engine takes."""

REQUESTS: Final = "requests"


@dataclass(frozen=True)
class Key:
    """Names a tile of an account: what stands under the version stays the same."""

    part: str
    """A kind of rollups, or ``REQUESTS``."""
    level: int
    since: int
    """Seconds."""
    version: int

    @property
    def unit(self) -> Unit:
        return Unit(self.level, self.since, self.since + max(self.level, QUARTER), self.version)


@dataclass(frozen=True)
class Piece:
    """A tile, and of it what happened in ``[since, until)``, microseconds."""

    key: Key
    since: int
    until: int


@dataclass(frozen=True)
class Plan:
    """Every moment of a range that has requests, once."""

    rolled: tuple[Piece, ...]
    quarters: tuple[Piece, ...]
    """Parts of quarters whose requests are those that were counted."""
    live: tuple[Span, ...]
    """Microseconds: requests that may change from one moment to the next."""


def plan(found: Units, manifest: Manifest, kinds: Sequence[str]) -> Plan | None:
    """What it takes of each of these kinds; ``None``: the engine does so much better."""
    if len(found.rolled) + len(found.raw) > MAX_UNITS:
        return None
    # What is not kept any more may be removed at any moment, and behind the retention of
    # quarters nobody notes what came late: it is looked for each time.
    closed = max(manifest.gone.get(0, 0), manifest.gone.get(QUARTER, 0))
    anew = joined([*manifest.dirty, (0, closed)])
    dirty = [(low * _MICRO, high * _MICRO) for low, high in anew]
    live = joined(
        [
            (max(low, since), min(high, until))
            for low, high in found.raw
            for since, until in dirty
            if low < until and since < high
        ]
    )
    if len(live) > MAX_SPANS:
        # One statement reads them all. The engine reads the gaps as well, this could not.
        return None
    quarters = [piece for span in _without(found.raw, live) for piece in _quarters(span, manifest)]
    if len(found.rolled) + len(quarters) > MAX_UNITS:
        return None
    rolled = (
        Piece(_key(kind, unit), unit.since * _MICRO, unit.until * _MICRO)
        for kind in kinds
        for unit in found.rolled
    )
    return Plan(tuple(rolled), tuple(quarters), tuple(live))


def changing(manifest: Manifest, since: int, until: int) -> tuple[Span, ...]:
    """Of ``[since, until)`` what every plan asks for anew: dirty quarters have no rollups.

    Empty where there is too much of it. A plan may name other spans than these.
    """
    spans = joined(
        [
            (max(low * _MICRO, since), min(high * _MICRO, until))
            for low, high in manifest.dirty
            if low * _MICRO < until and since < high * _MICRO
        ]
    )
    return tuple(spans) if len(spans) <= MAX_SPANS else ()


def _without(spans: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """What of the spans is in none of the others."""
    left = list(spans)
    for since, until in others:
        left = [
            part
            for low, high in left
            for part in ((low, min(high, since)), (max(low, until), high))
            if part[0] < part[1]
        ]
    return left


def _quarters(span: Span, manifest: Manifest) -> list[Piece]:
    versions = manifest.versions.get(QUARTER, {})
    low, high = span
    return [
        Piece(
            Key(REQUESTS, 0, start, versions[start]),
            max(low, start * _MICRO),
            min(high, (start + QUARTER) * _MICRO),
        )
        for start in present(versions, low // _MICRO, -(-high // _MICRO), QUARTER)
    ]


def _key(kind: str, unit: Unit) -> Key:
    if unit.level == MINUTE:
        return Key(kind, MINUTE, unit.since // QUARTER * QUARTER, unit.version)
    return Key(kind, unit.level, unit.since, unit.version)
