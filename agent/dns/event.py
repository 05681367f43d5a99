"""A lookup as an event, and as rules see it."""

from __future__ import annotations

from typing import Final

from uuid_utils.compat import uuid7

from agent.dns.message import addresses_of, aliases_of
from agent.dns.pairs import Lookup
from agent.dns.types import type_name
from agent.link.clock import WallClock
from agent.link.exchange import Exchange
from agent.link.settings import About
from agent.plugins.subject import LookupNames, Subject
from wire.dns import DnsAnswer, DnsPart
from wire.events import MAX_TEXT_BYTES, DnsEvent, RequestEvent

_NS_IN_US: Final = 1_000
_OF_CONNECTION: Final = (
    "connection_id", "direction", "replayed", "source_ip", "source_port", "destination_ip",
    "destination_port", "hostname", "process_id", "exe", "user", "user_id", "container_id",
    "container_name", "container_image", "pod_name", "pod_namespace",
)  # fmt: skip
_OF_LOOKUP: Final = (
    "timestamp", "lookup_id", "name", "query_type", "outcome", "rcode", "transport",
    "duration_us", "attempts", "answer_count", "authoritative", "authenticated", "edns",
)  # fmt: skip


def lookup_part(lookup: Lookup, template: RequestEvent, clock: WallClock) -> DnsPart:
    """``template``: of the connection that carried it."""
    answer = lookup.answer
    return DnsPart(
        timestamp=clock.at(lookup.began_ns),
        lookup_id=uuid7(),
        name=lookup.question.name,
        query_type=type_name(lookup.question.type),
        outcome=lookup.outcome,
        rcode=answer.rcode_name if answer else "",
        transport="udp" if lookup.udp else "tcp",
        resolver_ip=template.destination_ip,
        resolver_port=template.destination_port,
        duration_us=max(lookup.ended_ns - lookup.began_ns, 0) // _NS_IN_US,
        attempts=lookup.attempts,
        addresses=addresses_of(answer) if answer else [],
        aliases=aliases_of(answer) if answer else [],
        answers=[
            DnsAnswer(name=record.name, type=record.type_name, ttl=record.ttl, value=record.value)
            for record in (answer.answers if answer else ())
        ],
        answer_count=answer.answer_count if answer else 0,
        authoritative=answer is not None and answer.authoritative,
        authenticated=answer is not None and answer.authentic,
        edns=answer is not None and answer.edns,
    )


def lookup_event(part: DnsPart, lookup: Lookup, template: RequestEvent) -> DnsEvent:
    """The same for the platform, flat, with who asked or was asked."""
    return DnsEvent(
        **{name: getattr(template, name) for name in _OF_CONNECTION},
        **{name: getattr(part, name) for name in _OF_LOOKUP},
        addresses=_lines(part.addresses),
        aliases=_lines(part.aliases),
        bytes_sent=lookup.sent,
        bytes_received=lookup.received,
    )


def _lines(values: list[str]) -> str:
    """As many whole ones as a text may have."""
    text = "\n".join(values)
    if len(text) <= MAX_TEXT_BYTES:
        return text
    return text[: text.rindex("\n", 0, MAX_TEXT_BYTES + 1)]


class LookupSubject(Subject):
    """``dns.…`` fields have values; those of HTTP have none."""

    __slots__ = ("_names",)

    def __init__(self, event: DnsEvent, template: RequestEvent, about: About) -> None:
        super().__init__(template, Exchange(), about.who, about.tags)
        self._names = LookupNames(event.name, event.query_type, event.rcode)

    @property
    def lookup(self) -> LookupNames:
        return self._names

    @property
    def url(self) -> None:
        """A lookup has none: a rule about it does not pass."""
