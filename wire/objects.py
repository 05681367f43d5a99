"""Payload objects: what the agent puts into the customer's object store, and its name.

An object's key is the SHA-1 of its bytes, hexadecimal and flat, as Qtap names them, so
that ``access_url`` templates written for Qtap keep working. SHA-1 is a name here, not a
promise of authenticity: whoever can write to the store can replace what lies in it.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

ACCESS_URL_FIELDS: Final = ("SCHEME", "ENDPOINT", "BUCKET", "DIGEST")


class TransactionMetadata(msgspec.Struct, kw_only=True, omit_defaults=True):
    process_id: int = 0
    process_exe: str = ""
    container_name: str = ""
    container_image: str = ""
    pod_name: str = ""
    pod_namespace: str = ""
    bytes_sent: int = 0
    bytes_received: int = 0
    request_id: str = ""
    connection_id: str = ""
    endpoint_id: str = ""


class TransactionRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    method: str
    url: str
    """With query string: this object stays with the customer."""
    scheme: str = ""
    path: str = ""
    authority: str = ""
    protocol: str = ""
    request_id: str = ""
    user_agent: str = ""
    content_type: str = ""
    headers: list[tuple[str, str]] = msgspec.field(default_factory=list)
    """In the order of the wire, names as sent; bytes above 0x7F as Latin-1."""
    body: bytes = b""
    """Decoded from chunks, not from its content encoding. Base64 in JSON."""
    body_truncated: bool = False


class TransactionResponse(msgspec.Struct, kw_only=True, omit_defaults=True):
    status: int
    content_type: str = ""
    headers: list[tuple[str, str]] = msgspec.field(default_factory=list)
    body: bytes = b""
    body_truncated: bool = False


class HttpTransaction(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Qtap's ``http_transaction`` object."""

    metadata: TransactionMetadata
    request: TransactionRequest
    response: TransactionResponse | None = None
    transaction_time: str = ""
    """RFC 3339, UTC."""
    duration_ms: float = 0.0
    direction: str = ""


def object_digest(data: bytes) -> str:
    """The object's key: 40 hexadecimal digits."""
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def encode_transaction(transaction: HttpTransaction) -> bytes:
    """The object's bytes, JSON."""
    return msgspec.json.encode(transaction)


def decode_transaction(data: bytes) -> HttpTransaction:
    """Raises ``msgspec.DecodeError`` or ``msgspec.ValidationError``."""
    return msgspec.json.decode(data, type=HttpTransaction)


def access_url(template: str, *, scheme: str, endpoint: str, bucket: str, digest: str) -> str:
    """The address of an object by the store's template, ``{{DIGEST}}`` and so on filled in."""
    filled = template
    for name, value in zip(ACCESS_URL_FIELDS, (scheme, endpoint, bucket, digest), strict=True):
        filled = filled.replace("{{" + name + "}}", value)
    return filled
