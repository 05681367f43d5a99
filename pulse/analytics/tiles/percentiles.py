"""Percentiles of many groups out of keys and how often each occurred.

As the engine's ``quantileExactWeighted``: the first key at which the sum of times reaches
``ceil(level * all)``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pulse.analytics.tiles.columns import Array, Entries
from pulse.store.latency import microseconds


def histogram(parts: Sequence[tuple[Array, Entries]], count: int) -> tuple[Array, int]:
    """(``count``, keys): how often each key occurs in each group, and the first key.

    A part is the group of each row, and the rows' entries.
    """
    keys = np.concatenate([entries.keys for _, entries in parts]).astype(np.int64)
    if not len(keys):
        return np.zeros((count, 1)), 0
    first = int(keys.min())
    width = int(keys.max()) - first + 1
    groups = np.concatenate([group for group, _ in parts]).astype(np.int64)
    lengths = np.concatenate([entries.lengths for _, entries in parts])
    keys += np.repeat(groups * width - first, lengths)
    times = np.concatenate([entries.times for _, entries in parts])
    dense = np.bincount(keys, times, count * width)
    return dense.reshape(count, width), first


def percentiles(dense: Array, first: int, levels: Sequence[float]) -> list[list[float]]:
    """Microseconds of each group at each of the levels; 0 of a group without requests."""
    reached = np.cumsum(dense, axis=1)
    wanted = np.ceil(np.outer(reached[:, -1], levels))
    found = [
        np.argmax(reached >= wanted[:, [place]], axis=1) + first for place in range(len(levels))
    ]
    return [list(map(microseconds, keys)) for keys in np.stack(found, axis=1).tolist()]
