"""A finished exchange as rules and plugins see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from agent.http.headers import header_pairs
from agent.link.exchange import Exchange
from agent.link.transaction import transaction_of
from agent.who import Who
from wire.config.plugins import Level
from wire.events import RequestEvent
from wire.objects import encode_transaction, object_digest
from wire.rules.fields import split_map

Tags = dict[str, list[str]]
Stored = tuple[str, bytes]
"""Digest and bytes of an object."""


class LookupNames(NamedTuple):
    """What rules may ask of a DNS lookup."""

    name: str = ""
    type: str = ""
    rcode: str = ""


_NO_LOOKUP: Final = LookupNames()


class Subject:
    """Made once an exchange; what costs something is made when it is asked for."""

    __slots__ = ("_lower", "_objects", "_request", "_response", "event", "exchange", "tags", "who")

    def __init__(self, event: RequestEvent, exchange: Exchange, who: Who, tags: Tags) -> None:
        self.event = event
        self.exchange = exchange
        self.who = who
        self.tags = tags
        self._request: dict[str, str] | None = None
        self._response: dict[str, str] | None = None
        self._lower: dict[bytes, bytes] = {}
        self._objects: dict[str, Stored] = {}

    @property
    def request_headers(self) -> dict[str, str]:
        """Lower-case name → value; what stands more than once is joined by commas."""
        if self._request is None:
            self._request = _headers(self.exchange.request_head)
        return self._request

    @property
    def response_headers(self) -> dict[str, str]:
        if self._response is None:
            self._response = _headers(self.exchange.response_head)
        return self._response

    def header(self, head: bytes, name: bytes) -> str | None:
        """One header of ``head``: ``name`` is lower case, between line end and colon.

        A rule asks for one or two of twenty: looking for them is cheaper than a dictionary.
        """
        lower = self._lower.get(head)
        if lower is None:
            lower = self._lower[head] = head.lower()
        at = lower.find(name)
        if at < 0:
            return None
        end = head.find(b"\n", at + 1)
        if lower.find(name, end) >= 0 or head[end + 1 : end + 2] in _FOLDED:
            return _headers(head).get(name[1:-1].decode("latin-1"))
        return head[at + len(name) : end].decode("latin-1").strip()

    @property
    def lookup(self) -> LookupNames:
        """Empty: it is an exchange of HTTP."""
        return _NO_LOOKUP

    @property
    def url(self) -> str | None:
        """With the query where the head was kept: payload."""
        event, target = self.event, self.exchange.target.decode("latin-1")
        if target and not target.startswith("/"):
            return target
        return f"{event.scheme}://{event.host}{target or event.path}"

    @property
    def plain_url(self) -> str:
        """Without query: may stand in an event."""
        event = self.event
        return f"{event.scheme}://{event.host}{event.path}"

    def transaction(self, level: Level) -> Stored:
        """The ``http_transaction`` object with as much as ``level`` says."""
        known = self._objects.get(level)
        if known is None:
            data = encode_transaction(transaction_of(self.exchange, self.event, level))
            known = self._objects[level] = (object_digest(data), data)
        return known


_FOLDED: Final = frozenset({b" ", b"\t"})


def _headers(head: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in header_pairs(head[head.find(b"\n") + 1 :]) if head else ():
        lower = name.lower()
        found[lower] = f"{found[lower]}, {value}" if lower in found else value
    return found


Getter = Callable[[Subject], Any]

_PLAIN: Final[dict[str, Getter]] = {
    "http.req.method": lambda it: it.event.method or None,
    "http.req.path": lambda it: it.event.path or None,
    "http.req.host": lambda it: it.event.host or None,
    "http.req.url": lambda it: it.url,
    "http.req.user_agent": lambda it: it.event.agent or None,
    "http.req.content_type": lambda it: it.exchange.request_headers.content_type or None,
    "http.res.status": lambda it: it.event.status or None,
    "http.res.content_type": lambda it: it.event.content_type or None,
    "http.res.duration_ms": lambda it: it.event.duration_us / 1000 if it.event.status else None,
    "dns.name": lambda it: it.lookup.name or None,
    "dns.type": lambda it: it.lookup.type or None,
    "dns.rcode": lambda it: it.lookup.rcode or None,
    "protocol": lambda it: it.event.protocol,
    "direction": lambda it: it.event.direction.value,
    "tls": lambda it: it.event.scheme == "https",
    "src.ip": lambda it: it.event.source_ip or None,
    "src.port": lambda it: it.event.source_port,
    "dst.ip": lambda it: it.event.destination_ip or None,
    "dst.port": lambda it: it.event.destination_port,
    "dst.domain": lambda it: it.event.host or None,
    "src.process.path": lambda it: it.event.exe or None,
    "src.process.binary": lambda it: it.event.exe.rpartition("/")[2] or None,
    "src.process.hostname": lambda it: it.event.hostname or None,
    "src.process.pid": lambda it: it.event.process_id,
    "src.process.user.id": lambda it: it.event.user_id,
    "src.process.user.name": lambda it: it.event.user or None,
    "src.container.id": lambda it: it.event.container_id or None,
    "src.container.name": lambda it: it.event.container_name or None,
    "src.container.image": lambda it: it.event.container_image or None,
    "src.pod.name": lambda it: it.event.pod_name or None,
    "src.pod.namespace": lambda it: it.event.pod_namespace or None,
}

_MAPS: Final[dict[str, Getter]] = {
    "http.req.headers": lambda it: it.request_headers,
    "http.res.headers": lambda it: it.response_headers,
    "tags": lambda it: it.tags,
    "src.process.env": lambda it: it.who.environment,
    "src.container.labels": lambda it: it.who.container_labels,
    "src.pod.labels": lambda it: it.who.pod_labels,
    "src.pod.annotations": lambda it: it.who.pod_annotations,
}


_HEADS: Final[dict[str, Callable[[Subject], bytes]]] = {
    "http.req.headers": lambda it: it.exchange.request_head,
    "http.res.headers": lambda it: it.exchange.response_head,
}


def _header(head_of: Callable[[Subject], bytes], name: bytes) -> Getter:
    return lambda it: it.header(head, name) if (head := head_of(it)) else None


def resolve(path: str) -> Getter | None:
    """How rules get a field, by its canonical name."""
    plain = _PLAIN.get(path)
    if plain is not None:
        return plain
    name, key = split_map(path)
    if key and name in _HEADS:
        return _header(_HEADS[name], b"\n" + key.encode("latin-1", "replace") + b":")
    whole = _MAPS.get(name)
    if whole is None or not key:
        return whole
    return lambda it: whole(it).get(key)
