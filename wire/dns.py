"""A DNS lookup in the events that standard output prints: never the text of a ``TXT`` record."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from wire.events import LookupOutcome


class DnsAnswer(msgspec.Struct, kw_only=True, frozen=True):
    name: str
    type: str
    ttl: int
    value: str
    """An address, a name, ``name:port`` of ``SRV``; empty for types whose data is content."""


class DnsPart(msgspec.Struct, kw_only=True, rename="camel"):
    """One lookup; fields that ``wire.events.DnsEvent`` has as well mean the same."""

    timestamp: datetime
    lookup_id: UUID
    name: str
    query_type: str
    outcome: LookupOutcome
    rcode: str
    transport: str
    resolver_ip: str
    """Who was asked; the node itself where it is asked."""
    resolver_port: int
    duration_us: int
    attempts: int
    addresses: list[str]
    aliases: list[str]
    answers: list[DnsAnswer]
    """In their order, at most 64 of them."""
    answer_count: int
    authoritative: bool
    authenticated: bool
    edns: bool
