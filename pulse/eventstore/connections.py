"""Which connections are open, and which of them have a statement under way."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Connections:
    """Safe to use from several threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._waiting: set[socket.socket] = set()
        self._ending = False

    def opened(self, connection: socket.socket) -> bool:
        """Whether there is room for it."""
        with self._changed:
            if len(self._open) >= self._most:
                return False
            self._open.add(connection)
            return True

    def closed(self, connection: socket.socket) -> None:
        with self._changed:
            self._open.discard(connection)
            self._waiting.discard(connection)
            self._changed.notify_all()

    def waits(self, connection: socket.socket) -> bool:
        """It has nothing to do. Whether it may wait for a next request."""
        with self._changed:
            self._waiting.add(connection)
            return not self._ending

    def works(self, connection: socket.socket) -> None:
        with self._changed:
            self._waiting.discard(connection)

    def ended(self, seconds: float) -> bool:
        """Ends those that wait, and gives the others this long; whether none is left."""
        with self._changed:
            self._ending = True
            _shut(self._waiting)
            return self._changed.wait_for(lambda: not self._open, seconds)

    def cut(self) -> None:
        """Ends those that work as well."""
        with self._changed:
            _shut(self._open)


def _shut(connections: set[socket.socket]) -> None:
    for connection in connections:
        # Its other side may have gone meanwhile.
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
