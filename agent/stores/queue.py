"""Threads that store objects, with a bounded queue before them."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final

from agent.counters import Counters
from agent.logs import get_logger
from agent.stores.base import PLAIN, ObjectMeta, ObjectStore, StoreError

QUEUE_BYTES: Final = 32 * 1024 * 1024
_QUIET_SECONDS: Final = 60.0

_log = get_logger()


class ObjectQueue:
    """Before one store: ``offer`` on the capture thread, ``put`` on the queue's threads."""

    def __init__(
        self, store: ObjectStore, counters: Counters, *, queue_bytes: int = QUEUE_BYTES
    ) -> None:
        self.store = store
        self._counters = counters
        self._limit = queue_bytes
        self._work = threading.Condition()
        self._queue: deque[tuple[str, bytes, ObjectMeta]] = deque()
        self._held = 0
        self._closing = False
        self._complained = -_QUIET_SECONDS
        self.threads = [
            threading.Thread(target=self._run, name=f"objects-{store.id}-{index}", daemon=True)
            for index in range(store.threads)
        ]

    @property
    def held(self) -> int:
        """Bytes that wait or are being stored."""
        return self._held

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def offer(self, digest: str, data: bytes, meta: ObjectMeta = PLAIN) -> bool:
        """Whether the object will be tried to be stored; if not it is counted."""
        with self._work:
            if self._held + len(data) > self._limit:
                self._counters.drop("object", "queue-full")
                return False
            self._held += len(data)
            self._queue.append((digest, data, meta))
            self._work.notify()
        return True

    def close(self, timeout: float) -> bool:
        """Store what waits, within ``timeout`` seconds; the rest is dropped and counted.

        ``False``: there was such a rest.
        """
        with self._work:
            self._closing = True
            self._work.notify_all()
        deadline = time.monotonic() + timeout
        for thread in self.threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
        with self._work:
            left = len(self._queue)
            self._queue.clear()
        if left:
            self._counters.drop("object", "shutdown", left)
        self.store.close()
        return not left

    def _run(self) -> None:
        while True:
            with self._work:
                while not self._queue:
                    if self._closing:
                        return
                    self._work.wait()
                digest, data, meta = self._queue.popleft()
            self._put(digest, data, meta)
            with self._work:
                self._held -= len(data)

    def _put(self, digest: str, data: bytes, meta: ObjectMeta) -> None:
        try:
            self.store.put(digest, data, meta)
        except StoreError as error:
            self._counters.drop("object", error.reason)
            if time.monotonic() - self._complained >= _QUIET_SECONDS:
                self._complained = time.monotonic()
                _log.warning("object not stored", store=self.store.id, reason=str(error))
        except Exception as error:  # noqa: BLE001  whatever a store answers: the thread must live
            self._counters.drop("object", "fault")
            if time.monotonic() - self._complained >= _QUIET_SECONDS:
                self._complained = time.monotonic()
                # Its name alone: what it says may hold what was to be sent.
                _log.error("object not stored: a fault of the agent", store=self.store.id,
                           fault=type(error).__name__)  # fmt: skip
        else:
            self._counters.add("objects_stored")
