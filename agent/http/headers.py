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

_PLAIN, _HOST, _LENGTHS, _CODING, _EXPECT, _TYPE, _AGENT, _CREDENTIAL, _BAD = range(9)
_KNOWN: Final = {
    b"host": _HOST,
    b"content-length": _LENGTHS,
    b"transfer-encoding": _CODING,
    b"expect": _EXPECT,
    b"content-type": _TYPE,
    b"user-agent": _AGENT,
    **dict.fromkeys(CREDENTIAL_HEADERS, _CREDENTIAL),
}


class HeaderBlock:
    """The headers that matter. Shared between messages: never changed once parsed.

    Defaults live on the class: most blocks set two or three of these.
    """

    host: str = ""
    user_agent: str = ""
    content_type: str = ""
    content_length: int = NO_LENGTH
    chunked: bool = False
    """Transfer-Encoding ends in ``chunked``."""
    coded: bool = False
    """There is a Transfer-Encoding."""
    expects_continue: bool = False
    credential: Credential | None = None
    error: str = ""
    """Why the framing cannot be trusted; empty when it can."""
    oddities: tuple[str, ...] = ()
    """Tolerated, but counted: ``bare-lf``, ``obs-fold``, ``length-and-chunked`` …"""


_blocks: dict[bytes, HeaderBlock] = {}
_names: dict[bytes, int] = {}


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
    kind_of = _names.get
    for line in block.rstrip(b"\r\n").split(b"\n"):
        colon = line.find(b":")
        name = line[:colon] if colon >= 0 else line
        kind = kind_of(name)
        if kind is None:
            kind = _kind(name)
        if kind:
            _apply(parsed, kind, name, line[len(name) + 1 :].strip(), oddities)
    if parsed.coded and parsed.content_length != NO_LENGTH:
        oddities.append("length-and-chunked")
    if oddities:
        parsed.oddities = tuple(oddities)
    return parsed


def _kind(name: bytes) -> int:
    """What a name means, as it was spelled."""
    kind = _KNOWN.get(name.lower(), _PLAIN) if _TOKEN.match(name) else _BAD
    if len(name) <= _LONGEST_NAME:
        if len(_names) >= _NAMES_KEPT:
            _names.clear()
        _names[name] = kind
    return kind


def _apply(parsed: HeaderBlock, kind: int, name: bytes, value: bytes, oddities: list[str]) -> None:
    if kind == _LENGTHS:
        _length(parsed, value)
    elif kind == _TYPE:
        parsed.content_type = text(value.partition(b";")[0].rstrip().lower())
    elif kind == _HOST:
        if parsed.host:
            oddities.append("second-host")
        else:
            parsed.host = host_of(value)
    elif kind == _AGENT:
        parsed.user_agent = text(value)
    elif kind == _CODING:
        _coding(parsed, value)
    elif kind == _CREDENTIAL:
        if parsed.credential is None and value:
            parsed.credential = credential(name.lower(), value)
    elif kind == _EXPECT:
        parsed.expects_continue = value.lower() == b"100-continue"
    else:
        _bad_name(parsed, name.lower(), oddities)


def _length(parsed: HeaderBlock, value: bytes) -> None:
    """RFC 9112, 6.3: equal values may repeat; anything else is an attack or an error."""
    if parsed.content_length == NO_LENGTH and _LENGTH.match(value):
        parsed.content_length = int(value)
        return
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
    if not name.strip():
        return
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


_BEHIND_HOST: Final = re.compile(rb"[/?#\\ \t].*\Z", re.DOTALL)


def host_of(value: bytes) -> str:
    """A Host header's name: lower case, without port; an IPv6 literal without brackets.

    User information and whatever follows the name is payload, wrong here as it is.
    """
    name = _BEHIND_HOST.sub(b"", value.strip().lower()).rpartition(b"@")[2]
    if name.startswith(b"["):
        name = name[1:].partition(b"]")[0]
    elif name.count(b":") == 1:
        name = name.partition(b":")[0]
    return text(name)
