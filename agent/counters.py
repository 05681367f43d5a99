"""What happened since the agent's start, counted."""

from __future__ import annotations

import threading
from collections import Counter


class Counters:
    """Named counts. ``add`` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._drops: Counter[str] = Counter()

    def add(self, name: str, count: int = 1) -> None:
        with self._lock:
            self._counts[name] += count

    def drop(self, kind: str, reason: str, count: int = 1) -> None:
        """``kind``: ``event``, ``object`` or ``chunk``."""
        with self._lock:
            self._drops[f"{kind}.{reason}"] += count

    def get(self, name: str) -> int:
        with self._lock:
            return self._counts[name]

    def counts(self) -> dict[str, int]:
        with self._lock:
            return dict(sorted(self._counts.items()))

    def drops(self) -> dict[str, int]:
        """``kind.reason`` → count."""
        with self._lock:
            return dict(sorted(self._drops.items()))
