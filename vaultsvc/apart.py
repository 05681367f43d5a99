"""A transaction of its own, whatever becomes of the caller's.

A data key must be in the database before anything sealed by it can be, and a broken seal must
be in the journal, even where the caller's transaction is rolled back. Django ties a
connection to a thread, so a short-lived thread brings another one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from django.db import connections

T = TypeVar("T")


class _Call(threading.Thread, Generic[T]):
    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__(name="vaultsvc apart")
        self._work = work
        self.result: list[T] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result.append(self._work())
        except BaseException as error:  # noqa: BLE001  raised again in the thread that waits
            self.error = error
        finally:
            connections.close_all()


def apart(work: Callable[[], T], *, seconds: float | None = None) -> T:
    """The result of ``work`` in a thread and a connection of its own; its errors are raised.

    Raises ``TimeoutError`` when it takes longer than ``seconds``; it then goes on alone.
    """
    call = _Call(work)
    call.start()
    call.join(seconds)
    if call.is_alive():
        raise TimeoutError("a transaction apart takes too long")
    if call.error is not None:
        raise call.error
    return call.result[0]
