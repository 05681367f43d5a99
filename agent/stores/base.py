"""What every event store and every object store can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol

from agent.counters import Counters
from agent.stores.console import Console, console
from wire.events import Event as PlatformEvent
from wire.qtap import ArtifactRecord, ConnectionEvent, Issue, RequestRecord

QtapEvent = ConnectionEvent | RequestRecord | Issue | ArtifactRecord
Event = PlatformEvent | QtapEvent

Shape = Literal["pulse", "qtap"]
"""Which events a store is given: those of ``wire.events``, with a ``RequestEvent`` for every
exchange, or those of ``wire.qtap``, with a ``ConnectionEvent`` for every connection and a
``RequestRecord`` where ``report_usage`` asks."""


class StoreError(Exception):
    """An object was not stored or not found. ``reason`` is a word for the counters."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class EventStore(Protocol):
    """``emit`` and ``tick`` are called on the capture thread and never block or raise: what
    cannot be taken is counted with ``counters.drop("event", reason)``.
    """

    id: str
    kind: str
    shape: Shape

    def start(self) -> None: ...

    def emit(self, event: Event) -> None: ...

    def tick(self) -> None:
        """About ten times a second."""
        ...

    def close(self, timeout: float) -> bool:
        """Deliver what waits within ``timeout`` seconds; ``False``: that was not enough.

        Nothing is emitted afterwards.
        """
        ...


class ObjectMeta(NamedTuple):
    """What a store may want to know of an object beside its bytes."""

    kind: str = "http_transaction"
    """As in ``ArtifactRecord.type``."""
    content_type: str = "application/json"
    format: Literal["json", "text"] = "json"
    """How a store for people prints it."""


PLAIN: ObjectMeta = ObjectMeta()


class ObjectStore(Protocol):
    """Keys are flat: 40 hexadecimal digits, the SHA-1 of the bytes.

    ``put`` is called on the threads of an ``ObjectQueue``, which has ``threads`` of them and
    counts what ``put`` refuses; so ``put`` may block, retry and raise.
    """

    id: str
    kind: str
    threads: int

    def url(self, digest: str) -> str:
        """Where people will find an object, by ``access_url``; known before it is stored."""
        ...

    def put(self, digest: str, data: bytes, meta: ObjectMeta = PLAIN) -> str:
        """Store, and return ``url(digest)``; the same again is harmless.

        Raises ``StoreError``.
        """
        ...

    def get(self, digest: str) -> bytes:
        """Raises ``StoreError``."""
        ...

    def check(self) -> None:
        """Whether the store can be written now. Raises ``StoreError`` that says what to do."""
        ...

    def close(self) -> None: ...


class StoreContext(NamedTuple):
    """What stores are opened with."""

    counters: Counters
    environment: Mapping[str, str]
    """Variables that credentials of type ``env`` name."""
    out: Console = console
    """Standard output, for whatever prints."""
