"""A small platform: a real HTTP server that answers the agent's calls and keeps what came.

Its ledger is the protocol's: a batch is named by agent, boot and sequence; the same bytes
again are acknowledged again, other bytes under the same number are refused.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from uuid import UUID, uuid4

import zstandard

from wire.config import config_digest
from wire.events import Event, RequestEvent, decode_event, decode_line

REGISTRATION_TOKEN = "qcr_test"
Answer = tuple[int, dict[str, Any], dict[str, str]]
Misbehave = Callable[["Handler"], "Answer | None"]


class Platform:
    """``misbehave`` holds one entry a POST to events, used up in order; then all is well."""

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        """``certificate`` and its key: speak TLS."""
        self.config: dict[str, Any] = {"version": 2}
        self.interval = 30.0
        self.kinds: list[str] | None = None
        """Kinds of events it takes; ``None``: a platform from before kinds, which says nothing."""
        self.agents: dict[str, UUID] = {}
        self.ledger: dict[tuple[UUID, str, int], bytes] = {}
        self.kind_of: dict[tuple[UUID, str, int], str] = {}
        self.order: list[tuple[str, int]] = []
        self.registrations: list[dict[str, Any]] = []
        self.heartbeats: list[dict[str, Any]] = []
        self.config_fetches = 0
        self.duplicates = 0
        self.refuse_registration = False
        self.tokens = {REGISTRATION_TOKEN: "prod"}
        """Registration tokens → their environments."""
        self.misbehave: deque[Misbehave] = deque()
        self.received: list[bytes] = []
        """Everything that came over the wire: request lines, headers, bodies (decompressed)."""
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.platform = self  # type: ignore[attr-defined]
        self._scheme = "https" if certificate else "http"
        if certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(*certificate)
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            # Clients that do not trust it leave in the middle; that is what tests look at.
            self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def events(self) -> list[RequestEvent]:
        with self.lock:
            bodies = [b for key, b in self.ledger.items() if self.kind_of[key] == "request"]
        return [decode_line(line) for body in bodies for line in body.splitlines()]

    def others(self, kind: str) -> list[Event]:
        """Events of another kind than requests."""
        with self.lock:
            bodies = [b for key, b in self.ledger.items() if self.kind_of[key] == kind]
        return [decode_event(line, kind) for body in bodies for line in body.splitlines()]

    def wait(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "the platform waited in vain"
            time.sleep(0.01)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def platform(self) -> Platform:
        return self.server.platform  # type: ignore[attr-defined, no-any-return]

    def do_GET(self) -> None:
        self._keep(b"")
        if self._agent() is None:
            self._answer(*_refusal(401, "agent.token", "unknown token"))
            return
        self.platform.config_fetches += 1
        digest = config_digest(self.platform.config)
        self._answer(200, self.platform.config, {"ETag": digest})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "zstd":
            plain = zstandard.ZstdDecompressor().decompress(body)
        else:
            plain = body
        self._keep(plain)
        routes = {
            "/agent/v1/register": self._register,
            "/agent/v1/heartbeat": self._heartbeat,
            "/agent/v1/events": self._events,
        }
        answer = routes[self.path](plain)
        if answer is not None:
            self._answer(*answer)

    def _keep(self, body: bytes) -> None:
        head = f"{self.requestline}\n{self.headers}".encode()
        with self.platform.lock:
            self.platform.received.append(head + body)

    def _agent(self) -> UUID | None:
        token = self.headers["Authorization"].removeprefix("Bearer ")
        return self.platform.agents.get(token)

    def _register(self, body: bytes) -> Answer:
        platform = self.platform
        document = json.loads(body)
        environment = platform.tokens.get(self.headers["Authorization"].removeprefix("Bearer "))
        if environment is None or platform.refuse_registration:
            return _refusal(401, "fleet.registration_token", "the registration token was revoked")
        former = self.headers.get("X-QCloud-Agent-Token", "")
        agent = platform.agents.get(former) or uuid4()
        document["kept"] = former in platform.agents
        platform.registrations.append(document)
        token = f"qca_{uuid4()}"
        platform.agents[token] = agent
        answer = {"agentId": str(agent), "agentToken": token, "account": "acme",
                  "environment": environment, "config": platform.config}  # fmt: skip
        return 200, answer, {}

    def _heartbeat(self, body: bytes) -> Answer:
        if self._agent() is None:
            return _refusal(401, "agent.token", "unknown token")
        self.platform.heartbeats.append(json.loads(body))
        digest = config_digest(self.platform.config)
        answer = {"configDigest": digest, "intervalSeconds": self.platform.interval}
        if self.platform.kinds is not None:
            answer["events"] = self.platform.kinds
        return 200, answer, {}

    def _events(self, body: bytes) -> Answer | None:
        platform = self.platform
        agent = self._agent()
        if agent is None:
            return _refusal(401, "agent.token", "unknown token")
        misbehave = platform.misbehave.popleft() if platform.misbehave else None
        if misbehave is not None:
            answer = misbehave(self)
            if answer is not None or self.close_connection:
                return answer
        return self.accept(agent, body)

    def accept(self, agent: UUID, body: bytes) -> Answer:
        platform = self.platform
        boot, sequence = self.headers["X-QCloud-Boot"], int(self.headers["X-QCloud-Sequence"])
        key = (agent, boot, sequence)
        with platform.lock:
            known = platform.ledger.get(key)
            if known is not None and known != body:
                return _refusal(409, "pulse.sequence", "the number is taken by other bytes")
            platform.duplicates += known is not None
            platform.ledger[key] = body
            platform.kind_of[key] = self.headers.get("X-QCloud-Kind", "request")
            platform.order.append((boot, sequence))
        return 200, {"accepted": body.count(b"\n"), "sequence": sequence}, {}

    def _answer(self, status: int, body: dict[str, Any], headers: dict[str, str]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def reset(self) -> None:
        """Cut the connection with a TCP reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def finish(self) -> None:
        try:
            super().finish()
        except OSError:
            assert self.close_connection

    def log_message(self, *_: object) -> None:
        """Tests read what came from ``received``."""


def refuse(status: int, code: str = "test.refused", **headers: str) -> Misbehave:
    """Answer one batch so, and keep nothing of it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: (status, _refusal(status, code, "as the test asked")[1], named)


def _refusal(status: int, code: str, message: str, **more: Any) -> Answer:
    return status, {"error": {"code": code, "message": message, **more}}, {}
