"""HTTP with an end: requests bounds each wait for a byte, not the answer as a whole. A server,
or what stands between, that sends a byte now and then would hold a thread for as long as it
likes, and everybody who waits for that thread's log-in.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

_thread: Final = threading.local()
"""``watch``: over the request that this thread is at."""


class _Watch:
    """Cuts the line of one request when its time is over."""

    def __init__(self) -> None:
        self.line: socket.socket | None = None
        self.closed = False
        """The connection is; the answer may still be read from it."""
        self.over = False

    def cut(self) -> None:
        self.over = True
        if self.line is not None:
            with suppress(OSError):
                self.line.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        if self.closed and self.line is not None:
            self.line.close()


class _Line:
    """A second handle on a connection's socket, from before TLS begins until after the
    connection is closed: http.client lets go of its own as soon as an answer is the last one.
    """

    line: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        made: socket.socket = super()._new_conn()  # type: ignore[misc]  # of the connection
        _thread.watch.line = self.line = made.dup()
        _thread.watch.closed = False
        return made

    def request(self, *args: Any, **kwargs: Any) -> None:
        _thread.watch.line = self.line
        super().request(*args, **kwargs)  # type: ignore[misc]  # of the connection

    def close(self) -> None:
        super().close()  # type: ignore[misc]  # of the connection
        line, self.line = self.line, None
        if line is None:
            return
        watch: _Watch | None = getattr(_thread, "watch", None)
        if watch is not None and watch.line is line:
            watch.closed = True
        else:
            line.close()


class _Plain(_Line, HTTPConnection):
    pass


class _Secure(_Line, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


class BoundedAdapter(HTTPAdapter):
    """The whole answer within the sum of the two time-outs, to connect and to read."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """Raises ``requests.Timeout`` as well where the answer began and did not end."""
        connect, read = kwargs["timeout"]
        with _watched(connect + read) as watch:
            try:
                response = super().send(request, *args, **kwargs)
                response.content  # noqa: B018  reads the body, while somebody watches
            except (requests.RequestException, OSError) as error:
                if watch.over:
                    raise requests.ReadTimeout(request=request) from error
                raise
        if watch.over:  # an answer without a length looks whole when it is cut
            raise requests.ReadTimeout(request=request)
        return response


@contextmanager
def _watched(seconds: float) -> Iterator[_Watch]:
    watch = _thread.watch = _Watch()
    timer = threading.Timer(seconds, watch.cut)
    timer.daemon = True
    timer.start()
    try:
        yield watch
    finally:
        timer.cancel()
        _thread.watch = None
        watch.end()
