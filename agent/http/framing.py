"""How a message's body is framed (RFC 9112, section 6), and who is told of messages."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Protocol

from agent.http.headers import NO_LENGTH, HeaderBlock

_NO_CONTENT: Final = 204
_NOT_MODIFIED: Final = 304
_SWITCHING: Final = 101
_FIRST_FINAL: Final = 200
_FIRST_REDIRECT: Final = 300


class Framing(IntEnum):
    NONE = 0
    LENGTH = 1
    CHUNKED = 2
    UNTIL_CLOSE = 3
    STOP = 4
    """What follows is not HTTP/1.1: the connection was upgraded."""
    LOST = 5
    """It cannot be known."""


class Handler(Protocol):
    """Who a ``Reader`` tells. Times are ``CLOCK_MONOTONIC`` nanoseconds."""

    def plausible(self, data: bytes, position: int, *, strict: bool) -> bool:
        """Whether a message of this direction can begin so, however few bytes are here.

        ``strict``: nothing was ever understood of this connection; doubt is a no.
        """
        ...

    def begins(self, data: bytes) -> bool:
        """Whether a call's bytes surely begin a message of this direction."""
        ...

    def head(self, head: bytes, began_ns: int) -> tuple[Framing, int]:
        """A whole head, blank line included: how its body is framed, and its length."""
        ...

    def body(self, data: bytes) -> None:
        """Bytes of the body, decoded from chunks. Only called while ``Reader.keep``."""
        ...

    def end(self, now_ns: int, size: int, *, whole: bool, cut: bool) -> None:
        """The message is over; ``size`` is all its bytes on the wire.

        ``whole``: it ended as its framing promised. ``cut``: bytes of it were missing.
        """
        ...

    def broken(self, reason: str, head: bytes, began_ns: int) -> None:
        """Not HTTP where a message should have been; ``head``: what there was of it."""
        ...

    def odd(self, reason: str) -> None:
        """Something to count."""
        ...

    def found(self) -> None:
        """The way back after the reader was lost: messages may have passed unseen."""
        ...


# Members as module names: looking one up on its class costs more than the rest of a call.
NONE: Final = Framing.NONE
LENGTH: Final = Framing.LENGTH
CHUNKED: Final = Framing.CHUNKED
UNTIL_CLOSE: Final = Framing.UNTIL_CLOSE
STOP: Final = Framing.STOP
LOST: Final = Framing.LOST


def request_framing(headers: HeaderBlock) -> tuple[Framing, int]:
    """``Transfer-Encoding`` overrides ``Content-Length``, as the RFC has it."""
    if headers.error or (headers.coded and not headers.chunked):
        return LOST, 0
    if headers.chunked:
        return CHUNKED, 0
    if headers.content_length > 0:
        return LENGTH, headers.content_length
    return NONE, 0


def response_framing(headers: HeaderBlock, status: int, method: str) -> tuple[Framing, int]:
    """``method``: of the request that is answered; empty when it was not seen."""
    tunnel = method == "CONNECT" and _FIRST_FINAL <= status < _FIRST_REDIRECT
    if tunnel or status == _SWITCHING:
        return STOP, 0
    if method == "HEAD" or status < _FIRST_FINAL or status in {_NO_CONTENT, _NOT_MODIFIED}:
        return NONE, 0
    if headers.error:
        return LOST, 0
    if headers.chunked:
        return CHUNKED, 0
    if headers.coded or headers.content_length == NO_LENGTH:
        return UNTIL_CLOSE, 0
    return LENGTH if headers.content_length else NONE, headers.content_length
