"""Several tiles of the cube as one: each costs a question as much as a thousand rows do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pulse.analytics.tiles.columns import Array, Cells, Histograms, starts_of


def cells_stacked(tiles: Sequence[Cells]) -> Cells:
    """All rows, one tile after the other."""
    dimensions = {
        kind: np.concatenate([tile.dimensions[kind] for tile in tiles])
        for kind in tiles[0].dimensions
    }
    return Cells(
        moments=np.concatenate([tile.moments for tile in tiles]),
        environments=np.concatenate([tile.environments for tile in tiles]),
        dimensions=dimensions,
        statuses=np.concatenate([tile.statuses for tile in tiles]),
        requests=np.concatenate([tile.requests for tile in tiles]),
        bytes_sent=np.concatenate([tile.bytes_sent for tile in tiles]),
        bytes_received=np.concatenate([tile.bytes_received for tile in tiles]),
        replayed=np.concatenate([tile.replayed for tile in tiles]),
        latency=_histograms([tile.latency for tile in tiles]),
    )


def _histograms(parts: Sequence[Histograms]) -> Histograms:
    lengths: list[Array] = [np.diff(part.offsets) for part in parts]
    return Histograms(
        starts_of(np.concatenate(lengths)),
        np.concatenate([part.keys for part in parts]),
        np.concatenate([part.times for part in parts]),
    )
