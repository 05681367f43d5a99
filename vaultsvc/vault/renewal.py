"""What ends unless it is renewed, renewed by one thread of this process."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

import structlog

_log = structlog.get_logger(__name__)


class Renewer:
    """Calls each watched function when it is due; it answers in how many seconds it is due
    again, or 0 to be forgotten.
    """

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], float]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def watch(self, renew: Callable[[], float], seconds: float) -> None:
        """Once a function: watching it again only moves its time."""
        with self._changed:
            self._due = [entry for entry in self._due if entry[2] != renew]
            heapq.heapify(self._due)
            self._push(renew, seconds)
            if self._thread is None and not self._stopped:
                self._thread = threading.Thread(target=self._run, name="vault-renewal", daemon=True)
                self._thread.start()
            self._changed.notify()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=5)

    def _push(self, renew: Callable[[], float], seconds: float) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), renew))

    def _run(self) -> None:
        while (renew := self._next()) is not None:
            try:
                seconds = renew()
            except Exception:  # noqa: BLE001  the thread outlives a defect of one renewal
                _log.exception("vault.renewal_failed")
                seconds = 5.0
            if seconds > 0:
                self._again(renew, seconds)

    def _again(self, renew: Callable[[], float], seconds: float) -> None:
        with self._changed:
            if all(entry[2] != renew for entry in self._due):
                self._push(renew, seconds)

    def _next(self) -> Callable[[], float] | None:
        """The function that is due, waited for; ``None`` when it is over."""
        with self._changed:
            while not self._stopped:
                pause = self._due[0][0] - time.monotonic() if self._due else None
                if pause is not None and pause <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(pause)
        return None
