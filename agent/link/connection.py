"""One connection: its two readers, and the exchanges between them in order.

HTTP/1.1 answers in the order of the requests, so the oldest request without a complete
response owns the next response.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from agent.capture.source import Flow
from agent.http.framing import LOST, STOP, Framing, request_framing, response_framing
from agent.http.headers import HeaderBlock, parse_headers
from agent.http.reader import Reader
from agent.http.startline import (
    HTTP2_PREFACE,
    begins_request,
    begins_response,
    guess_request_line,
    may_begin_request,
    may_begin_response,
    parse_request_line,
    parse_status_line,
)
from agent.link.exchange import Exchange
from agent.link.settings import UNKNOWN
from wire.events import RequestEvent

if TYPE_CHECKING:
    from agent.link.context import LinkContext

MAX_PIPELINED: Final = 128
"""Requests waiting for an answer on one connection; beyond, the oldest is given up."""

REORDERED_NS: Final = 10_000_000
"""A response seen this little before its request belongs to it: a program that reads in
one thread and writes in another can end the two calls in either order."""

_FIRST_FINAL: Final = 200
_SWITCHING: Final = 101
_FIRST_REFUSAL: Final = 400


class ConnectionLink:
    """``context`` is told of each finished exchange through ``finish(link, exchange)``."""

    __slots__ = ("about", "answering", "asking", "asking_flow", "context", "early", "host", "key",
                 "last_ns", "pending", "received", "requests", "responses", "seen", "sent",
                 "template")  # fmt: skip

    def __init__(
        self, key: int, context: LinkContext, template: RequestEvent, asking_flow: Flow
    ) -> None:
        self.key = key
        self.about = UNKNOWN
        self.host = ""
        """Whom the last request was for."""
        self.sent = 0
        self.received = 0
        self.asking_flow = asking_flow
        """The flow that carries the requests."""
        self.context = context
        self.template = template
        self.pending: deque[Exchange] = deque()
        """Requests without a complete response, oldest first."""
        self.asking: Exchange | None = None
        self.answering: Exchange | None = None
        self.early: Exchange | None = None
        """A response whose request was not seen, or not yet."""
        self.last_ns = 0
        """Of the last chunk, by its own clock."""
        self.seen = 0
        """When it arrived."""
        self.requests = Reader(RequestSide(self), context.budget)
        self.responses = Reader(ResponseSide(self), context.budget)

    def close(self, now: int) -> None:
        """The connection is gone: what is unfinished will stay so."""
        self.requests.close(now)
        self.responses.close(now)
        self.flush(now)
        if self.early is not None:
            self.context.discard(self.early)
            self.early = None

    def flush(self, now: int) -> None:
        """Give up waiting; the readers go on, so that later exchanges are still seen."""
        if self.answering is not None and not self.answering.answered:
            self.answering.response_size += self.responses.size
            self.answering.response_ended = now
        if self.asking is not None and not self.asking.asked:
            self.asking.request_size = self.requests.size
            if self.asking not in self.pending:
                self.context.finish(self, self.asking)
        while self.pending:
            self.context.finish(self, self.pending.popleft())

    def upgrade(self) -> None:
        """Something else than HTTP/1.1 is spoken from here on."""
        self.requests.stop()
        self.responses.stop()

    # -- what the two sides tell ---------------------------------------------------

    def ask(self, exchange: Exchange) -> None:
        """A request began."""
        self.asking = exchange
        if not exchange.answered:
            self.pending.append(exchange)
            if len(self.pending) > MAX_PIPELINED:
                self.context.odd("pipeline-too-long")
                self.context.finish(self, self.pending.popleft())

    def claim_early(self, began: int) -> Exchange | None:
        """The response that was seen just before its request, if there is one."""
        early, self.early = self.early, None
        if early is None:
            return None
        if began - early.response_began <= REORDERED_NS:
            return early
        self.context.discard(early)
        if self.answering is early:
            self.answering = None
            if self.responses.body_untouched:
                # It may have answered a HEAD that nobody saw: its length promised nothing.
                self.responses.reset()
        return None

    def close_answer(self, exchange: Exchange) -> None:
        """Its response is over."""
        exchange.answered = True
        if self.pending and self.pending[0] is exchange:
            self.pending.popleft()
        if exchange.asked:
            self.context.finish(self, exchange)


class RequestSide:
    """``Handler`` of the direction in which requests go."""

    __slots__ = ("link",)

    def __init__(self, link: ConnectionLink) -> None:
        self.link = link

    def plausible(self, data: bytes, position: int, *, strict: bool) -> bool:
        return may_begin_request(data, position, strict=strict)

    def begins(self, data: bytes) -> bool:
        return begins_request(data)

    def head(self, head: bytes, began_ns: int) -> tuple[Framing, int]:
        if head == HTTP2_PREFACE:
            self.link.context.odd("http2")
            self.link.upgrade()
            return STOP, 0
        end = head.find(b"\n")
        line = parse_request_line(head[:end])
        headers = parse_headers(head[end + 1 :])
        exchange = self._exchange(began_ns, headers)
        if line is None:
            exchange.broken = True
            line = guess_request_line(head[:end])
            self.odd("request-line")
        exchange.method, exchange.target, exchange.path, exchange.host = line
        if not exchange.host:
            exchange.host = headers.host
        self.link.host = exchange.host
        framing, length = request_framing(headers)
        if framing == LOST and not exchange.broken:
            exchange.broken = True
            self.odd(headers.error or "transfer-encoding")
        self.link.context.keep_request(exchange, head, self.link.about)
        self.link.requests.keep = exchange.request_body is not None
        self.link.ask(exchange)
        if exchange.broken:
            exchange.request_size = len(head)
            exchange.asked = True
            self._settle(exchange)
            return LOST, 0
        return framing, length

    def _exchange(self, began_ns: int, headers: HeaderBlock) -> Exchange:
        exchange = None
        if self.link.early is not None:
            exchange = self.link.claim_early(began_ns)
        if exchange is None:
            exchange = Exchange()
        exchange.request_began = began_ns
        exchange.request_headers = headers
        if headers.oddities:
            for oddity in headers.oddities:
                self.odd(oddity)
        return exchange

    def body(self, data: bytes) -> None:
        if self.link.asking is not None:
            self.link.context.keep_request_body(self.link.asking, data)

    def end(self, now_ns: int, size: int, *, whole: bool, cut: bool) -> None:
        del now_ns
        exchange = self.link.asking
        if exchange is None:
            return
        exchange.request_size = size
        exchange.asked = True
        exchange.request_body_cut |= cut or not whole
        self._settle(exchange)

    def _settle(self, exchange: Exchange) -> None:
        self.link.asking = None
        if exchange.answered:
            self.link.context.finish(self.link, exchange)

    def broken(self, reason: str, head: bytes, began_ns: int) -> None:
        self.odd(reason)
        exchange = Exchange()
        exchange.request_began = began_ns
        exchange.broken = True
        exchange.asked = True
        exchange.request_size = len(head)
        line = guess_request_line(head[: head.find(b"\n") + 1].rstrip(b"\r\n"))
        exchange.method, exchange.target, exchange.path, exchange.host = line
        self.link.context.keep_request(exchange, b"", self.link.about)
        self.link.ask(exchange)
        self.link.asking = None

    def odd(self, reason: str) -> None:
        self.link.context.odd(reason)

    def found(self) -> None:
        """Requests may have passed unseen, so older ones cannot claim the next response."""
        link = self.link
        while link.pending and link.pending[0] is not link.answering:
            link.context.finish(link, link.pending.popleft())


class ResponseSide:
    """``Handler`` of the direction in which responses come."""

    __slots__ = ("_status", "link")

    def __init__(self, link: ConnectionLink) -> None:
        self.link = link
        self._status = 0

    def plausible(self, data: bytes, position: int, *, strict: bool) -> bool:
        del strict
        return may_begin_response(data, position)

    def begins(self, data: bytes) -> bool:
        return begins_response(data)

    def head(self, head: bytes, began_ns: int) -> tuple[Framing, int]:
        link = self.link
        end = head.find(b"\n")
        status = self._status = parse_status_line(head[:end])
        headers = parse_headers(head[end + 1 :])
        exchange = link.answering = self._exchange(began_ns)
        if headers.oddities:
            self._note(headers.oddities)
        if not status:
            self._malformed(exchange, "status-line", began_ns)
            return LOST, 0
        framing, length = response_framing(headers, status, exchange.method)
        if status >= _FIRST_FINAL or status == _SWITCHING:
            exchange.status = status
            exchange.response_headers = headers
            link.context.keep_response(exchange, head)
            link.responses.keep = exchange.response_body is not None
        if framing == LOST:
            self._malformed(exchange, headers.error, began_ns)
        elif framing == STOP:
            self._upgraded(exchange, len(head), began_ns)
        return framing, length

    def _exchange(self, began_ns: int) -> Exchange:
        """The exchange that this response belongs to."""
        link = self.link
        if link.pending:
            return link.pending[0]
        if link.early is not None and link.early.answered:
            link.context.discard(link.early)
            link.early = None
        if link.early is None:
            link.early = Exchange()
            link.early.response_began = began_ns
        return link.early

    def _note(self, oddities: tuple[str, ...]) -> None:
        for oddity in oddities:
            self.odd(oddity)

    def _malformed(self, exchange: Exchange, reason: str, now_ns: int) -> None:
        self.odd(reason)
        exchange.broken = True
        exchange.response_ended = now_ns
        self.link.close_answer(exchange)
        self.link.answering = None

    def _upgraded(self, exchange: Exchange, size: int, now_ns: int) -> None:
        exchange.whole = True
        exchange.asked = True
        exchange.response_size += size
        exchange.response_ended = now_ns
        self.link.asking = None
        self.link.close_answer(exchange)
        self.link.answering = None
        self.link.requests.stop()

    def body(self, data: bytes) -> None:
        if self.link.answering is not None:
            self.link.context.keep_response_body(self.link.answering, data)

    def end(self, now_ns: int, size: int, *, whole: bool, cut: bool) -> None:
        exchange = self.link.answering
        if exchange is None:
            return
        exchange.response_size += size
        self.link.answering = None
        if self._status < _FIRST_FINAL:
            return
        exchange.whole = whole
        exchange.response_body_cut |= cut or not whole
        exchange.response_ended = now_ns
        self.link.close_answer(exchange)
        self._doubt_body(exchange)

    def _doubt_body(self, exchange: Exchange) -> None:
        """A client that asked with ``Expect`` and was told no may not send its body."""
        if (
            exchange is self.link.asking
            and exchange.request_headers.expects_continue
            and exchange.status >= _FIRST_REFUSAL
        ):
            self.link.requests.doubt()

    def broken(self, reason: str, head: bytes, began_ns: int) -> None:
        del head
        if self.link.pending:
            self._malformed(self.link.pending[0], reason, began_ns)
        else:
            self.odd(reason)

    def odd(self, reason: str) -> None:
        self.link.context.odd(reason)

    def found(self) -> None:
        """Responses may have passed unseen: the next one answers the newest request."""
        link = self.link
        while len(link.pending) > 1:
            link.context.finish(link, link.pending.popleft())
