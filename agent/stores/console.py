"""Standard output behind a bounded queue: whoever reads it may stop, capture may not."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

QUEUE_BYTES: Final = 8 * 1024 * 1024
STDOUT: Final = 1

Lost = Callable[[], None]


class Console:
    """Whole lines, in the order of ``write``."""

    def __init__(self, descriptor: int = STDOUT, *, queue_bytes: int = QUEUE_BYTES) -> None:
        self._descriptor = descriptor
        self._limit = queue_bytes
        self._work = threading.Condition()
        self._lines: deque[tuple[bytes, Lost | None]] = deque()
        self._held = 0
        self._broken = False
        self._thread: threading.Thread | None = None

    def write(self, line: bytes, lost: Lost | None = None) -> bool:
        """One line without its end; ``False``: nobody reads, or not fast enough.

        ``lost`` is called, on another thread, when a line that was taken cannot be written.
        """
        with self._work:
            if self._broken or self._held + len(line) > self._limit:
                return False
            self._held += len(line) + 1
            self._lines.append((line, lost))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="console", daemon=True)
                self._thread.start()
            self._work.notify()
        return True

    def drain(self, timeout: float) -> bool:
        """Wait until all is written; ``False``: some is not after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        with self._work:
            while self._held:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._work.wait(left)
            return not self._held

    def _run(self) -> None:
        while True:
            with self._work:
                while not self._lines:
                    self._work.wait()
                lines = list(self._lines)
                self._lines.clear()
            written = self._send(b"\n".join(line for line, _ in lines) + b"\n")
            for line, lost in lines:
                written -= len(line) + 1
                if written < 0 and lost is not None:
                    lost()
            with self._work:
                self._held -= sum(len(line) + 1 for line, _ in lines)
                self._work.notify_all()

    def _send(self, data: bytes) -> int:
        """How many bytes were written: all of them, unless the stream is broken."""
        rest = memoryview(data)
        while rest and not self._broken:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except OSError:
                self._broken = True
        return len(data) - len(rest)


console: Final = Console()
"""The process has one standard output."""
