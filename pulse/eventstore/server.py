"""The HTTP side of the event store: ClickHouse's interface, on threads.

The engine works outside Python's lock, so a thread a connection is what suits it; how many
statements run at once is the engine's bound, how many connections are open is this one's.
"""

from __future__ import annotations

import base64
import hmac
import json
import socket
from collections.abc import Iterator
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from uuid import uuid4

import structlog

from pulse.eventstore.connections import Connections
from pulse.eventstore.engine import TOO_MANY, Answer, Engine, EngineError, Statement, Summary
from pulse.eventstore.request import (
    BadRequest,
    Query,
    TooLarge,
    decoded,
    format_of,
    insert_of,
    parse_target,
    with_form,
)
from pulse.eventstore.settings import EventStoreSettings

log = structlog.get_logger(__name__)

_CHUNK: Final = 1 << 20
_AUTHENTICATION_FAILED: Final = 516
# As ClickHouse maps its own codes; all others are 500.
_STATUS: Final = {
    62: HTTPStatus.BAD_REQUEST,  # SYNTAX_ERROR
    27: HTTPStatus.BAD_REQUEST,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
    47: HTTPStatus.NOT_FOUND,  # UNKNOWN_IDENTIFIER
    60: HTTPStatus.NOT_FOUND,  # UNKNOWN_TABLE
    81: HTTPStatus.NOT_FOUND,  # UNKNOWN_DATABASE
    115: HTTPStatus.NOT_FOUND,  # UNKNOWN_SETTING
    _AUTHENTICATION_FAILED: HTTPStatus.FORBIDDEN,
    TOO_MANY: HTTPStatus.SERVICE_UNAVAILABLE,
}


