"""A recording of invented traffic, the same for the same seed.

For machines where capture cannot run: what follows sees chunks as the kernel gives them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from agent.recording.demo_services import SERVICES, Call, Service
from agent.recording.format import CloseLine, ConnectionLine, DataLine, Header, Line, encode
from agent.spool.files import PRIVATE_FILE

STARTED_AT: Final = "2026-01-01T00:00:00Z"
NODE_ADDRESS: Final = "10.20.0.5"

_NS: Final = 1_000_000_000
_NS_IN_MS: Final = 1_000_000
_SEGMENT: Final = 16_384
_CHUNKED_FROM: Final = 9_000
_REASONS: Final = {200: "OK", 201: "Created", 202: "Accepted", 204: "No Content",
                   401: "Unauthorized", 402: "Payment Required", 403: "Forbidden",
                   404: "Not Found", 429: "Too Many Requests", 500: "Internal Server Error",
                   503: "Service Unavailable", 504: "Gateway Timeout"}  # fmt: skip


class _Timed(NamedTuple):
    ns: int
    order: int
    line: Line


def write_demo(path: Path, *, minutes: float = 10.0, rate: float = 8.0, seed: int = 1) -> int:
    """Write ``minutes`` of about ``rate`` requests a second; the number of requests.

    Raises ``OSError``.
    """
    demo = _Demo(random.Random(seed))  # noqa: S311  invented traffic, not a secret
    requests = demo.fill(int(minutes * 60 * _NS), rate)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(encode(Header(started_at=STARTED_AT, hostname="demo")))
        for timed in sorted(demo.lines, key=lambda line: line[:2]):
            file.write(encode(timed.line))
    return requests


class _Demo:
    """Requests one after another; a service's connections are used again until they close."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.lines: list[_Timed] = []
        self._keys = 0
        self._idle: dict[str, list[tuple[int, int]]] = {service.host: [] for service in SERVICES}

    def fill(self, until_ns: int, rate: float) -> int:
        requests = 0
        now = 0.0
        weights = [service.weight for service in SERVICES]
        while (now := now + self._dice.expovariate(rate) * _NS) < until_ns:
            service = self._dice.choices(SERVICES, weights)[0]
            call = self._dice.choices(service.calls, [call.weight for call in service.calls])[0]
            self._exchange(service, call, int(now))
            requests += 1
        self._close_all(until_ns)
        return requests

    def _exchange(self, service: Service, call: Call, now: int) -> None:
        key = self._connection(service, now)
        latency = service.latency_ms * self._dice.lognormvariate(0.0, 0.45)
        answered = now + int(latency * _NS_IN_MS)
        asking, answering = ("received", "sent") if service.server else ("sent", "received")
        self._data(key, asking, now, self._request(service, call))
        for index, part in enumerate(self._response(call)):
            self._data(key, answering, answered + index * 40_000, part)
        over = answered + 10 * _NS_IN_MS
        if self._dice.random() < 0.08:
            self._add(over, CloseLine(key=key, ns=over))
        else:
            self._idle[service.host].append((over, key))

    def _connection(self, service: Service, now: int) -> int:
        free = self._idle[service.host]
        for position, (since, key) in enumerate(free):
            if since <= now:
                del free[position]
                return key
        self._keys += 1
        self._add(now, self._introduce(service, self._keys))
        return self._keys

    def _introduce(self, service: Service, key: int) -> ConnectionLine:
        ephemeral = self._dice.randint(32_768, 60_999)
        client = f"198.51.100.{self._dice.randint(1, 254)}"
        remote = (client, ephemeral) if service.server else (service.address, service.port)
        return ConnectionLine(
            key=key,
            pid=1_000 + service.uid,
            role="server" if service.server else "client",
            tls=service.tls,
            local_ip=NODE_ADDRESS,
            local_port=service.port if service.server else ephemeral,
            remote_ip=remote[0],
            remote_port=remote[1],
            exe=service.exe,
            comm=service.exe.rpartition("/")[2],
            uid=service.uid,
            user=service.user,
        )

    def _request(self, service: Service, call: Call) -> bytes:
        path = call.path.replace("{id}", f"{self._dice.randrange(16**8):08x}")
        lines = [
            f"{call.method} {path} HTTP/1.1",
            f"Host: {service.host}",
            f"User-Agent: {service.user_agent}",
            "Accept: */*",
            "Connection: keep-alive",
        ]
        if service.credential:
            lines.append(service.credential)
        if call.request_bytes:
            lines += ["Content-Type: application/json", f"Content-Length: {call.request_bytes}"]
        return "\r\n".join([*lines, "", ""]).encode() + _json(call.request_bytes)

    def _response(self, call: Call) -> Iterator[bytes]:
        lines = [
            f"HTTP/1.1 {call.status} {_REASONS[call.status]}",
            "Content-Type: application/json; charset=utf-8",
            f"X-Request-Id: {self._dice.randrange(16**16):016x}",
        ]
        size = call.response_bytes and int(call.response_bytes * self._dice.uniform(0.7, 1.4))
        bodiless = call.method == "HEAD" or call.status == 204
        if bodiless or size < _CHUNKED_FROM:
            lines += [] if bodiless else [f"Content-Length: {size}"]
            yield "\r\n".join([*lines, "", ""]).encode() + (b"" if bodiless else _json(size))
            return
        yield "\r\n".join([*lines, "Transfer-Encoding: chunked", "", ""]).encode()
        body = _json(size)
        for start in range(0, size, _SEGMENT):
            part = body[start : start + _SEGMENT]
            yield f"{len(part):x}\r\n".encode() + part + b"\r\n"
        yield b"0\r\n\r\n"

    def _data(self, key: int, flow: str, ns: int, data: bytes) -> None:
        self._add(ns, DataLine(key=key, flow=flow, ns=ns, length=len(data), data=data))

    def _close_all(self, until_ns: int) -> None:
        for free in self._idle.values():
            for since, key in free:
                ns = max(since, until_ns)
                self._add(ns, CloseLine(key=key, ns=ns))

    def _add(self, ns: int, line: Line) -> None:
        self.lines.append(_Timed(ns, len(self.lines), line))


def _json(size: int) -> bytes:
    """A JSON document of exactly ``size`` bytes: items, and blanks for what is left."""
    item = b'{"sku":"A-1043","name":"Invented thing","price":"19.90"}'
    head, tail = b'{"items":[', b"]}"
    count = (size - len(head) - len(tail) + 1) // (len(item) + 1)
    if count < 1:
        return (b"{}" if size >= len(b"{}") else b"0").ljust(size)[:size]
    return (head + b",".join([item] * count) + tail).ljust(size)
