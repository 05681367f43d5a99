"""A header block: what the agent needs of it, and whether its framing can be trusted.

Most blocks repeat: a client sends the same headers on every request of a connection. So
a parsed block is kept under its own bytes, and header names are recognized by one lookup
under the spelling of the wire. Both caches are bounded and start afresh when full.
"""

from __future__ import annotations

import re
from typing import Final

from agent.http.credentials import CREDENTIAL_HEADERS, Credential, credential

NO_LENGTH: Final = -1

_BLOCKS_KEPT: Final = 2_048
_LONGEST_KEPT: Final = 4_096
_NAMES_KEPT: Final = 4_096
_LONGEST_NAME: Final = 64

_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}\Z")
_FOLD: Final = re.compile(rb"\r?\n[ \t]+")

_PLAIN, _HOST, _LENGTHS, _CODING, _CONNECTION, _UPGRADE, _EXPECT = range(7)
_TYPE, _AGENT, _CREDENTIAL, _BAD = range(7, 11)
_KNOWN: Final = {
    b"host": _HOST,
    b"content-length": _LENGTHS,
    b"transfer-encoding": _CODING,
    b"connection": _CONNECTION,
    b"upgrade": _UPGRADE,
    b"expect": _EXPECT,
    b"content-type": _TYPE,
    b"user-agent": _AGENT,
    **dict.fromkeys(CREDENTIAL_HEADERS, _CREDENTIAL),
}


class HeaderBlock:
    """The headers that matter. Shared between messages: never changed once parsed."""

    __slots__ = (
        "chunked",
        "coded",
        "content_length",
        "content_type",
        "credential",
        "error",
        "expects_continue",
        "host",
        "oddities",
        "user_agent",
    )

    def __init__(self) -> None:
        self.host = ""
        self.user_agent = ""
        self.content_type = ""
        self.content_length = NO_LENGTH
        self.chunked = False
        """Transfer-Encoding ends in ``chunked``."""
        self.coded = False
        """There is a Transfer-Encoding."""
        self.expects_continue = False
        self.credential: Credential | None = None
        self.error = ""
        """Why the framing cannot be trusted; empty when it can."""
        self.oddities: tuple[str, ...] = ()
        """Tolerated, but counted: ``bare-lf``, ``obs-fold``, ``length-and-chunked`` …"""


_blocks: dict[bytes, HeaderBlock] = {}
_names: dict[bytes, tuple[int, bytes]] = {}


def parse_headers(block: bytes) -> HeaderBlock:
    """The headers in ``block``: the lines between start line and blank line."""
    known = _blocks.get(block)
    if known is not None:
        return known
    parsed = _parse(block)
    if len(block) <= _LONGEST_KEPT:
        if len(_blocks) >= _BLOCKS_KEPT:
            _blocks.clear()
        _blocks[block] = parsed
    return parsed


def header_pairs(block: bytes) -> list[tuple[str, str]]:
    """All headers in the order of the wire, names as sent, as Latin-1."""
    lines = _FOLD.sub(b" ", block).decode("latin-1").split("\n")
    pairs = (line.partition(":") for line in lines if line.strip())
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def _parse(block: bytes) -> HeaderBlock:
    parsed = HeaderBlock()
    oddities: list[str] = []
    if b"\n " in block or b"\n\t" in block:
        oddities.append("obs-fold")
        block = _FOLD.sub(b" ", block)
    if b"\0" in block:
        oddities.append("nul")
    if block.count(b"\n") != block.count(b"\r\n"):
        oddities.append("bare-lf")
    for line in block.split(b"\n"):
        name, colon, value = line.partition(b":")
        kind, lower = _names.get(name) or _name(name)
        if kind != _PLAIN and (colon or name.strip()):
            _apply(parsed, kind, lower, value.strip(), oddities)
    if parsed.coded and parsed.content_length != NO_LENGTH:
        oddities.append("length-and-chunked")
    parsed.oddities = tuple(oddities)
    return parsed


def _name(name: bytes) -> tuple[int, bytes]:
    """Kind and lower-case form of a name as it was spelled."""
    lower = name.lower()
    known = (_KNOWN.get(lower, _PLAIN) if _TOKEN.match(name) else _BAD, lower)
    if len(name) <= _LONGEST_NAME:
        if len(_names) >= _NAMES_KEPT:
            _names.clear()
        _names[name] = known
    return known


def _apply(  # noqa: C901  one branch a header, flat
    parsed: HeaderBlock, kind: int, name: bytes, value: bytes, oddities: list[str]
) -> None:
    if kind == _HOST:
        if parsed.host:
            oddities.append("second-host")
        else:
            parsed.host = host_of(value)
    elif kind == _TYPE:
        parsed.content_type = text(value.partition(b";")[0].strip().lower())
    elif kind == _AGENT:
        parsed.user_agent = text(value)
    elif kind == _LENGTHS:
        _length(parsed, value)
    elif kind == _CODING:
        _coding(parsed, value)
    elif kind == _CREDENTIAL:
        if parsed.credential is None and value:
            parsed.credential = credential(name, value)
    elif kind == _EXPECT:
        parsed.expects_continue = value.lower() == b"100-continue"
    elif kind == _BAD:
        _bad_name(parsed, name, oddities)


def _length(parsed: HeaderBlock, value: bytes) -> None:
    """RFC 9112, 6.3: equal values may repeat; anything else is an attack or an error."""
    for part in value.split(b","):
        digits = part.strip()
        if not _LENGTH.match(digits):
            parsed.error = "content-length"
            return
        length = int(digits)
        if parsed.content_length not in {NO_LENGTH, length}:
            parsed.error = "content-lengths-differ"
            return
        parsed.content_length = length


def _coding(parsed: HeaderBlock, value: bytes) -> None:
    codings = [part.strip() for part in value.lower().split(b",")]
    if parsed.chunked or b"chunked" in codings[:-1]:
        parsed.error = "transfer-encoding"
        return
    if codings == [b"identity"]:
        return
    parsed.coded = True
    parsed.chunked = codings[-1] == b"chunked"
    if not parsed.chunked and b"chunked" in value.lower():
        parsed.error = "transfer-encoding"


def _bad_name(parsed: HeaderBlock, name: bytes, oddities: list[str]) -> None:
    """A blank before the colon of a framing header is how requests are smuggled."""
    if name.strip() in {b"content-length", b"transfer-encoding"}:
        parsed.error = "framing-header-name"
    else:
        oddities.append("header-name")


MAX_TEXT: Final = 1_024
_VISIBLE: Final = bytes(range(0x20, 0x7F))
_HEX: Final = tuple(f"%{byte:02X}" for byte in range(256))


def text(value: bytes, limit: int = MAX_TEXT) -> str:
    """Printable ASCII; every other byte as ``%XX``; at most ``limit`` characters."""
    value = value[:limit]
    if value.translate(None, _VISIBLE):
        return "".join(chr(b) if 0x20 <= b < 0x7F else _HEX[b] for b in value)[:limit]
    return value.decode("ascii")


def host_of(value: bytes) -> str:
    """A Host header's name: lower case, without port; an IPv6 literal without brackets."""
    name = value.strip().lower()
    if name.startswith(b"["):
        name = name[1:].partition(b"]")[0]
    elif name.count(b":") == 1:
        name = name.partition(b":")[0]
    return text(name)
