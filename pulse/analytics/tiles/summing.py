"""A chart over time out of tiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pulse.analytics.tiles.choice import Choice
from pulse.analytics.tiles.columns import (
    ERRORS,
    SUMS,
    Array,
    Cells,
    Entries,
    Requests,
    Tile,
    Values,
)
from pulse.analytics.tiles.percentiles import histogram, percentiles
from pulse.analytics.tiles.strings import Strings
from pulse.store.rolled.kinds import COUNTS
from pulse.store.series import Sums

_LEVELS: Final = (0.5, 0.95, 0.99)
_MICRO: Final = 1_000_000
_ROW: Final = {name: place for place, name in enumerate(COUNTS)}
_DIRECTIONS: Final = {
    "ingress": "ingress",
    "egress_internal": "egress-internal",
    "egress_external": "egress-external",
}
_STATUSES: Final = (
    "", "", "status_2xx", "status_3xx", "status_4xx", "status_5xx", "", "no_response",
)  # fmt: skip
"""By their class; above 599 and without an answer by themselves."""
_NO_RESPONSE: Final = 7


@dataclass(frozen=True)
class _Rows:
    """Rows of cells, or requests, each as good as a row of cells with one."""

    buckets: Array
    requests: Array
    directions: Array
    statuses: Array
    sent: Array
    received: Array
    replayed: Array


class Chart:
    """Sums by bucket, which are numbered from the range's first one."""

    def __init__(self, strings: Strings, chosen: Choice, step_us: int, numbers: range) -> None:
        self._strings = strings
        self._chosen = chosen
        self._step = step_us
        self._first = numbers.start
        self._count = len(numbers)
        self._rows: list[_Rows] = []
        self._sums: list[tuple[Array, Array]] = []
        """Moments (seconds), and sums as in ``Values``."""
        self._latency: list[tuple[Array, Entries]] = []
        """The bucket of each row, and its entries."""
        self._wanted = chosen.given.get(chosen.kind)
        self._directions = {name: strings.number(text) for name, text in _DIRECTIONS.items()}

    def add(self, tile: Tile, since: int, until: int) -> None:
        """What the filter takes of the tile in ``[since, until)``, microseconds."""
        if isinstance(tile, Values):
            self._add_values(tile, since // _MICRO, until // _MICRO)
        elif isinstance(tile, Cells):
            self._add_cells(tile)
        elif isinstance(tile, Requests):
            self.add_requests(tile, since, until)

    def add_requests(self, tile: Requests, since: int, until: int) -> None:
        """Those of ``[since, until)``, microseconds."""
        taken = self._chosen.mask(tile)
        taken &= (tile.moments >= since) & (tile.moments < until)
        rows = np.flatnonzero(taken)
        buckets = tile.moments[rows] // self._step - self._first
        ones = np.ones(len(rows), np.uint8)
        self._rows.append(_rows(tile, rows, buckets, ones))
        self._latency.append((buckets, Entries(ones, tile.keys[rows], ones)))

    def result(self) -> tuple[dict[int, Sums], Sums | None]:
        """As ``pulse.store.series.series``."""
        if not self._latency:
            return {}, None
        sums = self._summed()
        dense, low = histogram(self._latency, self._count)
        dense = np.concatenate((dense, dense.sum(axis=0, keepdims=True)))
        sums = np.concatenate((sums, sums.sum(axis=1, keepdims=True)), axis=1)
        latency = percentiles(dense, low, _LEVELS)
        *buckets, total = (
            Sums((p50, p95, p99), *numbers)
            for (p50, p95, p99), numbers in zip(latency, sums[:ERRORS].T.tolist(), strict=True)
        )
        found = {self._first + place: one for place, one in enumerate(buckets) if one.requests}
        return found, total if total.requests else None

    def _add_values(self, tile: Values, since: int, until: int) -> None:
        rows = self._chosen.rows(tile, tile.of(self._wanted))
        moments = tile.moments[rows]
        inside = (moments >= since) & (moments < until)
        if not inside.all():
            # Minutes of a part of a quarter.
            rows = np.arange(len(tile.moments))[rows][inside]
            moments = moments[inside]
        if not len(moments):
            return
        self._sums.append((moments, tile.sums[:, rows]))
        entries = (
            tile.latency.between(rows.start, rows.stop)
            if isinstance(rows, slice)
            else tile.latency.of(rows)
        )
        self._latency.append((self._buckets(moments), entries))

    def _add_cells(self, tile: Cells) -> None:
        rows = np.flatnonzero(self._chosen.mask(tile))
        if not len(rows):
            return
        buckets = self._buckets(tile.moments[rows])
        self._rows.append(_rows(tile, rows, buckets, tile.requests[rows]))
        self._latency.append((buckets, tile.latency.of(rows)))

    def _buckets(self, moments: Array) -> Array:
        """Of seconds."""
        return moments.astype(np.int64) * _MICRO // self._step - self._first

    def _summed(self) -> Array:
        """(``SUMS``, buckets) of everything that was added."""
        total = np.zeros((SUMS, self._count), np.uint64)
        if self._sums:
            moments, parts = zip(*self._sums, strict=True)
            buckets = self._buckets(np.concatenate(moments))
            for row, numbers in zip(total, np.concatenate(parts, axis=1), strict=True):
                np.add.at(row, buckets, numbers)
        if self._rows:
            self._add_rows(total, _joined(self._rows))
        return total

    def _add_rows(self, total: Array, rows: _Rows) -> None:
        counted = np.bincount(rows.buckets, rows.requests, self._count)
        total[_ROW["requests"]] += counted.astype(np.uint64)
        directions = np.zeros(max(self._directions.values()) + 1, np.int64)
        for place, name in enumerate(_DIRECTIONS, 1):
            directions[self._directions[name]] = place
        known = np.where(rows.directions < len(directions), rows.directions, 0)
        self._count_by(total, rows, directions.take(known), ("", *_DIRECTIONS))
        statuses = np.where(rows.statuses == 0, _NO_RESPONSE, np.minimum(rows.statuses // 100, 6))
        self._count_by(total, rows, statuses, _STATUSES)
        for name, numbers in (
            ("bytes_sent", rows.sent),
            ("bytes_received", rows.received),
            ("replayed", rows.replayed),
        ):
            np.add.at(total[_ROW[name]], rows.buckets, numbers.astype(np.uint64))

    def _count_by(self, total: Array, rows: _Rows, places: Array, names: Sequence[str]) -> None:
        """Requests by bucket and place, each place's under its name; none under none.

        Counts of requests stay far below what a float holds exactly.
        """
        many = len(names)
        counted = np.bincount(rows.buckets * many + places, rows.requests, self._count * many)
        for place, numbers in enumerate(counted.reshape(self._count, many).T):
            if names[place]:
                total[_ROW[names[place]]] += numbers.astype(np.uint64)


def _rows(tile: Cells | Requests, rows: Array, buckets: Array, requests: Array) -> _Rows:
    return _Rows(
        buckets,
        requests,
        tile.dimensions["direction"][rows],
        tile.statuses[rows],
        tile.bytes_sent[rows],
        tile.bytes_received[rows],
        tile.replayed[rows],
    )


def _joined(parts: Iterable[_Rows]) -> _Rows:
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return _Rows(*(np.concatenate(column) for column in columns))
