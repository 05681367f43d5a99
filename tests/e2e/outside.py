"""Servers outside the nodes. Their own access log is the truth that capture is held against.

``python -m tests.e2e.outside ADDRESS HTTPS_PORT HTTP_PORT CERTIFICATE KEY LOG`` serves until
it is ended. The path chooses the shape of the answer, so that one run covers every framing:
``…/length/…`` Content-Length, ``…/chunked/…`` chunks, ``…/close/…`` neither (the end of the
connection ends the body), ``…/empty/…`` 204.
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any, ClassVar, NamedTuple


class Served(NamedTuple):
    """One line of the access log."""

    client: str
    scheme: str
    method: str
    path: str
    status: int
    request_bytes: int


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "outside"
    log: ClassVar[IO[str]]
    log_lock: ClassVar[threading.Lock] = threading.Lock()

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def _answer(self, body: bytes) -> None:
        status = 204 if "/empty/" in self.path else 404 if "/missing/" in self.path else 200
        # Logged before the answer: a client that has its answer finds it in the log.
        self._note(status, len(body))
        content = json.dumps({"path": self.path, "received": len(body)}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status == 204:
            self.end_headers()
        elif "/chunked/" in self.path:
            self._send_chunked(content)
        elif "/close/" in self.path:
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)
        else:
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def _send_chunked(self, content: bytes) -> None:
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, len(content), 16):
            piece = content[start : start + 16]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _note(self, status: int, size: int) -> None:
        scheme = "https" if isinstance(self.connection, ssl.SSLSocket) else "http"
        line = Served(self.client_address[0], scheme, self.command, self.path, status, size)
        with self.log_lock:
            self.log.write(json.dumps(line._asdict()) + "\n")
            self.log.flush()

    def log_message(self, *_arguments: Any) -> None:
        """The access log says it all."""


class _TlsServer(ThreadingHTTPServer):
    """Shakes hands in the connection's own thread: a slow client delays nobody."""

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(address, _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        try:
            wrapped = self._context.wrap_socket(request, server_side=True)
        except ssl.SSLError:
            return  # somebody only looked whether the port is open
        with wrapped:
            super().finish_request(wrapped, client_address)


def main() -> None:
    address, https_port, http_port, certificate, key, log = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Path(log).open("a", encoding="utf-8") as handle:
        _Handler.log = handle
        secure = _TlsServer((address, int(https_port)), context)
        plain = ThreadingHTTPServer((address, int(http_port)), _Handler)
        threading.Thread(target=plain.serve_forever, daemon=True).start()
        secure.serve_forever()


if __name__ == "__main__":
    main()
