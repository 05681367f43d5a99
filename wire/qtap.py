"""Events in the shape that other readers of ``version: 2`` agents know.

Every event has the fields of ``Meta``: flat, but nested under ``meta`` in a connection. On
standard output an event is one line, ``{"type": "…", "item": {…}}``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from wire.dns import DnsPart


class Meta(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    connection_id: str
    endpoint_id: str = ""
    """Host name, or address where none is known."""
    request_id: str = ""
    tls_probe_types_detected: list[str] = msgspec.field(default_factory=list)
    tls_probe_introspected: bool = False
    """The bytes were seen inside TLS."""


class Address(msgspec.Struct, kw_only=True, rename="camel"):
    family: str
    """``ipv4`` or ``ipv6``."""
    ip: str
    port: int


class PodRef(msgspec.Struct, kw_only=True, rename="camel"):
    name: str
    namespace: str


class ContainerRef(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    id: str
    name: str = ""
    image: str = ""
    pod: PodRef | None = None


class Endpoint(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """One side. Of the remote one only the address is known."""

    address: Address
    hostname: str = ""
    exe: str = ""
    user: str = ""
    user_id: int | None = None
    container: ContainerRef | None = None


class System(msgspec.Struct, kw_only=True, rename="camel"):
    hostname: str
    agent: str
    agent_instance: str


class ConnectionEvent(msgspec.Struct, kw_only=True, rename="camel"):
    """Reported when it is seen first, every ten seconds, and when it ends."""

    meta: Meta
    tags: dict[str, list[str]]
    finalized: bool
    """The last report of this connection."""
    timestamp: datetime
    direction: str
    vendor_id: str
    part: int
    """Number of the report, from 0."""
    socket_protocol: str
    l7_protocol: str = msgspec.field(name="l7Protocol")
    """``http1``, ``http2``, ``grpc``, ``dns``, ``other``."""
    tls_version: int
    """As in the handshake: 772 is TLS 1.3; 0: none, or not known."""
    system: System
    source: Endpoint
    destination: Endpoint
    bytes_received: int
    bytes_sent: int
    labels: list[str]
    created_at: datetime
    closed_at: datetime | None = None
    dns: list[DnsPart] | msgspec.UnsetType = msgspec.field(name="qcloud.dns", default=msgspec.UNSET)
    """Lookups that ended since the last report. Ours: not there on other connections."""


class _Flat(msgspec.Struct, kw_only=True, rename="camel"):
    connection_id: str
    endpoint_id: str = ""
    request_id: str = ""
    tls_probe_types_detected: list[str] = msgspec.field(default_factory=list)
    tls_probe_introspected: bool = False
    timestamp: datetime


class RequestRecord(_Flat, kw_only=True, rename="camel"):
    """One exchange."""

    direction: str
    url: str
    """Without its query: that is payload."""
    path: str
    method: str
    status: int
    duration: int
    """Milliseconds, at least 1."""
    content_type: str = ""
    category: str = ""
    """Kind of content: ``json``, ``html``, ``image`` …"""
    agent: str = ""
    bytes_sent: int = 0
    bytes_received: int = 0
    auth_token_mask: str = ""
    auth_token_hash: str = ""
    auth_token_source: str = ""
    auth_token_type: str = ""


class Issue(_Flat, kw_only=True, rename="camel"):
    """An exchange that a rule of ``detect_errors`` calls an error."""

    direction: str
    error: str
    """The rule's name."""
    url: str
    path: str
    method: str
    status: int
    trigger_conditions: list[str]
    """``plugin:condition``, as ``detect_errors:status_code``."""
    trigger_reasons: list[str]
    """In words, one a condition."""


class ArtifactRecord(_Flat, kw_only=True, rename="camel"):
    """An object was kept."""

    type: str
    """``req-headers``, ``req-body``, ``res-headers``, ``res-body``, ``http_transaction`` …"""
    digest: str
    url: str
    """By the store's ``access_url``; empty when it has none."""
    summary: dict[str, str | int | bool] = msgspec.field(default_factory=dict)


TYPES: Final = {
    ConnectionEvent: "eventstore.Connection",
    RequestRecord: "eventstore.Request",
    Issue: "eventstore.Issue",
    ArtifactRecord: "eventstore.ArtifactRecord",
}
"""What stands in ``type`` on standard output."""
