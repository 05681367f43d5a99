"""The thread that stores objects, with a bounded queue before it."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final

import structlog

from agent.counters import Counters
from agent.objects.store import ObjectStore, StoreError

QUEUE_BYTES: Final = 32 * 1024 * 1024
_QUIET_SECONDS: Final = 60.0

_log = structlog.get_logger()


class ObjectWorker:
    """``offer`` on the capture thread; ``store`` may be replaced at any time."""

    def __init__(self, counters: Counters, *, queue_bytes: int = QUEUE_BYTES) -> None:
        self._counters = counters
        self._limit = queue_bytes
        self._store: ObjectStore | None = None
        self._work = threading.Condition()
        self._queue: deque[tuple[str, bytes]] = deque()
        self._held = 0
        self._closing = False
        self._complained = -_QUIET_SECONDS
        self._thread = threading.Thread(target=self._run, name="objects", daemon=True)

    @property
    def kind(self) -> str:
        """Of the store in use; ``none``: payloads are dropped."""
        store = self._store
        return store.kind if store is not None else "none"

    def start(self) -> None:
        self._thread.start()

    def use(self, store: ObjectStore | None) -> None:
        """From now on objects go there; what waits for another store goes there too."""
        self._store = store

    def offer(self, digest: str, data: bytes) -> bool:
        """Whether the object will be stored; if not it is counted."""
        if self._store is None:
            self._counters.drop("object", "no-store")
            return False
        with self._work:
            if self._held + len(data) > self._limit:
                self._counters.drop("object", "queue-full")
                return False
            self._held += len(data)
            self._queue.append((digest, data))
            self._work.notify()
        return True

    def close(self, timeout: float) -> None:
        """Store what waits, within ``timeout`` seconds; the rest is dropped and counted."""
        with self._work:
            self._closing = True
            self._work.notify()
        self._thread.join(timeout)
        with self._work:
            left = len(self._queue)
            self._queue.clear()
        if left:
            self._counters.drop("object", "shutdown", left)

    def _run(self) -> None:
        while True:
            with self._work:
                while not self._queue:
                    if self._closing:
                        return
                    self._work.wait()
                digest, data = self._queue.popleft()
            self._put(digest, data)
            with self._work:
                self._held -= len(data)

    def _put(self, digest: str, data: bytes) -> None:
        store = self._store
        if store is None:
            self._counters.drop("object", "no-store")
            return
        try:
            store.put(digest, data)
        except StoreError as error:
            self._counters.drop("object", error.reason)
            if time.monotonic() - self._complained >= _QUIET_SECONDS:
                self._complained = time.monotonic()
                _log.warning("object not stored", reason=str(error))
        else:
            self._counters.add("objects_stored")
