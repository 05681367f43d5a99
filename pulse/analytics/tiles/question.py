"""Series and rankings of a filter out of tiles, equal to what the engine gives.

Whoever asks must be ready to hear ``None``: rollups do not know the filter, or what it takes is
too large for the memory, and the engine is asked as ever.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextvars import copy_context
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final, Generic, TypeVar

import numpy as np
from django.conf import settings

from pulse.analytics.covers import ranks_units, series_units
from pulse.analytics.steps import Steps
from pulse.analytics.tiles.cache import Cache
from pulse.analytics.tiles.choice import choice_of
from pulse.analytics.tiles.columns import Cells, Requests, Tile, Values
from pulse.analytics.tiles.plan import Key, Piece, Plan, changing, plan
from pulse.analytics.tiles.ranking import Ranks, pairs_of_cells, pairs_of_values
from pulse.analytics.tiles.reading import Reader
from pulse.analytics.tiles.stacking import cells_stacked
from pulse.analytics.tiles.strings import Strings
from pulse.analytics.tiles.summing import Chart
from pulse.store.client import Store
from pulse.store.filters import TrafficFilter, micros
from pulse.store.rolled.cover import Manifest, Span
from pulse.store.rolled.kinds import DAY, HOUR, MINUTE, QUARTER, VALUES
from pulse.store.rolled.read import Ranked, Source, ranks_from, source_of
from pulse.store.series import Sums
from qcloud.kernel.scope import Scope, Tier

_RANKED: Final = {DAY: 7 * DAY, HOUR: 6 * HOUR, QUARTER: HOUR}
"""Seconds of each level that rankings add up once and keep so: days of a week, hours of a shift,
quarters of an hour."""
_CHARTED: Final = {DAY: 28 * DAY, HOUR: DAY, QUARTER: 6 * HOUR, MINUTE: 6 * HOUR}
"""And of the cube that charts have side by side."""


_AHEAD: Final = "ahead"
"""Refused where the engine had to answer in the end: what was asked for ahead was in vain."""


@lru_cache(maxsize=1)
def the_cache() -> Cache:
    """The one of the process."""
    return Cache(settings.TILES_MEMORY)


def question_of(
    scope: Scope, chosen: TrafficFilter, manifest: Manifest, *, store: Store | None = None
) -> Question | None:
    """``None``: the engine alone can answer."""
    source, cache = source_of(chosen), the_cache()
    if source is None or scope.tier is not Tier.CUSTOMER or not cache.most_bytes:
        return None
    return Question(chosen, manifest, source, Reader(scope, store, cache))


T = TypeVar("T")
Charted = tuple[dict[int, Sums], Sums | None]


@dataclass(frozen=True)
class _Begun(Generic[T]):
    """An answer that wants the requests of what changes, and how to add them."""

    live: tuple[Span, ...]
    add: Callable[[Requests, int, int], None]
    result: Callable[[], T]


class Question:
    """What is asked of one range under one filter."""

    def __init__(
        self, chosen: TrafficFilter, manifest: Manifest, source: Source, reader: Reader
    ) -> None:
        self._chosen = chosen
        self._manifest = manifest
        self._source = source
        self._reader = reader
        self._choice = choice_of(chosen, reader.shelf.strings)
        self._asked: dict[tuple[Span, ...], Future[Requests | None]] = {}

    def series(self, steps: Steps) -> Charted | None:
        """As ``pulse.store.rolled.read.series``. Raises ``StoreUnavailable``."""
        return self._finished(self._charted(steps))

    def ranks(self, kinds: Sequence[str], limit: int) -> dict[str, Ranked] | None:
        """As ``pulse.store.rolled.read.ranks``. Raises ``StoreUnavailable``."""
        return self._finished(self._ranked(kinds, limit))

    def both(
        self, steps: Steps, kinds: Sequence[str], limit: int, pool: Executor
    ) -> tuple[Charted, dict[str, Ranked]] | None:
        """``series`` and ``ranks``; what changes from one moment to the next is asked for while
        the rest is added up.
        """
        self._look_ahead(pool)
        chart, ranks = self._charted(steps), self._ranked(kinds, limit)
        charted, ranked = self._finished(chart), self._finished(ranks)
        if charted is None or ranked is None:
            self._reader.shelf.refuse(_AHEAD)
            return None
        return charted, ranked

    def _look_ahead(self, pool: Executor) -> None:
        spans = changing(self._manifest, micros(self._chosen.since), micros(self._chosen.until))
        if spans and not self._reader.shelf.is_refused(_AHEAD):
            ask = partial(copy_context().run, self._reader.live, self._chosen, spans)
            self._asked[spans] = pool.submit(ask)

    def _charted(self, steps: Steps) -> _Begun[Charted] | None:
        found = series_units(self._chosen, self._manifest, steps.step_us, self._source)
        planned = plan(found, self._manifest, [self._source.kind])
        tiles = self._tiles(planned)
        if planned is None or tiles is None:
            return None
        chart = Chart(self._strings, self._choice, steps.step_us, steps.numbers)
        for some in _neighbours(planned.rolled, _CHARTED):
            since, until = min(p.since for p in some), max(p.until for p in some)
            for tile in self._stacked([p.key for p in some], tiles):
                chart.add(tile, since, until)
        for piece in planned.quarters:
            chart.add(tiles[piece.key], piece.since, piece.until)
        return _Begun(planned.live, chart.add_requests, chart.result)

    def _ranked(self, kinds: Sequence[str], limit: int) -> _Begun[dict[str, Ranked]] | None:
        without = ranks_from(self._chosen, kinds)
        if without is None or not set(kinds) <= set(VALUES):
            return None
        total = self._source.kind == "total"
        found = ranks_units(self._chosen, self._manifest, without)
        planned = plan(found, self._manifest, kinds if total else ["cube"])
        tiles = self._tiles(planned)
        if planned is None or tiles is None:
            return None
        ranks = {kind: Ranks(self._strings, kind, self._choice) for kind in kinds}
        for some in _neighbours(planned.rolled, _RANKED):
            self._add(ranks, tuple(piece.key for piece in some), tiles)
        for piece in planned.quarters:
            self._add_requests(ranks, tiles[piece.key], piece.since, piece.until)
        return _Begun(
            planned.live,
            partial(self._add_requests, ranks),
            lambda: {kind: found.result(limit) for kind, found in ranks.items()},
        )

    def _finished(self, begun: _Begun[T] | None) -> T | None:
        """With the requests of what changes; ``None``: too many."""
        if begun is None:
            return None
        for low, high in begun.live:
            live = self._live(begun.live)
            if live is None:
                return None
            begun.add(live, low, high)
        return begun.result()

    def _add(
        self,
        ranks: Mapping[str, Ranks],
        keys: tuple[Key, ...],
        tiles: Mapping[Key, Tile],
    ) -> None:
        chosen = self._choice
        cells = [tile for key in keys if isinstance(tile := tiles[key], Cells)]
        values = [tile for key in keys if isinstance(tile := tiles[key], Values)]
        if values:
            pairs = self._reader.derived((keys, "pairs"), partial(pairs_of_values, values))
            ranks[keys[0].part].add_pairs(pairs, 0)
        elif cells and len(chosen.given) > 1:
            for tile in self._stacked(keys, tiles):
                if isinstance(tile, Cells):
                    rows = np.flatnonzero(chosen.mask(tile))
                    for found in ranks.values():
                        found.add_cells(tile, rows)
        elif cells:
            first = chosen.kind
            for kind, found in ranks.items():
                make = partial(pairs_of_cells, cells, first, kind)
                pairs = self._reader.derived((keys, first, kind), make)
                found.add_pairs(pairs, chosen.given[first])

    def _add_requests(self, ranks: Mapping[str, Ranks], tile: Tile, since: int, until: int) -> None:
        if not isinstance(tile, Requests):
            return
        taken = self._choice.mask(tile) & (tile.moments >= since) & (tile.moments < until)
        rows = np.flatnonzero(taken)
        for found in ranks.values():
            found.add_requests(tile, rows)

    def _stacked(self, keys: Sequence[Key], tiles: Mapping[Key, Tile]) -> list[Tile]:
        """As few tiles as it takes."""
        cells = [tile for key in keys if isinstance(tile := tiles[key], Cells)]
        if len(cells) > 1:
            name = (tuple(keys), "stack")
            return [self._reader.derived(name, partial(cells_stacked, cells))]
        return [tiles[key] for key in keys]

    def _tiles(self, planned: Plan | None) -> dict[Key, Tile] | None:
        """``None``: too large."""
        if planned is None:
            return None
        return self._reader.tiles(p.key for p in (*planned.rolled, *planned.quarters))

    def _live(self, spans: tuple[Span, ...]) -> Requests | None:
        """The requests of what changes; ``None``: too many. Series and rankings share them."""
        if spans not in self._asked:
            self._asked[spans] = Future()
            self._asked[spans].set_result(self._reader.live(self._chosen, spans))
        return self._asked[spans].result()

    @property
    def _strings(self) -> Strings:
        return self._reader.shelf.strings


def _neighbours(pieces: Sequence[Piece], together: Mapping[int, int]) -> list[list[Piece]]:
    """Those of one kind and level that begin within the same so many seconds."""
    found: dict[tuple[str, int, int], list[Piece]] = defaultdict(list)
    for piece in pieces:
        key = piece.key
        found[key.part, key.level, key.since // together[key.level]].append(piece)
    return list(found.values())


__all__ = ["Question", "question_of", "the_cache"]
