"""A man in the middle on loopback: passes on, and does what a test asks for on the way."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

_HOP: Final = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})


@dataclass
class Passing:
    """A request, or an answer, on its way."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int = 0


def s3_error(status: int, code: str, extra: str = "", **headers: str) -> Passing:
    body = f"<Error><Code>{code}</Code><Message>said {code}</Message>{extra}</Error>"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Passing("", "", named, body.encode(), status)


@dataclass
class Between:
    """``request`` may answer itself or change what it is given; ``answer`` may change too."""

    upstream: str
    request: Callable[[Passing], Passing | None] = lambda _: None
    answer: Callable[[Passing], None] = lambda _: None
    seen: list[Passing] = field(default_factory=list)
    port: int = 0

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def pass_on(self, passing: Passing) -> Passing:
        self.seen.append(Passing(passing.method, passing.path, dict(passing.headers), passing.body))
        own = self.request(passing)
        if own is not None:
            return own
        connection = http.client.HTTPConnection(self.upstream, timeout=20)
        try:
            connection.putrequest(
                passing.method, passing.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in passing.headers.items():
                connection.putheader(name, value)
            connection.endheaders(passing.body or None)
            got = connection.getresponse()
            headers = {name.lower(): value for name, value in got.getheaders()}
            back = Passing(passing.method, passing.path, headers, got.read(), got.status)
        finally:
            connection.close()
        self.answer(back)
        return back


@contextmanager
def between(upstream: str = "") -> Iterator[Between]:
    middle = Between(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            back = middle.pass_on(
                Passing(self.command, self.path, headers, self.rfile.read(length))
            )
            self.send_response_only(back.status)
            for name, value in back.headers.items():
                if name not in _HOP:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(back.body)))
            self.end_headers()
            self.wfile.write(back.body)

        do_GET = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815  the library names them

        def log_message(self, *_: Any) -> None:
            """Tests look at ``seen``."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    middle.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield middle
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
