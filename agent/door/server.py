"""``/readyz /healthz /metrics /system/metrics`` for probes and Prometheus, read-only."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, NamedTuple

from agent.logs import get_logger

LISTEN: Final = "127.0.0.1:10001"
"""Loopback: metrics name the hosts that the node talks to."""
TIMEOUT_SECONDS: Final = 5.0
MAX_CALLS: Final = 16
"""At once; beyond, the oldest is closed: whoever holds sixteen open, a byte at a time, must not
keep a probe out, on whose word the agent is restarted."""
TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"

_log = get_logger()


class DoorError(Exception):
    """The status server cannot listen; the message says what to do."""


class Page(NamedTuple):
    status: int
    body: str
    content_type: str = "text/plain; charset=utf-8"


Pages = Mapping[str, Callable[[], Page]]


class StatusServer:
    def __init__(self, listen: str, pages: Pages) -> None:
        """``listen``: ``HOST:PORT``, ``[IPv6]:PORT``. Raises ``DoorError``."""
        host, port = address(listen)
        try:
            self._server = _Server((host, port), pages)
        except OSError as error:
            raise DoorError(
                f"the status server cannot listen on {listen} ({error.strerror or error}): "
                "set --httpd-listen to another address, or to none"
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="status-server", daemon=True
        )

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()
        _log.info("status server", port=self.port)

    def close(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(5)
        self._server.server_close()


def address(listen: str) -> tuple[str, int]:
    """Raises ``DoorError``."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535:
        raise DoorError(f"--httpd-listen {listen!r} is no address: write 127.0.0.1:10001, or none")
    return host.removeprefix("[").removesuffix("]"), int(port)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, where: tuple[str, int], pages: Pages) -> None:
        self.pages = pages
        self._open: dict[int, Any] = {}
        self._guard = threading.Lock()
        if ":" in where[0]:
            self.address_family = socket.AF_INET6
        super().__init__(where, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            if len(self._open) >= MAX_CALLS:
                _hang_up(self._open.pop(next(iter(self._open))))
            self._open[id(request)] = request
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._guard:
                if self._open.get(id(request)) is request:
                    del self._open[id(request)]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asks may go away in the middle; that is not news."""


def _hang_up(request: Any) -> None:
    """Its thread wakes up, finds nothing more to read, and ends."""
    with suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = TIMEOUT_SECONDS

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])
        found = page() if page is not None else Page(404, "there is no such page\n")
        body = found.body.encode("utf-8", "replace")
        self.send_response_only(found.status)
        self.send_header("Content-Type", found.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  the library's name

    def log_message(self, *_: Any) -> None:
        """A probe each second is not worth a line each."""
