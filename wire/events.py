"""The events that an agent reports: one JSON object a line, told apart by ``type``.

An event is metadata about traffic. It never carries a query string, a body or, but for those
headers that the operator's own configuration lists by name, a header value: these are
payload, go to the customer's object store, and are only named here by their digest.

Field names follow Qtap's events and its ``Connection`` endpoints, flattened into one object
so that the event store can load a line into columns as it is. That is why every field is one
value; several values are the lines of one text.

A kind of event is a struct here, its row in ``EVENT_TYPES``, and a table in the event store.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

import msgspec

MAX_PATH_BYTES: Final = 8_192
"""A longer path is cut by the agent; the whole request line is in the object."""

MAX_NAME_BYTES: Final = 1_024
"""Bound of every other free text: host, executable, user agent, labels."""

MAX_TEXT_BYTES: Final = 4_096
"""Bound of a text of several lines."""

MAX_TAGS: Final = 20
MAX_TAG_KEY: Final = 64
MAX_TAG_VALUE: Final = 128
"""Bytes, as the key's; what is longer is cut by the agent. All of them fit one text."""

MAX_HEADERS: Final = 15
MAX_HEADER_NAME: Final = 64
MAX_HEADER_VALUE: Final = 200
"""Bytes. All of them fit one text."""

Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME_BYTES)]
Path = Annotated[str, msgspec.Meta(max_length=MAX_PATH_BYTES)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Status = Annotated[int, msgspec.Meta(ge=0, le=999)]
Method = Annotated[str, msgspec.Meta(max_length=32)]
Scheme = Annotated[str, msgspec.Meta(pattern=r"^https?$")]
Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT_BYTES)]
Url = Annotated[str, msgspec.Meta(max_length=2 * MAX_NAME_BYTES)]
Digest = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{40})?$")]


class Direction(StrEnum):
    """Seen from the node that the agent runs on."""

    INGRESS = "ingress"
    EGRESS_INTERNAL = "egress-internal"
    """To a private, loopback or link-local address."""
    EGRESS_EXTERNAL = "egress-external"


class Outcome(StrEnum):
    """How an exchange ended, as far as the agent could see."""

    COMPLETE = "complete"
    NO_RESPONSE = "no-response"
    """The connection closed, or idled out, before a response began."""
    TRUNCATED = "truncated"
    """The response began and did not end as its framing promised."""
    MALFORMED = "malformed"
    """Bytes that are not HTTP/1.1 where a message should have been."""


class Event(
    msgspec.Struct,
    kw_only=True,
    rename="camel",
    tag_field="type",
    tag="",
    omit_defaults=True,
    forbid_unknown_fields=False,
    gc=False,
):
    """What every kind is made like, and what every one has."""

    timestamp: datetime
    """When it happened; UTC, microseconds."""


