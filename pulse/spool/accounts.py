"""Whose bytes wait in the spool, so that no account takes all of its room."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from uuid import UUID

from pulse.spool.folder import SpoolFolder
from pulse.spool.frames import frame_sizes


class Waiting:
    """Bytes of frames by account: queued, in segments that the loader has not removed, and set
    aside until somebody decides about them.

    Not locked: its owner calls it under a lock of its own.
    """

    def __init__(self, folder: SpoolFolder) -> None:
        """What an earlier process left counts too. Raises ``OSError``."""
        self._bytes: Counter[UUID] = Counter()
        self._segments: dict[str, Counter[UUID]] = {}
        self._aside: dict[str, Counter[UUID]] = {}
        for path in folder.closed_segments():
            for account, size in _sizes_of(path).items():
                self.queued(account, size)
                self.written(path.stem, account, size)
        self.look_aside(folder)

    def __getitem__(self, account: UUID) -> int:
        return self._bytes[account]

    def __len__(self) -> int:
        """Accounts that have something waiting."""
        return len(self._bytes)

    def queued(self, account: UUID, size: int) -> None:
        self._bytes[account] += size

    def written(self, segment: str, account: UUID, size: int) -> None:
        """It was queued before; now it goes with that segment."""
        self._segments.setdefault(segment, Counter())[account] += size

    def dropped(self, account: UUID, size: int) -> None:
        """It was queued, and is not going to be written."""
        self._less(Counter({account: size}))

    def only(self, segments: set[str]) -> None:
        """All others were removed by the loader."""
        for name in self._segments.keys() - segments:
            self._less(self._segments.pop(name))

    def look_aside(self, folder: SpoolFolder) -> int:
        """Count what the loader has set aside since, and no more what is decided; bytes of all
        that is there. Raises ``OSError``.
        """
        names = folder.aside_names()
        for name in self._aside.keys() - names:
            self._less(self._aside.pop(name))
        for name in names - self._aside.keys():
            # Written once and whole, so it is read once.
            sizes = self._aside[name] = _sizes_of(folder.aside / name)
            self._bytes.update(sizes)
        return sum(size for sizes in self._aside.values() for size in sizes.values())

    def _less(self, sizes: Counter[UUID]) -> None:
        for account, size in sizes.items():
            self._bytes[account] -= size
            if self._bytes[account] <= 0:
                del self._bytes[account]


def _sizes_of(path: Path) -> Counter[UUID]:
    sizes: Counter[UUID] = Counter()
    try:
        with path.open("rb") as file:
            for header, size in frame_sizes(file):
                sizes[header.account_id] += size
    except FileNotFoundError:
        pass  # the loader has just finished it
    return sizes
