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

Owner = Hashable


class Shelf:
    """What belongs to one owner: numbers of texts mean something together with these alone."""

    def __init__(self) -> None:
        self.strings = Strings()
        self.used = time.monotonic()
        self._refused: dict[Hashable, float] = {}

    def refuse(self, name: Hashable) -> None:
        """Note that this was too large; for a minute nobody need look again."""
        now = time.monotonic()
        self._refused = {n: at for n, at in self._refused.items() if now - at < REFUSED_SECONDS}
        self._refused[name] = now

    def is_refused(self, name: Hashable) -> bool:
        at = self._refused.get(name)
        return at is not None and time.monotonic() - at < REFUSED_SECONDS


@dataclass
class _Entry:
    tile: Tile
    size: int
    used: float


_Place = tuple[int, Hashable]
"""Number of the owner's texts, and key."""


class Cache:
    """Tiles by owner and key."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes: Final = most_bytes
        self._lock = threading.Lock()
        self._shelves: dict[Owner, Shelf] = {}
        self._entries: OrderedDict[_Place, _Entry] = OrderedDict()
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes, about."""
        return self._size

    def shelf(self, owner: Owner) -> Shelf:
        """The owner's; a new one where it has too many texts or nobody asked for long."""
        now = time.monotonic()
        with self._lock:
            self._forget(now)
            shelf = self._shelves.get(owner)
            if shelf is None or len(shelf.strings) > MAX_STRINGS:
                shelf = self._shelves[owner] = Shelf()
            shelf.used = now
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
            self._remove(place)
            self._entries[place] = _Entry(tile, size, time.monotonic())
            self._size += size
            while self._size > self.most_bytes:
                self._remove(next(iter(self._entries)))

    def _forget(self, now: float) -> None:
        while self._entries:
            place, entry = next(iter(self._entries.items()))
            if now - entry.used < IDLE_SECONDS:
                break
            self._remove(place)
        idle = [o for o, shelf in self._shelves.items() if now - shelf.used >= IDLE_SECONDS]
        for owner in idle:
            del self._shelves[owner]

    def _remove(self, place: _Place) -> None:
        entry = self._entries.pop(place, None)
        if entry is not None:
            self._size -= entry.size
