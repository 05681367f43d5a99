"""One exchange while it is under way."""

from __future__ import annotations

from typing import Final

from agent.http.headers import HeaderBlock, parse_headers
from agent.link.settings import UNKNOWN, About, Plan

OVERHEAD: Final = 1_024
"""Of the objects below, roughly; what the shared budget is charged beside the payload."""

_EMPTY: Final = parse_headers(b"")


class Exchange:
    """A request and what has been seen of its response. Times are monotonic nanoseconds.

    Defaults live on the class: most exchanges never set half of these.
    """

    method: str = ""
    path: str = ""
    host: str = ""
    target: bytes = b""
    """As sent, query included: payload; kept only for an object."""
    request_began: int = 0
    request_headers: HeaderBlock = _EMPTY
    request_size: int = 0
    asked: bool = False
    """The request is over."""
    status: int = 0
    response_began: int = 0
    response_ended: int = 0
    response_headers: HeaderBlock = _EMPTY
    response_size: int = 0
    """Interim responses included."""
    answered: bool = False
    """The response is over."""
    whole: bool = False
    """It ended as its framing promised."""
    broken: bool = False
    done: bool = False
    """It was emitted: whatever still comes of it is ignored."""
    cost: int = 0
    """Bytes charged to the shared budget."""
    plan: Plan | None = None
    """What is to be done with it; from its beginning on the same."""
    about: About = UNKNOWN
    request_head: bytes = b""
    response_head: bytes = b""
    request_body: bytearray | None = None
    response_body: bytearray | None = None
    request_body_cut: bool = False
    response_body_cut: bool = False
