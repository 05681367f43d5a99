"""The thread that turns encoded events into batches on disk.

An fsync can take as long as a disk likes, and the kernel's ring buffer does not wait: so
the capture thread only hands lines over.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from agent.counters import Counters
from agent.spool.batch import MAX_BYTES, MAX_LINES, REQUESTS
from agent.spool.spool import Spool

BACKLOG_LIMIT: Final = 32 * 1024 * 1024
"""Bytes of lines in memory while the disk is slow; beyond, events are dropped."""
ROTATE_SECONDS: Final = 1.0


class _Gathering:
    """Lines of one kind that are not handed over yet."""

    __slots__ = ("began", "kind", "lines", "size")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.lines: list[bytes] = []
        self.size = 0
        self.began = 0.0


class SpoolWriter:
    """``add`` on the capture thread, the rest on its own."""

    def __init__(
        self, spool: Spool, counters: Counters, *, backlog_limit: int = BACKLOG_LIMIT
    ) -> None:
        self._spool = spool
        self._counters = counters
        self._backlog_limit = backlog_limit
        self._gathering = {REQUESTS: _Gathering(REQUESTS)}
        self._work = threading.Condition()
        self._batches: list[tuple[list[bytes], str]] = []
        self._backlog = 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def add(self, line: bytes, kind: str = REQUESTS) -> None:
        """One event's line; durable within about a second."""
        some = self._gathering.get(kind)
        if some is None:
            some = self._gathering[kind] = _Gathering(kind)
        if not some.lines:
            some.began = time.monotonic()
        some.lines.append(line)
        some.size += len(line)
        if len(some.lines) >= MAX_LINES or some.size >= MAX_BYTES:
            self._hand_over(some)

    def tick(self) -> None:
        """Hand a batch over once it is a second old."""
        for some in self._gathering.values():
            if some.lines and time.monotonic() - some.began >= ROTATE_SECONDS:
                self._hand_over(some)

    def rotate(self) -> None:
        """Hand over what there is."""
        for some in self._gathering.values():
            if some.lines:
                self._hand_over(some)

    def _hand_over(self, some: _Gathering) -> None:
        lines, size = some.lines, some.size
        some.lines, some.size = [], 0
        with self._work:
            if self._backlog + size > self._backlog_limit:
                self._counters.drop("event", "disk-slow", len(lines))
                return
            self._backlog += size
            self._batches.append((lines, some.kind))
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
                lines, kind = self._batches.pop(0)
            joined = b"".join(lines)
            self._spool.append(joined, len(lines), kind)
            with self._work:
                self._backlog -= len(joined)
