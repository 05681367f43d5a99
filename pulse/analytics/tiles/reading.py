"""Tiles out of memory, and out of the event store where they are not in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Final, TypeVar, cast

import numpy as np

from pulse.analytics.tiles.cache import ANYTHING, Cache, Shelf
from pulse.analytics.tiles.columns import EMPTY, Requests, Tile
from pulse.analytics.tiles.loading import cells_by_version, requests_of, values_by_version
from pulse.analytics.tiles.plan import REQUESTS, Key
from pulse.store.client import Store
from pulse.store.filters import TrafficFilter
from pulse.store.rolled.columns import Size, cells_under, requests_within, sizes, values_under
from pulse.store.rolled.cover import Span, Unit
from pulse.store.rolled.kinds import QUARTER
from qcloud.kernel.scope import Scope

MAX_REQUESTS: Final = 300_000
"""Single requests that one question reads at once; more of them the engine counts itself."""
_READ: Final = (160, 16)
"""Bytes of a row of rollups and of an entry of its histogram while they are read, about."""
_KEPT: Final = {True: (48, 4), False: (140, 4)}
"""And when they are kept: of the cube, of other kinds."""
_SHARE: Final = 2
"""A question may fill one part in so many of the memory."""
_ALONE: Final = 16
"""What is more than one part in so many is read by one thread at a time, and piecemeal."""
_MICRO: Final = 1_000_000


T = TypeVar("T", bound=Tile)


class Reader:
    """What one question reads, as one person may see it."""

    def __init__(self, scope: Scope, store: Store | None, cache: Cache) -> None:
        self._scope = scope
        self._store = store
        self._cache = cache
        # Who is limited to environments has tiles of these alone: the gate cut them.
        owner = (store.settings if store else None, scope.account_id, scope.environments)
        self.shelf: Shelf = cache.shelf(owner)

    def tiles(self, keys: Iterable[Key]) -> dict[Key, Tile] | None:
        """All of them; ``None``: together they are too large for the memory.

        Raises ``StoreUnavailable``.
        """
        if self.shelf.is_refused(ANYTHING):
            return None
        found: dict[Key, Tile] = {}
        missing = []
        for key in dict.fromkeys(keys):
            tile = self._cache.get(self.shelf, key)
            if tile is None:
                missing.append(key)
            else:
                found[key] = tile
        for wanted in _together(missing):
            read = self._requests(wanted) if wanted[0].part == REQUESTS else self._rolled(wanted)
            if read is None:
                return None
            found |= read
        return found

    def live(self, chosen: TrafficFilter, spans: Sequence[Span]) -> Requests | None:
        """The requests of these spans that the filter takes, as they are now; ``None``: there
        are too many.
        """
        if self.shelf.is_refused("live"):
            return None
        table = requests_within(
            self._scope, spans, MAX_REQUESTS + 1, chosen=chosen, store=self._store
        )
        if table.num_rows > MAX_REQUESTS:
            self.shelf.refuse("live")
            return None
        return requests_of(table, self.shelf.strings)

    def derived(self, key: Hashable, make: Callable[[], T]) -> T:
        """What is made of tiles, kept beside them; ``key`` says of which and what."""
        found = self._cache.get(self.shelf, key)
        if found is None:
            made = make()
            self._cache.put(self.shelf, key, made)
            return made
        return cast("T", found)

    def _rolled(self, keys: list[Key]) -> dict[Key, Tile] | None:
        name = frozenset(keys)
        if self.shelf.is_refused(name):
            return None
        kinds = list(dict.fromkeys(key.part for key in keys))
        found = sizes(self._scope, _units(keys), kinds, store=self._store)
        if _bytes(found.values(), _KEPT[kinds == ["cube"]]) > self._cache.most_bytes // _SHARE:
            self.shelf.refuse(name)
            return None
        most = self._cache.most_bytes // _ALONE
        with self._cache.large if _bytes(found.values(), _READ) > most else nullcontext():
            kept = {key: self._cache.get(self.shelf, key) for key in keys}
            # Whoever was waited for may have read the same.
            read = {key: tile for key, tile in kept.items() if tile is not None}
            missing = [key for key in keys if key not in read]
            for some in _portions(missing, found, most):
                read |= self._read(some, kinds)
        return read

    def _read(self, keys: list[Key], kinds: list[str]) -> dict[Key, Tile]:
        tiles: Mapping[tuple[str, int], Tile]
        if kinds == ["cube"]:
            table = cells_under(self._scope, _units(keys), store=self._store)
            tiles = cells_by_version(table, self.shelf.strings)
        else:
            table = values_under(self._scope, _units(keys), kinds, store=self._store)
            tiles = values_by_version(table, self.shelf.strings)
        # A version may have no rows of a kind: nothing happened in what was counted.
        found: dict[Key, Tile] = {key: tiles.get((key.part, key.version), EMPTY) for key in keys}
        self._keep(found)
        return found

    def _requests(self, keys: list[Key]) -> dict[Key, Tile] | None:
        name = frozenset(keys)
        if self.shelf.is_refused(name):
            return None
        spans = [(key.since * _MICRO, (key.since + QUARTER) * _MICRO) for key in keys]
        table = requests_within(self._scope, spans, MAX_REQUESTS + 1, store=self._store)
        if table.num_rows > MAX_REQUESTS:
            self.shelf.refuse(name)
            return None
        found = requests_of(table, self.shelf.strings)
        starts = found.moments // (QUARTER * _MICRO) * QUARTER
        tiles: dict[Key, Tile] = {
            key: found.only(np.flatnonzero(starts == key.since)) for key in keys
        }
        self._keep(tiles)
        return tiles

    def _keep(self, tiles: Mapping[Key, Tile]) -> None:
        for key, tile in tiles.items():
            self._cache.put(self.shelf, key, tile)


def _units(keys: Sequence[Key]) -> list[Unit]:
    return list(dict.fromkeys(key.unit for key in keys))


def _bytes(found: Iterable[Size], of: tuple[int, int]) -> int:
    """With so many bytes of a row and of an entry of its histogram."""
    return sum(one.rows * of[0] + one.keys * of[1] for one in found)


def _portions(keys: Sequence[Key], found: Mapping[int, Size], most: int) -> Iterator[list[Key]]:
    """Units in the order of time, all kinds of each, below ``most`` bytes while they are read."""
    portion: list[Key] = []
    size, last = 0, None
    for key in sorted(keys, key=lambda key: (key.since, key.part)):
        if key.unit != last:
            of = found.get(key.version)
            more = _bytes([of], _READ) if of else 0
            if portion and size + more > most:
                yield portion
                portion, size = [], 0
            size, last = size + more, key.unit
        portion.append(key)
    if portion:
        yield portion


def _together(keys: Sequence[Key]) -> list[list[Key]]:
    """Those that one statement reads: of one level, and the same units of several kinds."""
    by_kind: dict[tuple[str, int], list[Key]] = defaultdict(list)
    for key in keys:
        by_kind[key.part, key.level].append(key)
    found: dict[tuple[bool, frozenset[Unit]], list[Key]] = defaultdict(list)
    for (kind, _), some in by_kind.items():
        plain = kind not in ("cube", REQUESTS)
        found[plain, frozenset(key.unit for key in some)] += some
    return list(found.values())
