"""The events that an agent reports: one JSON object a line, told apart by ``type``.

An event is metadata about traffic. It never carries a header value, a query string or
a body: those are payload, go to the customer's object store, and are only named here
by their digest.

Field names follow Qtap's ``Request`` event and its ``Connection`` endpoints; the two are
flattened into one object so that the event store can load a line into columns as it is.
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

Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME_BYTES)]
Path = Annotated[str, msgspec.Meta(max_length=MAX_PATH_BYTES)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Status = Annotated[int, msgspec.Meta(ge=0, le=999)]
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


class RequestEvent(
    msgspec.Struct,
    kw_only=True,
    rename="camel",
    tag_field="type",
    tag="request",
    omit_defaults=True,
    forbid_unknown_fields=False,
    gc=False,
):
    """One HTTP exchange: a request and, where there was one, its response."""

    timestamp: datetime
    """When the first byte of the request was seen; UTC, microseconds."""
    request_id: UUID
    """UUIDv7, unique for ever; a re-sent batch carries the same ids."""
    connection_id: UUID
    direction: Direction
    outcome: Outcome = Outcome.COMPLETE
    replayed: bool = False
    """Fed from a recording instead of the kernel; shown wherever the event shows."""

    protocol: Name = "http1"
    scheme: Annotated[str, msgspec.Meta(pattern=r"^https?$")]
    method: Annotated[str, msgspec.Meta(max_length=32)]
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

    object_digest: Digest = ""
    """SHA-1 of the ``http_transaction`` object in the customer's store; empty: none kept."""


EVENT_TYPES: Final = {"request": RequestEvent}

_encoder = msgspec.json.Encoder(uuid_format="canonical")
_decoder: msgspec.json.Decoder[RequestEvent] = msgspec.json.Decoder(RequestEvent)


def encode_line(event: RequestEvent) -> bytes:
    """The event as one line of JSON, newline included."""
    return _encoder.encode(event) + b"\n"


def decode_line(line: bytes) -> RequestEvent:
    """The event in one line.

    Raises ``msgspec.ValidationError`` (a field is wrong, with its path) or
    ``msgspec.DecodeError`` (not JSON).
    """
    return _decoder.decode(line)
