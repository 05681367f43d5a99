"""Queries and their answers, joined by process, socket, id and question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from agent.capture.source import Connection, DnsMessage, Flow
from agent.counters import Counters
from agent.dns.message import Head, Message, Question, head_of, parse_message
from agent.dns.names import DnsError
from agent.dns.stream import Stream
from wire.events import LookupOutcome as Outcome

TIMEOUT_NS: Final = 10_000_000_000
"""Stub resolvers give up after 5 s and servers seldom answer later; a later answer is counted."""
MAX_PENDING: Final = 10_000
"""Queries without an answer, of all processes; beyond, the oldest is given up and counted."""
_QUERY: Final = 0
_SENT: Final = Flow.SENT


class Lookup:
    """One question, and what came of it. Times are monotonic nanoseconds."""

    __slots__ = ("answer", "attempts", "began_ns", "connection", "ended_ns", "id", "outcome",
                 "question", "received", "sent", "server", "socket", "udp")  # fmt: skip

    def __init__(self, message: DnsMessage, question: Question, number: int) -> None:
        self.socket = message.socket
        self.connection: Connection = message.connection
        self.udp = message.udp
        self.server = message.flow != _SENT
        """The process is the resolver: it was asked."""
        self.id = number
        self.question = question
        self.began_ns = message.monotonic_ns
        self.ended_ns = 0
        self.attempts = 0
        self.outcome = Outcome.TIMEOUT
        self.answer: Message | None = None
        self.sent = 0
        self.received = 0

    def count(self, message: DnsMessage, size: int) -> None:
        if message.flow == _SENT:
            self.sent += size
        else:
            self.received += size

    @property
    def peer(self) -> tuple[str, int]:
        return self.connection.remote_ip, self.connection.remote_port


Done = Callable[[Lookup], None]
_Key = tuple[int, int, Question, str, int]


class Pairs:
    """``done`` is called with each lookup that has ended. For one thread."""

    def __init__(self, counters: Counters, done: Done) -> None:
        self._counters = counters
        self._done = done
        self._pending: dict[_Key, Lookup] = {}
        """In the order of their queries."""
        self._by_socket: dict[int, list[_Key]] = {}
        self._streams: dict[int, dict[Flow, Stream]] = {}

    @property
    def waiting(self) -> int:
        return len(self._pending)

    def feed(self, message: DnsMessage) -> None:
        if message.udp:
            self._message(message, message.data)
            return
        stream = self._stream(message)
        lost = stream.lost
        for data in stream.feed(message.data, message.length - len(message.data)):
            if not self._message(message, data):
                stream.lose()
                break
        if stream.lost and not lost:
            self._odd("stream-lost")

    def _stream(self, message: DnsMessage) -> Stream:
        streams = self._streams.setdefault(message.socket, {})
        return streams.setdefault(message.flow, Stream())

    def tick(self, now_ns: int) -> None:
        """About every second: what nobody answered."""
        limit = now_ns - TIMEOUT_NS
        late = []
        for key, lookup in self._pending.items():
            if lookup.began_ns > limit:
                break
            late.append(key)
        for key in late:
            self._finish(key, Outcome.TIMEOUT, now_ns)

    def forget(self, socket: int) -> None:
        """Nothing more is heard of a socket; what it still waits for is dropped and counted."""
        self._streams.pop(socket, None)
        for key in self._by_socket.pop(socket, ()):
            del self._pending[key]
            self._odd("unfinished")

    def busy(self, socket: int) -> bool:
        """It waits for an answer."""
        return socket in self._by_socket

    # -- one message -----------------------------------------------------------------

    def _message(self, message: DnsMessage, data: bytes) -> bool:
        """``False``: these bytes were no DNS message."""
        try:
            parsed = parse_message(data)
        except DnsError as error:
            head = head_of(data)
            if head is not None and head.opcode != _QUERY and head.plausible:
                self._odd("other-opcode")
                return True
            self._malformed(message, head, error.args[0], len(data))
            return False
        if parsed.opcode != _QUERY:
            self._odd("other-opcode")
            return True
        if parsed.is_response:
            self._answer(message, parsed, len(data))
        elif parsed.question is not None:
            self._query(message, parsed.id, parsed.question, len(data))
        return True

    def _query(self, message: DnsMessage, number: int, question: Question, size: int) -> None:
        remote = message.connection
        key = (message.socket, number, question, remote.remote_ip, remote.remote_port)
        lookup = self._pending.get(key)
        if lookup is None:
            if len(self._pending) >= MAX_PENDING:
                self._drop(next(iter(self._pending)))
                self._counters.drop("event", "dns-pending")
            lookup = self._pending[key] = Lookup(message, question, number)
            self._by_socket.setdefault(message.socket, []).append(key)
        lookup.attempts += 1
        lookup.count(message, size)

    def _answer(self, message: DnsMessage, parsed: Message, size: int) -> None:
        key = self._asked(message, parsed.id, parsed.question)
        if key is None:
            self._odd("answer-without-query")
            return
        lookup = self._pending[key]
        lookup.count(message, size)
        lookup.answer = parsed
        outcome = Outcome.TRUNCATED if parsed.truncated else Outcome.ANSWERED
        self._finish(key, outcome, message.monotonic_ns)

    def _malformed(self, message: DnsMessage, head: Head | None, reason: str, size: int) -> None:
        self._odd(f"malformed.{reason}")
        if head is None or not head.is_response:
            return
        key = self._asked(message, head.id, None)
        if key is not None:
            self._pending[key].count(message, size)
            self._finish(key, Outcome.MALFORMED, message.monotonic_ns)

    def _asked(self, message: DnsMessage, number: int, question: Question | None) -> _Key | None:
        """The query that is answered: of this socket, with this id and question.

        Without a question in the answer, or with another peer's address than was asked (an
        unconnected socket whose owner does not ask who sent), only one must fit.
        """
        remote = message.connection
        asked_here = message.flow != _SENT
        if question is not None:
            key = (message.socket, number, question, remote.remote_ip, remote.remote_port)
            known = self._pending.get(key)
            if known is not None and known.server != asked_here:
                return key
        fitting = [
            key
            for key in self._by_socket.get(message.socket, ())
            if key[1] == number
            and question in {None, key[2]}
            and self._pending[key].server != asked_here
            and (asked_here or key[3:] == (remote.remote_ip, remote.remote_port))
        ]
        return fitting[0] if len(fitting) == 1 else None

    # -- ends ------------------------------------------------------------------------

    def _finish(self, key: _Key, outcome: Outcome, now_ns: int) -> None:
        lookup = self._drop(key)
        lookup.outcome = outcome
        lookup.ended_ns = now_ns
        self._done(lookup)

    def _drop(self, key: _Key) -> Lookup:
        lookup = self._pending.pop(key)
        keys = self._by_socket[lookup.socket]
        keys.remove(key)
        if not keys:
            del self._by_socket[lookup.socket]
        return lookup

    def _odd(self, reason: str) -> None:
        self._counters.add(f"dns.{reason}")
