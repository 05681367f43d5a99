"""The largest groups out of tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pulse.analytics.tiles.choice import Choice
from pulse.analytics.tiles.columns import (
    ERRORS,
    Array,
    Cells,
    Entries,
    Histograms,
    Pairs,
    Requests,
    Values,
    small,
    starts_of,
)
from pulse.analytics.tiles.percentiles import histogram, percentiles
from pulse.analytics.tiles.strings import EMPTY, Strings
from pulse.store.rolled.read import Ranked
from pulse.store.tops import Group

_P95: Final = (0.95,)
_FAILED: Final = 400
_DENSE: Final = 4_000_000
"""Numbers of a histogram that is written out; a larger one is sorted instead."""


@dataclass(frozen=True)
class _Rows:
    """Some rows of a tile: a value each, and what it counts."""

    values: Array
    requests: Array
    errors: Array
    latency: Histograms | Array
    """Of requests their keys, one each."""
    places: slice | Array
    """Of the rows in the histograms."""


class Ranks:
    """One dimension's values, from many tiles."""

    def __init__(self, strings: Strings, kind: str, chosen: Choice) -> None:
        self._strings = strings
        self._kind = kind
        self._chosen = chosen
        self._rows: list[_Rows] = []

    def add_pairs(self, tile: Pairs, first: int) -> None:
        rows = self._chosen.rows(tile, tile.of(first))
        self._rows.append(
            _Rows(tile.values[rows], tile.requests[rows], tile.errors[rows], tile.latency, rows)
        )

    def add_cells(self, tile: Cells, rows: Array) -> None:
        requests = tile.requests[rows]
        failed = tile.statuses[rows] >= _FAILED
        values = tile.dimensions[self._kind][rows]
        self._rows.append(
            _Rows(values, requests, np.where(failed, requests, 0), tile.latency, rows)
        )

    def add_requests(self, tile: Requests, rows: Array) -> None:
        failed = tile.statuses[rows] >= _FAILED
        values = tile.dimensions[self._kind][rows]
        self._rows.append(_Rows(values, np.ones(len(rows), np.uint8), failed, tile.keys, rows))

    def result(self, limit: int) -> Ranked:
        """The ``limit`` largest by requests, the empty value left out."""
        if not self._rows:
            return Ranked((), 0, 0)
        values = np.concatenate([rows.values for rows in self._rows])
        requests = np.bincount(values, np.concatenate([rows.requests for rows in self._rows]))
        errors = np.bincount(values, np.concatenate([rows.errors for rows in self._rows]))
        requests[EMPTY : EMPTY + 1] = 0
        shown = self._largest(requests, limit)
        p95 = self._p95(shown, len(requests)) if shown else []
        groups = tuple(
            Group(self._strings.text(value), int(requests[value]), int(errors[value]), microseconds)
            for value, microseconds in zip(shown, p95, strict=True)
        )
        seen = sum(group.requests for group in groups)
        others = int(np.count_nonzero(requests)) - len(groups)
        return Ranked(groups, others, int(requests.sum()) - seen)

    def _largest(self, requests: Array, limit: int) -> list[int]:
        known = np.flatnonzero(requests)
        if len(known) > limit:
            least = np.partition(requests[known], -limit)[-limit]
            known = known[requests[known] >= least]
        text = self._strings.text
        return sorted(known.tolist(), key=lambda value: (-requests[value], text(value)))[:limit]

    def _p95(self, shown: list[int], count: int) -> list[float]:
        """Microseconds of each of these values."""
        rank = np.full(count, -1)
        rank[shown] = np.arange(len(shown))
        parts = [_entries(rows, rank) for rows in self._rows]
        dense, first = histogram(parts, len(shown))
        return [p95 for (p95,) in percentiles(dense, first, _P95)]


def _entries(rows: _Rows, rank: Array) -> tuple[Array, Entries]:
    """Of those rows that are shown the ranks and the entries."""
    ranks = rank[rows.values]
    shown = ranks >= 0
    if isinstance(rows.latency, Histograms):
        if isinstance(rows.places, slice):
            if shown.all():
                return ranks, rows.latency.between(rows.places.start, rows.places.stop)
            return ranks[shown], rows.latency.of(np.flatnonzero(shown) + rows.places.start)
        return ranks[shown], rows.latency.of(rows.places[shown])
    keys = rows.latency[rows.places][shown]
    ones = np.ones(len(keys), np.uint8)
    return ranks[shown], Entries(ones, keys, ones)


def pairs_of_values(tiles: Sequence[Values]) -> Pairs:
    """A kind's values over several tiles; the first of each pair is 0."""
    return _pairs(
        values=np.concatenate([tile.values for tile in tiles]),
        environments=np.concatenate([tile.environments for tile in tiles]),
        requests=np.concatenate([tile.sums[0] for tile in tiles]),
        errors=np.concatenate([tile.sums[ERRORS] for tile in tiles]),
        entries=[tile.latency.between(0, len(tile.values)) for tile in tiles],
    )


def pairs_of_cells(tiles: Sequence[Cells], first: str, kind: str) -> Pairs:
    """The cube over several tiles by the values of two kinds."""
    requests = np.concatenate([tile.requests for tile in tiles])
    statuses = np.concatenate([tile.statuses for tile in tiles])
    return _pairs(
        firsts=np.concatenate([tile.dimensions[first] for tile in tiles]),
        values=np.concatenate([tile.dimensions[kind] for tile in tiles]),
        environments=np.concatenate([tile.environments for tile in tiles]),
        requests=requests,
        errors=np.where(statuses >= _FAILED, requests, 0),
        entries=[tile.latency.between(0, len(tile.requests)) for tile in tiles],
    )


def _pairs(
    *,
    values: Array,
    environments: Array,
    requests: Array,
    errors: Array,
    entries: Sequence[Entries],
    firsts: Array | None = None,
) -> Pairs:
    if firsts is None:
        firsts = np.zeros(len(values), np.uint8)
    places, groups = _grouped((firsts, values, environments))
    count = len(places)
    return Pairs(
        firsts[places],
        values[places],
        environments[places],
        small(np.bincount(groups, requests, count).astype(np.uint64)),
        small(np.bincount(groups, errors, count).astype(np.uint64)),
        _merged(groups, entries, count),
    )


def _grouped(columns: Sequence[Array]) -> tuple[Array, Array]:
    """Where the different rows of these columns are, sorted, and of each row which it is."""
    combined = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        combined = combined * (int(column.max(initial=0)) + 1) + column
    _, places, groups = np.unique(combined, return_index=True, return_inverse=True)
    return places, groups


def _merged(groups: Array, parts: Sequence[Entries], count: int) -> Histograms:
    """One histogram a group out of those of its rows."""
    owners = np.repeat(groups, np.concatenate([part.lengths for part in parts]))
    keys = np.concatenate([part.keys for part in parts]).astype(np.int64)
    times = np.concatenate([part.times for part in parts])
    if not len(keys):
        return Histograms(np.zeros(count + 1, np.int64), keys.astype(np.uint16), times)
    first = int(keys.min())
    width = int(keys.max()) - first + 1
    places = owners * width + (keys - first)
    if count * width <= _DENSE:
        dense = np.bincount(places, times, count * width)
        known = np.flatnonzero(dense)
        times = dense[known]
    else:
        known, inverse = np.unique(places, return_inverse=True)
        times = np.bincount(inverse, times)
    lengths = np.bincount(known // width, minlength=count)
    return Histograms(
        starts_of(lengths),
        (known % width + first).astype(np.uint16),
        small(times.astype(np.uint64)),
    )
