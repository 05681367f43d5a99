"""What one version of rollups holds, and what one quarter's requests are, as arrays.

Everything here is made once and never changed: what stands under a version stays as it is.
Texts are numbers of ``Strings``. Sums are 64-bit and wrap around as the engine's do.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SUMS: Final = 13
"""Rows of ``Values.sums``: the counts of ``pulse.store.rolled.kinds.COUNTS``, errors last."""
ERRORS: Final = SUMS - 1


@dataclass(frozen=True)
class Histograms:
    """For each row some keys (``pulse.store.latency``) and how often each occurred."""

    offsets: Array
    """Where the entries of each row begin; one more than there are rows."""
    keys: Array
    times: Array

    def of(self, rows: Array) -> Entries:
        """The entries of these rows."""
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        ends = np.cumsum(lengths)
        places = np.arange(int(ends[-1]) if len(ends) else 0)
        places += np.repeat(self.offsets[rows] - (ends - lengths), lengths)
        return Entries(lengths, self.keys[places], self.times[places])

    def between(self, low: int, high: int) -> Entries:
        """The entries of rows ``low`` to ``high``, without copying them."""
        offsets = self.offsets[low : high + 1]
        inside = slice(int(offsets[0]), int(offsets[-1]))
        return Entries(np.diff(offsets), self.keys[inside], self.times[inside])

    def rows(self, rows: Array) -> Histograms:
        """Those of these rows, in arrays of their own."""
        found = self.of(rows)
        return Histograms(starts_of(found.lengths), small(found.keys), small(found.times))


@dataclass(frozen=True)
class Entries:
    """Of some rows, one after the other: how many entries each has, and all of them."""

    lengths: Array
    keys: Array
    times: Array


@dataclass(frozen=True)
class Values:
    """Sums by the values of one kind: rows sorted by ``values``."""

    values: Array
    environments: Array
    moments: Array
    """Seconds: where the bucket begins."""
    sums: Array
    """(``SUMS``, rows), 64 bits."""
    latency: Histograms

    def of(self, value: int | None) -> slice:
        """The rows of a value; ``None``: all of them."""
        if value is None:
            return slice(0, len(self.values))
        low, high = self.values.searchsorted((value, value + 1)).tolist()
        return slice(low, high)


@dataclass(frozen=True)
class Cells:
    """Rows of the cube."""

    moments: Array
    """Seconds: where the bucket begins."""
    environments: Array
    dimensions: dict[str, Array]
    """By kind: ``host``, ``process``, …"""
    statuses: Array
    """As they are."""
    requests: Array
    bytes_sent: Array
    bytes_received: Array
    replayed: Array
    latency: Histograms


@dataclass(frozen=True)
class Pairs:
    """The cube by the values of two kinds: rows sorted by ``firsts``, then ``values``."""

    firsts: Array
    values: Array
    environments: Array
    requests: Array
    errors: Array
    latency: Histograms

    def of(self, first: int) -> slice:
        low, high = self.firsts.searchsorted((first, first + 1)).tolist()
        return slice(low, high)


@dataclass(frozen=True)
class Requests:
    """Single requests, in no order."""

    moments: Array
    """Microseconds."""
    environments: Array
    dimensions: dict[str, Array]
    statuses: Array
    keys: Array
    bytes_sent: Array
    bytes_received: Array
    replayed: Array

    def __len__(self) -> int:
        return len(self.moments)

    def only(self, rows: Array) -> Requests:
        """These rows, in arrays of their own."""
        return Requests(
            self.moments[rows],
            self.environments[rows],
            {kind: column[rows] for kind, column in self.dimensions.items()},
            self.statuses[rows],
            self.keys[rows],
            self.bytes_sent[rows],
            self.bytes_received[rows],
            self.replayed[rows],
        )


@dataclass(frozen=True)
class Nothing:
    """A version without rows."""


EMPTY: Final = Nothing()
Tile = Values | Cells | Requests | Pairs | Nothing


def starts_of(lengths: Array) -> Array:
    """Offsets of rows with these lengths."""
    return np.concatenate(([0], np.cumsum(lengths)))


def small(numbers: Array) -> Array:
    """The same in the narrowest unsigned integers."""
    if not len(numbers):
        return numbers.astype(np.uint8)
    return numbers.astype(np.min_scalar_type(int(numbers.max())))


def nbytes(tile: object) -> int:
    """Memory of all arrays of a tile."""
    if isinstance(tile, np.ndarray):
        return int(tile.nbytes)
    if isinstance(tile, dict):
        return sum(map(nbytes, tile.values()))
    if isinstance(tile, Values | Cells | Pairs | Requests | Histograms):
        return sum(nbytes(getattr(tile, field.name)) for field in fields(tile))
    return 0
