"""One exchange while it is under way."""

from __future__ import annotations

from typing import Final

from agent.http.headers import HeaderBlock, parse_headers

_EMPTY: Final = parse_headers(b"")
_OVERHEAD: Final = 1_024
"""Of the objects below, roughly; what the shared budget is charged beside the payload."""


class Exchange:
    """A request and what has been seen of its response. Times are monotonic nanoseconds."""

    __slots__ = (
        "answered",
        "asked",
        "broken",
        "cost",
        "cut",
        "done",
        "host",
        "method",
        "path",
        "request_began",
        "request_body",
        "request_body_cut",
        "request_head",
        "request_headers",
        "request_size",
        "response_began",
        "response_body",
        "response_body_cut",
        "response_ended",
        "response_head",
        "response_headers",
        "response_size",
        "status",
        "target",
        "whole",
    )

    def __init__(self) -> None:
        self.method = ""
        self.path = ""
        self.host = ""
        self.target = b""
        self.request_began = 0
        self.request_headers: HeaderBlock = _EMPTY
        self.request_size = 0
        self.asked = False
        """The request is over."""
        self.status = 0
        self.response_began = 0
        self.response_ended = 0
        self.response_headers: HeaderBlock = _EMPTY
        self.response_size = 0
        """Interim responses included."""
        self.answered = False
        """The response is over."""
        self.whole = False
        """It ended as its framing promised."""
        self.broken = False
        self.cut = False
        self.done = False
        """It was emitted: whatever still comes of it is ignored."""
        self.cost = _OVERHEAD
        """Bytes charged to the shared budget."""
        self.request_head = b""
        self.response_head = b""
        self.request_body: bytearray | None = None
        self.response_body: bytearray | None = None
        self.request_body_cut = False
        self.response_body_cut = False
