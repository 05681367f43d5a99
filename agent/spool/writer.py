"""The thread that turns encoded events into batches on disk.

An fsync can take as long as a disk likes, and the kernel's ring buffer does not wait: so
the capture thread only hands lines over.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from agent.counters import Counters
from agent.spool.batch import MAX_BYTES, MAX_LINES
from agent.spool.spool import Spool

BACKLOG_LIMIT: Final = 32 * 1024 * 1024
"""Bytes of lines in memory while the disk is slow; beyond, events are dropped."""
ROTATE_SECONDS: Final = 1.0


class SpoolWriter:
    """``add`` on the capture thread, the rest on its own."""

    def __init__(
        self, spool: Spool, counters: Counters, *, backlog_limit: int = BACKLOG_LIMIT
    ) -> None:
        self._spool = spool
        self._counters = counters
        self._backlog_limit = backlog_limit
        self._lines: list[bytes] = []
        self._size = 0
        self._began = 0.0
        self._work = threading.Condition()
        self._batches: list[list[bytes]] = []
        self._backlog = 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def add(self, line: bytes) -> None:
        """One event's line; durable within about a second."""
        if not self._lines:
            self._began = time.monotonic()
        self._lines.append(line)
        self._size += len(line)
        if len(self._lines) >= MAX_LINES or self._size >= MAX_BYTES:
            self.rotate()

    def tick(self) -> None:
        """Hand a batch over once it is a second old."""
        if self._lines and time.monotonic() - self._began >= ROTATE_SECONDS:
            self.rotate()

    def rotate(self) -> None:
        """Hand over what there is."""
        lines, size = self._lines, self._size
        self._lines, self._size = [], 0
        if not lines:
            return
        with self._work:
            if self._backlog + size > self._backlog_limit:
                self._counters.drop("event", "disk-slow", len(lines))
                return
            self._backlog += size
            self._batches.append(lines)
            self._work.notify()

    def close(self, timeout: float) -> bool:
        """Write what is left; ``False`` if ``timeout`` seconds were not enough."""
        self.rotate()
        with self._work:
            self._closing = True
            self._work.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._work:
                while not self._batches:
                    if self._closing:
                        return
                    self._work.wait()
                lines = self._batches.pop(0)
            joined = b"".join(lines)
            self._spool.append(joined, len(lines))
            with self._work:
                self._backlog -= len(joined)