class RequestEvent(Event, kw_only=True, tag="request", gc=False):
    """One HTTP exchange: a request and, where there was one, its response."""

    # ``timestamp``: when the first byte of the request was seen.
    request_id: UUID
    """UUIDv7, unique for ever; a re-sent batch carries the same ids."""
    connection_id: UUID
    direction: Direction
    outcome: Outcome = Outcome.COMPLETE
    replayed: bool = False
    """Fed from a recording instead of the kernel; shown wherever the event shows."""

    protocol: Name = "http1"
    scheme: Scheme
    method: Method
    host: Name = ""
    """The Host header without its port, lower case; the peer's address if there is none."""
    path: Path
    """Without query string and fragment."""
    status: Status = 0
    """0: no response was seen."""
    duration_us: Count = 0
    """From the request's first byte to the response's last, in microseconds."""
    content_type: Name = ""
    """Of the response, without parameters."""
    agent: Name = ""
    """The User-Agent header."""
    bytes_sent: Count = 0
    """By this node on the wire inside TLS: start line, headers and body."""
    bytes_received: Count = 0

    auth_token_type: Name = ""
    """``bearer``, ``basic``, ``api-key`` … or empty."""
    auth_token_source: Name = ""
    """The header that carried it."""
    auth_token_mask: Name = ""
    """At most its last four characters."""
    auth_token_hash: Name = ""
    """SHA-256 of the credential, hexadecimal."""

    tls_probe: Name = ""
    """Which library was tapped (``openssl``); empty for plain sockets."""
    tls_version: Name = ""
    source_ip: Name = ""
    source_port: Port = 0
    destination_ip: Name = ""
    destination_port: Port = 0

    hostname: Name = ""
    """The node."""
    process_id: Count = 0
    exe: Name = ""
    user: Name = ""
    user_id: Count = 0
    container_id: Name = ""
    container_name: Name = ""
    container_image: Name = ""
    pod_name: Name = ""
    pod_namespace: Name = ""

    tags: Text = ""
    """What the operator tagged it with: ``key:value``, sorted, one a line, none twice."""

    headers: Text = ""
    """``name: value`` of those headers alone that ``qcloud.search_headers`` of the agent's
    configuration lists, names in lower case, one a line. By default there are none."""

    object_digest: Digest = ""
    """SHA-1 of the ``http_transaction`` object in the customer's store; empty: none kept."""


class IssueEvent(Event, kw_only=True, tag="issue", gc=False):
    """An exchange that a rule of the plugin ``detect_errors`` calls an error."""

    request_id: UUID
    """Of the exchange."""
    connection_id: UUID
    direction: Direction
    replayed: bool = False
    rule: Name
    conditions: Text = ""
    """What fired: ``status_code``, ``empty_body``, ``duration``, ``contains``; one a line."""
    reasons: Text = ""
    """The same in words, without anything of the payload."""
    protocol: Name = "http1"
    scheme: Scheme
    method: Method
    host: Name = ""
    path: Path
    status: Status = 0
    duration_us: Count = 0
    hostname: Name = ""
    exe: Name = ""
    container_name: Name = ""
    pod_name: Name = ""
    pod_namespace: Name = ""


class ArtifactEvent(Event, kw_only=True, tag="artifact_record", gc=False):
    """An object that was given to the customer's store.

    Not sent for the one that the request's own event names, unless it is to be scanned.
    """

    request_id: UUID
    connection_id: UUID
    direction: Direction
    replayed: bool = False
    artifact_type: Name
    """``http_transaction``, ``req-headers``, ``req-body``, ``res-headers``, ``res-body``."""
    digest: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{40}$")]
    size_bytes: Count = 0
    url: Url = ""
    """By the store's ``access_url``; empty when it has none."""
    scheme: Scheme
    method: Method
    host: Name = ""
    path: Path
    status: Status = 0
    content_type: Name = ""
    """Of the response."""
    exe: Name = ""
    hostname: Name = ""
    qscan: bool = False
    """The scanner is to read it."""
    qscan_monitors: Name = ""
    """What it looks for, separated by commas."""
    qscan_record_values: Name = ""
    qscan_record_document: bool = False


class LookupOutcome(StrEnum):
    """How a DNS lookup ended, as far as the agent could see."""

    ANSWERED = "answered"
    """A whole answer came; ``rcode`` says what it is worth."""
    TRUNCATED = "truncated"
    """It did not fit; the same question over TCP is a lookup of its own."""
    MALFORMED = "malformed"
    TIMEOUT = "timeout"


