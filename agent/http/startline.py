"""Start lines, and how a message's first bytes are told from anything else."""

from __future__ import annotations

import re
from typing import Final

from agent.http.headers import host_of, text
from wire.events import MAX_PATH_BYTES

# RFC 9112, 3.2: a target has one of four forms. What has none may be a line of somebody's body.
_TARGET: Final = (
    rb"(/[^ \r\n]*|[A-Za-z][A-Za-z0-9+.-]*://[^ \r\n]*|\*(?![^ \r\n])|(?<=\ACONNECT )[^ \r\n]+)"
)
_REQUEST: Final = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) " + _TARGET + rb" HTTP/1\.[01]\r?\Z"
)
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\n]*)?\r?\Z")
_GUESS: Final = re.compile(rb"([A-Z]{3,16}) " + _TARGET)
_REQUEST_PREFIX: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}(?: |\Z)")
_REQUEST_PREFIX_STRICT: Final = re.compile(
    rb"[A-Z][A-Z-]{0,19}(?:\Z| (?:\Z|/|\*|[hH]))|CONNECT |PRI \* HTTP/2"
)
_REQUEST_ANEW: Final = re.compile(
    rb"(?:[A-Z][A-Z-]{2,19} (?:/|\*|https?://)|CONNECT [^ \r\n]+ HTTP/1)[^\r\n]*"
)
_RESPONSE_ANEW: Final = re.compile(rb"HTTP/1\.[01] [1-5][0-9]{2}[ \r\n]")
_ABSOLUTE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)([^?#]*)")
_USERINFO: Final = re.compile(rb"//[^/]*@")
_RESPONSE_PREFIX: Final = b"HTTP/1."

HTTP2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\n"


_LINES_KEPT: Final = 1_024
_LONGEST_KEPT: Final = 128
_statuses: dict[bytes, int] = {}
"""Status lines repeat; bounded, and started afresh when full."""

RequestLine = tuple[str, bytes, str, str]
"""Method; target as sent, query included: payload; path; host of an absolute or
authority-form target, else empty. A plain tuple: it is made and unpacked at once."""

_METHODS: Final = {
    method.encode(): method
    for method in ("GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "CONNECT")
}

_REGISTERED: Final = frozenset(_METHODS) | {
    b"TRACE", b"COPY", b"LOCK", b"MKCOL", b"MOVE", b"PROPFIND", b"PROPPATCH", b"UNLOCK",
    b"REPORT", b"SEARCH", b"QUERY",
}  # fmt: skip
"""Methods of the IANA registry that are in use."""


def parse_request_line(line: bytes) -> RequestLine | None:
    """``None``: not a request line of HTTP/1.0 or 1.1."""
    match = _REQUEST.match(line)
    return _request(match) if match else None


def guess_request_line(line: bytes) -> RequestLine:
    """What can be told of a broken request line; all of it may be empty.

    The line may just as well belong to a body, so nothing is told but a registered method
    and a target of its form.
    """
    match = _GUESS.match(line)
    if match is None or match[1] not in _REGISTERED:
        return "", b"", "", ""
    return _request(match)


def parse_status_line(line: bytes) -> int:
    """The status of a response, 0 if the line is none."""
    known = _statuses.get(line)
    if known is not None:
        return known
    match = _STATUS.match(line)
    status = int(match[1]) if match else 0
    if len(line) <= _LONGEST_KEPT:
        if len(_statuses) >= _LINES_KEPT:
            _statuses.clear()
        _statuses[line] = status
    return status


def may_begin_request(data: bytes, position: int, *, strict: bool) -> bool:
    """Whether a request can begin so, however few of its bytes are here.

    ``strict``: only with a method in capitals and a target that looks like one.
    """
    prefix = _REQUEST_PREFIX_STRICT if strict else _REQUEST_PREFIX
    return prefix.match(data, position, position + 33) is not None


def may_begin_response(data: bytes, position: int) -> bool:
    if data.startswith(_RESPONSE_PREFIX, position):
        return True
    return _RESPONSE_PREFIX.startswith(data[position : position + len(_RESPONSE_PREFIX)])


def begins_request(data: bytes) -> bool:
    """Whether a call that sent ``data`` began a request: for finding the way back."""
    return _REQUEST_ANEW.match(data) is not None


def begins_response(data: bytes) -> bool:
    return _RESPONSE_ANEW.match(data) is not None


def _request(match: re.Match[bytes]) -> RequestLine:
    method, target = match.groups()
    host = ""
    path = target
    if method == b"CONNECT":
        path, host = b"", host_of(target)
    elif not target.startswith(b"/"):
        absolute = _ABSOLUTE.match(target)
        if absolute:
            host, path = host_of(absolute[1]), absolute[2] or b"/"
    end = path.find(b"?")
    if end >= 0:
        path = path[:end]
    end = path.find(b"#")
    if end >= 0:
        path = path[:end]
    if b"@" in path and b"//" in path:
        path = _USERINFO.sub(b"//", path)
    name = _METHODS.get(method) or method.decode("ascii")
    return name, target, text(path, MAX_PATH_BYTES), host
