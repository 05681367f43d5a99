"""Columns of the event store as tiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import numpy as np
import pyarrow as pa

from pulse.analytics.tiles.columns import (
    SUMS,
    Array,
    Cells,
    Histograms,
    Requests,
    Values,
    small,
    starts_of,
)
from pulse.analytics.tiles.strings import Strings
from pulse.store.rolled.columns import DIRECTIONS

_TEXTS: Final = ("process", "host", "vendor", "method", "route")
"""Dimensions whose values are texts where they are stored."""


def values_by_version(table: pa.Table, strings: Strings) -> dict[tuple[str, int], Values]:
    """Of ``pulse.store.rolled.columns.values_under``, by kind and version."""
    kinds = strings.numbers(table["kind"])
    values = strings.numbers(table["value"])
    environments = _environments(table["environment"], strings)
    moments = _plain(table["moment"])
    sums = _flat(table["sums"]).reshape(-1, SUMS)
    latency = _histograms(table)
    found = {}
    for version, several in _parted(_plain(table["version"])):
        for kind, places in _parted(kinds[several]):
            rows = several[places]
            rows = rows[np.lexsort((moments[rows], values[rows]))]
            found[strings.text(kind), version] = Values(
                small(values[rows]),
                small(environments[rows]),
                moments[rows],
                np.ascontiguousarray(sums[rows].T),
                latency.rows(rows),
            )
    return found


def cells_by_version(table: pa.Table, strings: Strings) -> dict[tuple[str, int], Cells]:
    """Of ``pulse.store.rolled.columns.cells_under``, by kind (the cube) and version."""
    moments = _plain(table["moment"])
    environments = _environments(table["environment"], strings)
    dimensions = _dimensions(table, strings)
    statuses = _plain(table["status"])
    plain = {
        name: _plain(table[name])
        for name in ("requests", "bytes_sent", "bytes_received", "replayed")
    }
    latency = _histograms(table)
    return {
        ("cube", version): Cells(
            moments=moments[rows],
            environments=small(environments[rows]),
            dimensions={kind: small(column[rows]) for kind, column in dimensions.items()},
            statuses=statuses[rows],
            latency=latency.rows(rows),
            **{name: small(column[rows]) for name, column in plain.items()},
        )
        for version, rows in _parted(_plain(table["version"]))
    }


def requests_of(table: pa.Table, strings: Strings) -> Requests:
    """Of ``pulse.store.rolled.columns.requests_within``."""
    dimensions = _dimensions(table, strings)
    return Requests(
        moments=_plain(table["moment"]),
        environments=small(_environments(table["environment"], strings)),
        dimensions={kind: small(column) for kind, column in dimensions.items()},
        statuses=_plain(table["status"]),
        keys=_plain(table["key"]),
        bytes_sent=small(_plain(table["bytes_sent"])),
        bytes_received=small(_plain(table["bytes_received"])),
        replayed=_plain(table["replayed"]),
    )


def _dimensions(table: pa.Table, strings: Strings) -> Mapping[str, Array]:
    texts = {kind: strings.numbers(table[kind]) for kind in _TEXTS}
    statuses = _plain(table["status"])
    directions = np.array([strings.number(text) for text in DIRECTIONS], np.uint32)
    return {
        **texts,
        "direction": directions.take(_plain(table["direction_number"])),
        "status": _as_text(statuses, strings),
        "class": _as_text(statuses // 100, strings),
    }


def _as_text(numbers: Array, strings: Strings) -> Array:
    """Of small numbers."""
    occurring = np.flatnonzero(np.bincount(numbers))
    texts = np.zeros(int(occurring[-1]) + 1 if len(occurring) else 1, np.uint32)
    texts[occurring] = [strings.number(str(number)) for number in occurring.tolist()]
    found: Array = texts.take(numbers)
    return found


def _environments(column: pa.ChunkedArray, strings: Strings) -> Array:
    """There are few: each is looked for by itself, which no sorting is quicker than."""
    ids = np.frombuffer(
        b"".join(memoryview(_fixed(chunk)) for chunk in column.chunks), np.dtype((np.void, 16))
    )
    numbers = np.zeros(len(ids), np.uint32)
    left = np.arange(len(ids))
    while len(left):
        one = ids[left[0]]
        same = ids[left] == one
        numbers[left[same]] = strings.number(str(UUID(bytes=one.tobytes())))
        left = left[~same]
    return numbers


def _fixed(chunk: pa.FixedSizeBinaryArray) -> bytes:
    """The bytes of all values."""
    data: bytes = chunk.buffers()[1][chunk.offset * 16 : (chunk.offset + len(chunk)) * 16]
    return data


def _histograms(table: pa.Table) -> Histograms:
    lengths = _lengths(table["keys"])
    return Histograms(starts_of(lengths), _flat(table["keys"]), _flat(table["times"]))


def _parted(numbers: Array) -> list[tuple[int, Array]]:
    """Each number that occurs, and where."""
    order = np.argsort(numbers, kind="stable")
    known, begins = np.unique(numbers[order], return_index=True)
    places = np.split(order, begins[1:])
    return [(int(number), some) for number, some in zip(known, places, strict=False)]


def _plain(column: pa.ChunkedArray) -> Array:
    found: Array = column.to_numpy()
    return found


def _flat(column: pa.ChunkedArray) -> Array:
    """The elements of all lists."""
    parts: list[Any] = [chunk.flatten().to_numpy() for chunk in column.chunks]
    return np.concatenate(parts) if parts else np.zeros(0, np.uint64)


def _lengths(column: pa.ChunkedArray) -> Array:
    parts = [np.diff(chunk.offsets.to_numpy()) for chunk in column.chunks]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
