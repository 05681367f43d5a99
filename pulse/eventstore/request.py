"""What a request on ClickHouse's HTTP interface asks for.

Source: ClickHouse documentation, “HTTP Interface”. The statement is the ``query``
parameter followed by the body; ``param_x`` binds ``{x:Type}``; every other parameter that
the interface does not keep for itself is a setting.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import lz4.frame
import zstandard

_OF_THE_INTERFACE: Final = frozenset(
    {
        "query", "database", "default_format", "user", "password", "query_id", "quota_key",
        "session_id", "session_timeout", "session_check", "compress", "decompress", "role",
        "buffer_size", "wait_end_of_query", "client_protocol_version",
        "send_progress_in_http_headers", "http_headers_progress_interval_ms",
        "enable_http_compression", "cancel_http_readonly_queries_on_client_close",
    }
)  # fmt: skip
_INSERT: Final = re.compile(
    rb"(?P<sql>\s*INSERT\s+INTO\s.*?)\bFORMAT\s+(?P<format>[A-Za-z0-9]+)[ \t]*(?:\r?\n|;|$)?",
    re.IGNORECASE | re.DOTALL,
)
_FORMAT: Final = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*\Z", re.IGNORECASE)
_BOUNDARY: Final = re.compile(r'boundary="?([^";,\s]+)')
_FIELD: Final = re.compile(rb'[;\s]name="([^"]*)"')
_HEAD: Final = 64 * 1024
"""The statement of an INSERT, column list included, stands in the first bytes of the body."""


class BadRequest(Exception):
    """The request cannot be understood; the message goes back to the client."""


class TooLarge(BadRequest):
    """The body is over the store's limit."""


@dataclass(frozen=True)
class Query:
    """The parameters of one request."""

    sql: bytes
    database: str
    default_format: str
    settings: dict[str, str]
    query_id: str


@dataclass(frozen=True)
class Insert:
    """An INSERT whose data follows: ``sql`` ends before FORMAT, ``rest`` begins the data."""

    sql: str
    format: str
    rest: bytes


def parse_target(target: str) -> Query:
    """The request line's parameters. Settings keep their order; the last of one name wins."""
    return _query(
        dict(parse_qsl(urlsplit(target).query, keep_blank_values=True, max_num_fields=1_000))
    )


def with_form(target: str, content_type: str, body: bytes) -> Query:
    """As ``parse_target``, with more parameters in a ``multipart/form-data`` body.

    Clients send what is too long for a request line that way, the statement with it. Raises
    ``BadRequest``. Source of the form: RFC 7578.
    """
    pairs = dict(parse_qsl(urlsplit(target).query, keep_blank_values=True, max_num_fields=1_000))
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise BadRequest("the form has no boundary")
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary[1].encode())[1:-1]:
        head, gap, value = part.partition(b"\r\n\r\n")
        name = _FIELD.search(head)
        if not gap or name is None:
            raise BadRequest("a part of the form has no name")
        pairs[name[1].decode()] = value.decode()
    return _query(pairs)


def _query(pairs: dict[str, str]) -> Query:
    settings = {k: v for k, v in pairs.items() if k not in _OF_THE_INTERFACE}
    return Query(
        sql=pairs.get("query", "").encode(),
        database=pairs.get("database", ""),
        default_format=pairs.get("default_format", "TabSeparated"),
        settings=settings,
        query_id=pairs.get("query_id", ""),
    )


def insert_of(head: bytes) -> Insert | None:
    """The INSERT with a FORMAT that the text begins with, if it does."""
    match = _INSERT.match(head[:_HEAD])
    if match is None:
        return None
    sql = match["sql"].decode("utf-8", "replace")
    return Insert(sql, match["format"].decode(), head[match.end() :])


def format_of(sql: str) -> str | None:
    """The format that the statement itself ends with."""
    match = _FORMAT.search(sql)
    return match[1] if match else None


def decoded(chunks: Iterator[bytes], encoding: str, limit: int) -> Iterator[bytes]:
    """The body's bytes without their Content-Encoding, at most ``limit`` of them.

    Raises ``BadRequest`` for an unknown encoding or broken data, ``TooLarge``.
    """
    size = 0
    try:
        for chunk in _decompressed(chunks, encoding):
            size += len(chunk)
            if size > limit:
                raise TooLarge(f"the body decompresses to more than {limit} bytes")
            yield chunk
    except (zlib.error, zstandard.ZstdError, RuntimeError, EOFError) as error:
        raise BadRequest(f"the body is not valid {encoding}: {error}") from error


def _decompressed(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    if encoding in {"", "identity"}:
        return chunks
    if encoding in {"gzip", "deflate"}:
        return _unzipped(chunks, zlib.decompressobj(zlib.MAX_WBITS | 32))
    if encoding == "zstd":
        return _with(chunks, zstandard.ZstdDecompressor().decompressobj())
    if encoding == "lz4":
        return _with(chunks, lz4.frame.LZ4FrameDecompressor())
    raise BadRequest(f"Content-Encoding {encoding!r} is not known: use gzip, lz4 or zstd")


def _unzipped(chunks: Iterator[bytes], stream: Any) -> Iterator[bytes]:
    """Piece by piece: a bomb is met at the limit, not after it has filled the memory."""
    for chunk in chunks:
        pending = chunk
        while pending:
            yield stream.decompress(pending, 1 << 20)
            pending = stream.unconsumed_tail
    yield stream.flush()


def _with(chunks: Iterator[bytes], stream: Any) -> Iterator[bytes]:
    for chunk in chunks:
        # Fed in small pieces, so that one piece of a bomb cannot grow without bound.
        for start in range(0, len(chunk), 4_096):
            yield stream.decompress(chunk[start : start + 4_096])
