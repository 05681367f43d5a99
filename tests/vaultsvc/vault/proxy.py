"""A TCP proxy that a test can make slow or cut: the network between us and Vault."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress


class Proxy:
    """Listens on loopback and passes bytes on to ``port``."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.delay = 0.0
        """Seconds that each piece of an answer waits."""
        self.drip = 0.0
        """Seconds between the single bytes of an answer; 0: it is passed on as it came."""
        self.connections = 0
        self._open: list[socket.socket] = []
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Every connection that is open now ends at once; new ones are let through."""
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def close(self) -> None:
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while not self._closed:
            with suppress(OSError):
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target), 5)
                self.connections += 1
                self._open += [client, server]
                self._start(client, server, answers=False)
                self._start(server, client, answers=True)

    def _start(self, source: socket.socket, sink: socket.socket, *, answers: bool) -> None:
        def run() -> None:
            with suppress(OSError):
                while data := source.recv(65_536):
                    time.sleep(self.delay if answers else 0)
                    self._pass_on(sink, data, self.drip if answers else 0)
            for end in (source, sink):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

        threading.Thread(target=run, daemon=True).start()

    @staticmethod
    def _pass_on(sink: socket.socket, data: bytes, pause: float) -> None:
        if not pause:
            sink.sendall(data)
            return
        for byte in data:
            sink.sendall(bytes((byte,)))
            time.sleep(pause)
