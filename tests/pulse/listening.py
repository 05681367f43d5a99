"""The door behind a real listener on loopback, for programs that speak HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.pulse.door import Client

_PASSED_ON = frozenset({"connection", "host", "content-length"})


@contextmanager
def listening(client: Client) -> Iterator[str]:
    """The address that hands every request to ``client``'s application."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            sent = {k: v for k, v in self.headers.items() if k.lower() not in _PASSED_ON}
            answer = client.request(
                self.command, self.path, headers=sent, content=self.rfile.read(size)
            )
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in _PASSED_ON:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = _answer  # noqa: N815  the base class looks for these names

        def log_message(self, *_: object) -> None:
            """The agent's own log says what it did."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
