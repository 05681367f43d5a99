"""What was read under a version, kept in memory for the next question.

Bounded in bytes: what was used longest ago goes first, and what nobody used for a while goes as
well, so that nothing of an account outlives its viewers for long. Safe from several threads.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from pulse.analytics.tiles.columns import Tile, nbytes
from pulse.analytics.tiles.strings import Strings

IDLE_SECONDS: Final = 900.0
MAX_STRINGS: Final = 200_000
"""Of one owner. One that has more begins anew."""
_OVERHEAD: Final = 1_024
"""Bytes of a tile beside its arrays, about."""

REFUSED_SECONDS: Final = 60.0
ANYTHING: Final = "anything"
"""Refused of an owner whose texts alone are too many."""

Owner = Hashable


class Shelf:
    """What belongs to one owner: numbers of texts mean something together with these alone."""

    def __init__(self, owner: Owner) -> None:
        self.owner: Final = owner
        self.strings = Strings()
        self.used = time.monotonic()
        self.tiles = 0
        self.counted = 0
        """Bytes of texts that the cache has counted."""
        self.is_kept = True
        """Otherwise nobody else is given it any more, and nothing is kept for it."""
        self._refused: dict[Hashable, float] = {}

    def refuse(self, name: Hashable) -> None:
        """Note that this was too large; for a minute nobody need look again."""
        now = time.monotonic()
        young = {n: at for n, at in self._refused.items() if now - at < REFUSED_SECONDS}
        # Another one each time: somebody else may be going through the one that was there.
        self._refused = {**young, name: now}

    def is_refused(self, name: Hashable) -> bool:
        at = self._refused.get(name)
        return at is not None and time.monotonic() - at < REFUSED_SECONDS


@dataclass
class _Entry:
    shelf: Shelf
    tile: Tile
    size: int
    used: float


_Place = tuple[int, Hashable]
"""Number of the owner's texts, and key."""


class Cache:
    """Tiles by owner and key."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes: Final = most_bytes
        self.large = threading.Lock()
        """Held while much is read: what is not kept yet is bounded by nothing else."""
        self._lock = threading.Lock()
        self._shelves: dict[Owner, Shelf] = {}
        self._entries: OrderedDict[_Place, _Entry] = OrderedDict()
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of tiles and of the texts that they are numbers of, about."""
        return self._size

    def shelf(self, owner: Owner) -> Shelf:
        """The owner's; a new one where it has too many texts or nobody asked for long."""
        now = time.monotonic()
        with self._lock:
            self._forget(now)
            shelf = self._shelves.get(owner)
            if shelf is None:
                shelf = self._shelves[owner] = Shelf(owner)
            elif len(shelf.strings) > MAX_STRINGS:
                self._drop(shelf)
                shelf = self._shelves[owner] = Shelf(owner)
                # What fills a shelf with one question does so with the next one as well.
                shelf.refuse(ANYTHING)
            shelf.used = now
            self._count_texts(shelf)
            self._shrink(shelf)
            return shelf

    def get(self, shelf: Shelf, key: Hashable) -> Tile | None:
        with self._lock:
            place = (shelf.strings.serial, key)
            entry = self._entries.get(place)
            if entry is None:
                return None
            entry.used = time.monotonic()
            self._entries.move_to_end(place)
            return entry.tile

    def put(self, shelf: Shelf, key: Hashable, tile: Tile) -> None:
        """Keep it; its numbers are of this shelf's texts."""
        place = (shelf.strings.serial, key)
        size = _OVERHEAD + nbytes(tile)
        with self._lock:
            if not shelf.is_kept:
                return
            self._remove(place)
            self._entries[place] = _Entry(shelf, tile, size, time.monotonic())
            self._size += size
            shelf.tiles += 1
            self._count_texts(shelf)
            self._shrink(shelf)

    def _count_texts(self, shelf: Shelf) -> None:
        self._size += shelf.strings.nbytes - shelf.counted
        shelf.counted = shelf.strings.nbytes

    def _shrink(self, wanted: Shelf) -> None:
        """Until it fits: texts that no tile is numbered by, then tiles, ``wanted`` itself last."""
        if self._size <= self.most_bytes:
            return
        for shelf in list(self._shelves.values()):
            if shelf.counted and not shelf.tiles and shelf is not wanted:
                self._drop(shelf)
        while self._size > self.most_bytes and self._entries:
            place, entry = next(iter(self._entries.items()))
            self._remove(place)
            if not entry.shelf.tiles and entry.shelf is not wanted:
                self._drop(entry.shelf)
        if self._size > self.most_bytes:
            self._drop(wanted)

    def _drop(self, shelf: Shelf) -> None:
        """Nobody is given it any more, nor any of its tiles."""
        if not shelf.is_kept:
            return
        shelf.is_kept = False
        del self._shelves[shelf.owner]
        self._size -= shelf.counted
        if shelf.tiles:
            for place in [p for p, entry in self._entries.items() if entry.shelf is shelf]:
                self._remove(place)

    def _forget(self, now: float) -> None:
        while self._entries:
            place, entry = next(iter(self._entries.items()))
            if now - entry.used < IDLE_SECONDS:
                break
            self._remove(place)
        for shelf in list(self._shelves.values()):
            if now - shelf.used >= IDLE_SECONDS:
                self._drop(shelf)

    def _remove(self, place: _Place) -> None:
        entry = self._entries.pop(place, None)
        if entry is not None:
            self._size -= entry.size
            entry.shelf.tiles -= 1