class DnsEvent(Event, kw_only=True, tag="dns", gc=False):
    """One DNS lookup: a question, and its answer if there was one."""

    # ``timestamp``: when the question was asked first.
    lookup_id: UUID
    """UUIDv7, unique for ever."""
    connection_id: UUID
    direction: Direction
    """``ingress``: the process is the resolver that was asked."""
    replayed: bool = False
    name: Name
    """Asked for; lower case, without a final dot; the root is ``.``."""
    query_type: Name
    """``A``, ``AAAA``, ``HTTPS`` …, ``TYPE65280`` for one without a name."""
    outcome: LookupOutcome
    rcode: Name = ""
    """``NOERROR``, ``NXDOMAIN`` …; empty without a readable answer."""
    transport: Name = "udp"
    """``udp`` or ``tcp``."""
    duration_us: Count = 0
    """From the first question to the answer, or to giving up."""
    attempts: Count = 1
    """How often it was asked."""
    addresses: Text = ""
    """IPv4 and IPv6 addresses of the answer, one a line."""
    aliases: Text = ""
    """The chain of ``CNAME`` records from the name on, one a line."""
    answer_count: Count = 0
    authoritative: bool = False
    authenticated: bool = False
    """The resolver says that it has validated the answer (DNSSEC)."""
    edns: bool = False
    bytes_sent: Count = 0
    bytes_received: Count = 0
    source_ip: Name = ""
    source_port: Port = 0
    destination_ip: Name = ""
    """The resolver's."""
    destination_port: Port = 0
    hostname: Name = ""
    process_id: Count = 0
    exe: Name = ""
    user: Name = ""
    user_id: Count = 0
    container_id: Name = ""
    container_name: Name = ""
    container_image: Name = ""
    pod_name: Name = ""
    pod_namespace: Name = ""


class CertificateEvent(Event, kw_only=True, tag="certificate", gc=False):
    """The certificate that a server showed when the agent asked it, once a day.

    Only with ``qcloud.certificates`` in the agent's configuration.
    """

    # ``timestamp``: when it was asked.
    check_id: UUID
    """UUIDv7, unique for ever."""
    connection_id: UUID
    """Of the last exchange with it."""
    direction: Direction
    """``ingress``: a server of this node."""
    replayed: bool = False
    host: Name
    """The name that was asked for; the address of a server without a name of its own."""
    destination_ip: Name = ""
    destination_port: Port = 0
    subject: Name = ""
    """Common name."""
    issuer: Name = ""
    """As RFC 4514 writes it."""
    names: Text = ""
    """Host names and addresses that it is for, one a line, as many as fit."""
    serial: Name = ""
    """Hexadecimal."""
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
    """Of the certificate."""
    not_before: Count = 0
    """Seconds since 1970: certificates that never expire say 9999, which no clock holds."""
    not_after: Count
    verified: bool = False
    """The node trusts its chain, and it is for this host."""
    problem: Name = ""
    """Why not."""
    tls_version: Name = ""
    hostname: Name = ""
    """The node."""
    exe: Name = ""
    """Who talked to it last, or serves it."""
    container_name: Name = ""
    pod_name: Name = ""
    pod_namespace: Name = ""


EVENT_TYPES: Final[dict[str, type[Event]]] = {
    "request": RequestEvent,
    "issue": IssueEvent,
    "artifact_record": ArtifactEvent,
    "dns": DnsEvent,
    "certificate": CertificateEvent,
}
"""By what stands in ``type``."""
KIND_OF: Final = {struct: kind for kind, struct in EVENT_TYPES.items()}

_encoder = msgspec.json.Encoder(uuid_format="canonical")
_decoders: Final = {kind: msgspec.json.Decoder(struct) for kind, struct in EVENT_TYPES.items()}
_requests: msgspec.json.Decoder[RequestEvent] = msgspec.json.Decoder(RequestEvent)


def encode_line(event: Event) -> bytes:
    """The event as one line of JSON, newline included."""
    return _encoder.encode(event) + b"\n"


def decode_line(line: bytes) -> RequestEvent:
    """The request in one line.

    Raises ``msgspec.ValidationError`` (a field is wrong, with its path) or
    ``msgspec.DecodeError`` (not JSON).
    """
    return _requests.decode(line)


def decode_event(line: bytes, kind: str) -> Event:
    """The event of this kind in one line. Raises as ``decode_line`` does."""
    return _decoders[kind].decode(line)
