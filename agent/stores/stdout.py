"""Events and objects as lines on standard output."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from agent.counters import Counters
from agent.stores.base import PLAIN, Event, ObjectMeta, Shape, StoreError
from agent.stores.console import Console, console
from agent.stores.text import transaction_text
from wire.objects import access_url, decode_transaction
from wire.qtap import TYPES

_encoder: Final = msgspec.json.Encoder()


class _Line(msgspec.Struct):
    type: str
    item: Any


class StdoutEvents:
    """``{"type": …, "item": {…}}``, one line an event."""

    kind = "stdout"
    shape: Shape = "qtap"

    def __init__(
        self,
        id: str,  # noqa: A002  the document's word
        counters: Counters,
        out: Console = console,
    ) -> None:
        self.id = id
        self._counters = counters
        self._out = out

    def start(self) -> None:
        """The stream is open."""

    def emit(self, event: Event) -> None:
        name = TYPES.get(type(event))
        if name is None:
            return
        if not self._out.write(_encoder.encode(_Line(name, event)), self._lost):
            self._lost()

    def _lost(self) -> None:
        self._counters.drop("event", "stdout-slow")

    def tick(self) -> None:
        """Nothing waits."""

    def close(self, timeout: float) -> bool:
        return self._out.drain(timeout)


class StdoutObjects:
    """Objects in full on standard output: for trials."""

    kind = "stdout"
    threads = 1

    def __init__(
        self,
        id: str,  # noqa: A002  the document's word
        access_url: str = "",
        out: Console = console,
    ) -> None:
        self.id = id
        self._access_url = access_url
        self._out = out

    def url(self, digest: str) -> str:
        return access_url(self._access_url, scheme="", endpoint="", bucket="", digest=digest)

    def put(self, digest: str, data: bytes, meta: ObjectMeta = PLAIN) -> str:
        line = data
        if meta.format == "text" and meta.kind == "http_transaction":
            line = transaction_text(decode_transaction(data)).encode("utf-8", "replace")
        if not self._out.write(line):
            raise StoreError("stdout-slow", "nobody reads standard output fast enough")
        return self.url(digest)

    def get(self, digest: str) -> bytes:
        raise StoreError("not-found", f"{digest}: what was printed cannot be read back")

    def check(self) -> None:
        """Standard output is there."""

    def close(self) -> None:
        """Nothing of ours is open."""
