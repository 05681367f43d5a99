"""An end to a conversation that each single time-out would let go on for ever."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def deadline(seconds: float, current: Callable[[], socket.socket | None]) -> Iterator[None]:
    """Cuts the socket that ``current`` names after ``seconds``; whoever reads it gets an error.

    A server that sends a byte now and then passes every time-out of a single read.
    """

    def cut() -> None:
        sock = current()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
