"""One DNS message, strictly (RFC 1035, 2782, 3596, 6891, 9460).

What a malformed message costs is bounded: at most 65,535 bytes, each read a constant number
of times. Of the answers the first ``MAX_ANSWERS`` are understood; the frame of every other
record is checked.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Final, NamedTuple

from agent.dns.names import HEADER_SIZE, DnsError, Names
from agent.dns.types import CNAME, IN, OPT, ROOT, rcode_name, type_name
from agent.dns.values import value_of

MAX_ANSWERS: Final = 64
MAX_SIZE: Final = 65_535
_HEADER: Final = struct.Struct("!HHHHHH")
_QUESTION: Final = struct.Struct("!HH")
_RECORD: Final = struct.Struct("!HHIH")
_SMALLEST: Final = 5
"""Bytes of a question about the root; nothing that is counted is smaller."""
_RESPONSE, _AUTHORITATIVE, _TRUNCATED, _AUTHENTIC = 0x8000, 0x0400, 0x0200, 0x0020


class Question(NamedTuple):
    name: str
    """Lower case, without a final dot."""
    type: int
    class_: int


class Record(NamedTuple):
    """One answer. ``value`` is an address or a name; empty for what is not told (``TXT``)."""

    name: str
    type: int
    ttl: int
    """Seconds."""
    value: str

    @property
    def type_name(self) -> str:
        return type_name(self.type)


class Message(NamedTuple):
    id: int
    is_response: bool
    opcode: int
    authoritative: bool
    truncated: bool
    authentic: bool
    """The resolver says that it has validated the answer (AD)."""
    rcode: int
    """With the upper bits that EDNS brings."""
    question: Question | None
    """``None``: a response that does not repeat it."""
    answers: tuple[Record, ...]
    answer_count: int
    edns: bool

    @property
    def rcode_name(self) -> str:
        return rcode_name(self.rcode)


def parse_message(data: bytes) -> Message:
    """Raises ``DnsError``."""
    if not HEADER_SIZE <= len(data) <= MAX_SIZE:
        raise DnsError("size")
    number, flags, questions, answers, authorities, additional = _HEADER.unpack_from(data)
    response = bool(flags & _RESPONSE)
    if questions > 1 or (not response and questions == 0):
        raise DnsError("question-count")
    reader = _Reader(data)
    question = reader.question() if questions else None
    found = [reader.answer() for _ in range(min(answers, MAX_ANSWERS))]
    for _ in range(answers - len(found) + authorities):
        reader.skip()
    extended = reader.additional(additional)
    if reader.at != len(data):
        raise DnsError("trailing-bytes")
    return Message(
        id=number,
        is_response=response,
        opcode=flags >> 11 & 15,
        authoritative=bool(flags & _AUTHORITATIVE),
        truncated=bool(flags & _TRUNCATED),
        authentic=bool(flags & _AUTHENTIC),
        rcode=flags & 15 | (extended or 0) << 4,
        question=question,
        answers=tuple(found),
        answer_count=answers,
        edns=extended is not None,
    )


class Head(NamedTuple):
    id: int
    is_response: bool
    opcode: int
    plausible: bool
    """The rest is long enough for as much as the header counts."""


def head_of(data: bytes) -> Head | None:
    """Of bytes that may be malformed behind the header; ``None``: they are too few."""
    if len(data) < HEADER_SIZE:
        return None
    number, flags, *counts = _HEADER.unpack_from(data)
    plausible = sum(counts) * _SMALLEST <= len(data) - HEADER_SIZE
    return Head(number, bool(flags & _RESPONSE), flags >> 11 & 15, plausible)


def addresses_of(message: Message) -> list[str]:
    """IPv4 and IPv6 addresses among the answers, in their order."""
    return [record.value for record in message.answers if record.type_name in {"A", "AAAA"}]


def aliases_of(message: Message) -> list[str]:
    """Names that the question's name stands for, along the chain of ``CNAME`` records."""
    links = {record.name: record.value for record in message.answers if record.type == CNAME}
    chain: list[str] = []
    name = message.question.name if message.question else ""
    while name in links:
        name = links.pop(name)
        chain.append(name)
    return chain


class _Reader:
    """From the question on, in order."""

    def __init__(self, data: bytes) -> None:
        self.at = HEADER_SIZE
        self._data = data
        self._names = Names(data)

    def question(self) -> Question:
        name, at = self._names.read(self.at)
        kind, class_ = self._unpack(_QUESTION, at)
        self.at = at + _QUESTION.size
        return Question(name, kind, class_)

    def answer(self) -> Record:
        name, at = self._names.read(self.at)
        kind, class_, ttl, size = self._unpack(_RECORD, at)
        if kind == OPT:
            raise DnsError("misplaced-opt")
        begin = at + _RECORD.size
        self.at = self._behind(begin, size)
        value = value_of(self._data, self._names, kind, begin, self.at) if class_ == IN else ""
        # RFC 2181, 8: the highest bit means zero.
        return Record(name, kind, ttl if ttl < 1 << 31 else 0, value)

    def skip(self) -> tuple[int, int, int]:
        """Type, TTL field and size of the next record."""
        at = self._names.skip(self.at)
        kind, _, ttl, size = self._unpack(_RECORD, at)
        self.at = self._behind(at + _RECORD.size, size)
        return kind, ttl, size

    def additional(self, count: int) -> int | None:
        """The upper bits of the response code that ``OPT`` brings; ``None``: there is none."""
        extended = None
        for _ in range(count):
            begin = self.at
            kind, ttl, size = self.skip()
            if kind != OPT:
                continue
            if extended is not None or self._data[begin] != ROOT:
                raise DnsError("opt")
            self._options(self.at - size)
            extended = ttl >> 24
        return extended

    def _options(self, at: int) -> None:
        while at < self.at:
            _, size = self._unpack(_QUESTION, at)
            at += _QUESTION.size + size
        if at != self.at:
            raise DnsError("opt")

    def _unpack(self, form: struct.Struct, at: int) -> tuple[int, ...]:
        try:
            return form.unpack_from(self._data, at)
        except struct.error:
            raise DnsError("short-record") from None

    def _behind(self, begin: int, size: int) -> int:
        if begin + size > len(self._data):
            raise DnsError("short-record")
        return begin + size


def resolver_text(address: str, port: int) -> str:
    """``10.0.0.2:53``, ``[2001:db8::1]:53``."""
    try:
        six = ipaddress.ip_address(address).version == 6
    except ValueError:
        six = False
    return f"[{address}]:{port}" if six else f"{address}:{port}"
