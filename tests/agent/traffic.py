"""Chunks made by hand, and what the linker makes of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.capture.source import Chunk, Connection, DnsMessage, Flow, Kind, Role, Source
from agent.counters import Counters
from agent.link.exchange import Exchange
from agent.link.linker import Linker
from agent.link.settings import MEMORY_LIMIT, LinkSettings
from wire.events import RequestEvent
from wire.protocol import ProbeState

KEY = 1
MS = 1_000_000

ASK, ANSWER = "ask", "answer"
Part = tuple[str, bytes] | tuple[str, bytes, int]
"""Which way, the bytes, and how many more the call had."""


def client(key: int = KEY, **facts: object) -> Connection:
    default: dict[str, object] = {
        "key": key, "pid": 4242, "role": Role.CLIENT, "tls": True, "local_ip": "10.0.0.1",
        "local_port": 40_000, "remote_ip": "93.184.216.34", "remote_port": 443, "netns": 77,
        "exe": "/usr/bin/curl", "comm": "curl", "uid": 1000, "user": "ana", "container_id": "",
    }  # fmt: skip
    return Connection(**default | facts)  # type: ignore[arg-type]


def server(key: int = KEY, **facts: object) -> Connection:
    return client(key, **{"role": Role.SERVER} | facts)


class Facts:
    """The part of a source that the linker asks."""

    def __init__(self, connections: Iterable[Connection]) -> None:
        self.connections = {connection.key: connection for connection in connections}
        self.forgotten: list[int] = []

    def poll(self, timeout_ms: int) -> Iterable[Chunk]:
        del timeout_ms
        raise EOFError

    def connection(self, key: int) -> Connection | None:
        return self.connections.get(key)

    def forget(self, key: int) -> None:
        self.forgotten.append(key)

    def audit_dns(self, *, wanted: bool) -> None:
        """No DNS is made by hand here."""

    def dns(self) -> list[DnsMessage]:
        return []

    def forget_dns(self, socket: int) -> None:
        """There is none."""

    def lost(self) -> dict[str, int]:
        return {}

    def probes(self) -> list[ProbeState]:
        return []

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Listener:
    """A linker and everything it emitted. Time advances one millisecond a chunk."""

    connections: list[Connection] = field(default_factory=lambda: [client()])
    settings: LinkSettings = field(default_factory=LinkSettings)
    memory_limit: int = MEMORY_LIMIT

    def __post_init__(self) -> None:
        self.source = Facts(self.connections)
        self.counters = Counters()
        self.events: list[RequestEvent] = []
        self.exchanges: list[Exchange] = []
        self.now = 1_000_000_000_000
        self.linker = Linker(
            self.source, self._emit, settings=self.settings, counters=self.counters,
            memory_limit=self.memory_limit,
        )  # fmt: skip

    def _emit(self, event: RequestEvent, exchange: Exchange) -> None:
        self.events.append(event)
        self.exchanges.append(exchange)

    def ask(self, data: bytes, missing: int = 0, key: int = KEY) -> None:
        self._data(key, data, missing, asks=True)

    def answer(self, data: bytes, missing: int = 0, key: int = KEY) -> None:
        self._data(key, data, missing, asks=False)

    def _data(self, key: int, data: bytes, missing: int, *, asks: bool) -> None:
        serves = self.source.connections[key].role is Role.SERVER
        flow = Flow.RECEIVED if asks == serves else Flow.SENT
        self.now += MS
        self.linker.feed(Chunk(Kind.DATA, key, flow, self.now, len(data) + missing, data))

    def close(self, key: int = KEY) -> None:
        self.now += MS
        self.linker.feed(Chunk(Kind.CLOSE, key, Flow.SENT, self.now, 0, b""))

    def play(self, parts: Iterable[Part]) -> list[RequestEvent]:
        """Feed, close, count; the events."""
        for way, data, *missing in parts:
            self._data(KEY, data, missing[0] if missing else 0, asks=way == ASK)
        self.close()
        self.linker.shutdown(self.now)
        return self.events

    def odd(self, reason: str) -> int:
        self.linker.tick(self.now)
        return self.counters.get(f"http.{reason}")


def chunks_of(source: Source) -> list[Chunk]:
    """All that a source has, until it ends."""
    chunks: list[Chunk] = []
    try:
        while True:
            chunks += source.poll(100)
    except EOFError:
        return chunks
    finally:
        source.close()