class EventStoreServer(ThreadingHTTPServer):
    """Serves one engine. ``server_port`` is the port in use."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, settings: EventStoreSettings, engine: Engine) -> None:
        """Raises ``OSError`` when the port is taken."""
        self.settings = settings
        self.engine = engine
        self.connections = Connections(settings.max_connections)
        super().__init__((settings.host, settings.port), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self.connections.opened(request):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            # No thread could be started for it.
            self.connections.closed(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.connections.closed(request)

    def drained(self, finish_seconds: float, cancel_seconds: float) -> bool:
        """Whether no statement runs any more. Call it when the server listens no longer.

        What has begun may finish; after ``finish_seconds`` it is cancelled.
        """
        if self.connections.ended(finish_seconds):
            return True
        self.engine.cancel_all()
        self.connections.cut()
        return self.connections.ended(cancel_seconds)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A client that went away, or a defect of ours: logged, the server goes on."""
        # The base class calls this while it handles the exception, which the rule cannot see.
        log.exception("connection ended early", client=client_address)  # noqa: LOG004


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "qcloud-eventstore"
    sys_version = ""
    timeout = 60
    # Headers and body leave in one packet, and no small write waits for an acknowledgement.
    wbufsize = 64 * 1024
    disable_nagle_algorithm = True
    server: EventStoreServer

    def handle_one_request(self) -> None:
        if self.server.connections.waits(self.request):
            super().handle_one_request()
        else:
            self.close_connection = True

    def parse_request(self) -> bool:
        self.server.connections.works(self.request)
        return super().parse_request()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/ping":
            self._send(HTTPStatus.OK, b"Ok.\n")
        else:
            self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, *_args: Any) -> None:
        """Statements are logged by those who send them."""

    def _serve(self) -> None:
        self._body_read = False
        self._query_id = ""
        try:
            query = parse_target(self.path)
            self._query_id = query.query_id or str(uuid4())
            self._authenticate()
            self._execute(query)
        except EngineError as error:
            self._fail(error.code, error.message)
        except TooLarge as error:
            self._fail(1, f"Code: 1. DB::Exception: {error}", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        except (BadRequest, ValueError) as error:
            self._fail(36, f"Code: 36. DB::Exception: {error}. (BAD_ARGUMENTS)", HTTPStatus(400))

    def _authenticate(self) -> None:
        settings = self.server.settings
        user, password = self._credentials()
        # Both are compared whatever the first says, so that time tells nothing.
        known = hmac.compare_digest(user.encode(), settings.user.encode())
        right = hmac.compare_digest(password.encode(), settings.password.encode())
        if not (known and right):
            raise EngineError(
                f"Code: {_AUTHENTICATION_FAILED}. DB::Exception: {user}: Authentication failed:"
                " password is incorrect, or there is no user with such name."
                " (AUTHENTICATION_FAILED)"
            )

    def _credentials(self) -> tuple[str, str]:
        scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
            except ValueError:
                return "", ""
            return user, password
        return self.headers.get("X-ClickHouse-User", ""), self.headers.get("X-ClickHouse-Key", "")

    def _execute(self, query: Query) -> None:
        body = self._body()
        content_type = self.headers.get("Content-Type", "")
        if content_type.startswith("multipart/form-data"):
            query, body = with_form(self.path, content_type, b"".join(body)), iter(())
        head = query.sql or next(body, b"")
        insert = insert_of(head)
        with self.server.engine.statement(query.database, query.settings) as statement:
            if insert is not None:
                chunks = _joined(insert.rest, body)
                summary = statement.insert(insert.sql, insert.format, chunks)
                self._send(HTTPStatus.OK, b"", self._result_headers(summary, insert.format))
                return
            sql = b"".join((head, b"\n" if query.sql else b"", *body)).decode()
            self._answer(statement, sql, query.default_format)

    def _answer(self, statement: Statement, sql: str, default_format: str) -> None:
        output = format_of(sql) or default_format
        answer: Answer = statement.run(sql, output)
        first = next(answer.blocks, b"")
        second = next(answer.blocks, None)
        headers = self._result_headers(answer.summary, output)
        if second is None:
            self._send(HTTPStatus.OK, first, headers)
        else:
            self._send_chunked(_chain(first, second, answer.blocks), headers)

    def _result_headers(self, summary: Summary, output: str) -> dict[str, str]:
        counts = {name: str(value) for name, value in asdict(summary).items()}
        return {
            "X-ClickHouse-Summary": json.dumps(counts),
            "X-ClickHouse-Format": output,
            "X-ClickHouse-Timezone": "UTC",
        }

    def _body(self) -> Iterator[bytes]:
        """The request's body, decompressed, in pieces.

        Raises ``TooLarge`` before reading what announces itself as too large.
        """
        limit = self.server.settings.max_body_bytes
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            raw = self._chunks(limit)
        else:
            length = int(self.headers.get("Content-Length") or 0)
            if not 0 <= length <= limit:
                raise TooLarge(f"the body has {length} bytes, the limit is {limit}")
            raw = self._sized(length)
        return decoded(raw, self.headers.get("Content-Encoding", "").lower(), limit)

    def _sized(self, length: int) -> Iterator[bytes]:
        while length:
            chunk = self.rfile.read(min(length, _CHUNK))
            if not chunk:
                raise BadRequest("the connection ended within the body")
            length -= len(chunk)
            self._body_read = not length
            yield chunk
        self._body_read = True

    def _chunks(self, limit: int) -> Iterator[bytes]:
        total = 0
        while size := int(self.rfile.readline(32).split(b";")[0], 16):
            total += size
            if size < 0 or total > limit:
                raise TooLarge(f"the body has more than {limit} bytes")
            chunk = self.rfile.read(size)
            if len(chunk) < size or self.rfile.read(2) != b"\r\n":
                raise BadRequest("the connection ended within the body")
            yield chunk
        while self.rfile.readline(1_024).strip():
            pass
        self._body_read = True

    def _fail(self, code: int, message: str, status: HTTPStatus | None = None) -> None:
        headers = {"X-ClickHouse-Exception-Code": str(code)}
        if not self._body_read:
            # What is left of the body would be read as the next request.
            self.close_connection = True
            headers["Connection"] = "close"
        chosen = status or _STATUS.get(code, HTTPStatus.INTERNAL_SERVER_ERROR)
        self._send(chosen, (message + "\n").encode(), headers)

    def _send(self, status: HTTPStatus, body: bytes, headers: dict[str, str] | None = None) -> None:
        self._head(status, {**(headers or {}), "Content-Length": str(len(body))})
        self.wfile.write(body)
        self.wfile.flush()

    def _send_chunked(self, blocks: Iterator[bytes], headers: dict[str, str]) -> None:
        self._head(HTTPStatus.OK, {**headers, "Transfer-Encoding": "chunked"})
        try:
            for block in blocks:
                if block:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block))
        except EngineError as error:
            # As ClickHouse does once the status has gone out: the text of the exception,
            # and an end that no client takes for a good one.
            text = error.message.encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(text), text))
            self.close_connection = True
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _head(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        self.send_response_only(status)
        self.send_header("X-ClickHouse-Server-Display-Name", self.server_version)
        if self.path.startswith("/ping"):
            self.send_header("Content-Type", "text/plain; charset=UTF-8")
        else:
            self.send_header("X-ClickHouse-Query-Id", self._query_id)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def _joined(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _chain(first: bytes, second: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield second
    yield from rest
