"""DNS messages by the letter of RFC 1035, written apart from the reader that they test."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28,
         "SRV": 33, "OPT": 41, "SVCB": 64, "HTTPS": 65}  # fmt: skip
CODES = {"NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "REFUSED": 5}


class Answer(NamedTuple):
    """``data`` is bytes, or a list of bytes and names (texts) in their order."""

    name: str
    type: int
    data: bytes | list[bytes | str]
    ttl: int = 60


class Writer:
    """``compress``: a name that ends like a former one points to it, wherever it may."""

    def __init__(self, *, compress: bool = True) -> None:
        self.out = bytearray()
        self._compress = compress
        self._at: dict[tuple[bytes, ...], int] = {}

    def name(self, text: str, *, compress: bool = True) -> None:
        labels = tuple(labels_of(text))
        while labels:
            known = self._at.get(labels)
            if known is not None and self._compress and compress:
                self.out += struct.pack("!H", 0xC000 | known)
                return
            if len(self.out) < 0x4000:
                self._at.setdefault(labels, len(self.out))
            self.out += bytes([len(labels[0])]) + labels[0]
            labels = labels[1:]
        self.out += b"\0"

    def record(self, answer: Answer) -> None:
        self.name(answer.name)
        self.out += struct.pack("!HHIH", answer.type, 1, answer.ttl, 0)
        begin = len(self.out)
        parts = [answer.data] if isinstance(answer.data, bytes) else answer.data
        for part in parts:
            if isinstance(part, bytes):
                self.out += part
            else:
                self.name(part, compress=answer.type not in {33, 64, 65})
        self.out[begin - 2 : begin] = struct.pack("!H", len(self.out) - begin)


def labels_of(text: str) -> list[bytes]:
    """``\\ddd`` is a byte; no other escape is known here."""
    if text in {"", "."}:
        return []
    found = []
    for label in text.split("."):
        parts = label.split("\\")
        raw = parts[0].encode("latin-1")
        for part in parts[1:]:
            raw += bytes([int(part[:3])]) + part[3:].encode("latin-1")
        found.append(raw)
    return found


def query(
    name: str = "shop.example", kind: str | int = "A", number: int = 7, *, edns: bool = False
) -> bytes:
    return message(name, kind, number, flags=0x0100, edns=edns)


def response(
    name: str = "shop.example",
    kind: str | int = "A",
    number: int = 7,
    answers: Iterable[Answer] = (),
    *,
    code: str = "NOERROR",
    truncated: bool = False,
    edns: bool = False,
    compress: bool = True,
) -> bytes:
    flags = 0x8180 | CODES[code] | (0x0200 if truncated else 0)
    return message(name, kind, number, answers, flags=flags, edns=edns, compress=compress)


def message(
    name: str,
    kind: str | int,
    number: int,
    answers: Iterable[Answer] = (),
    *,
    flags: int,
    edns: bool = False,
    compress: bool = True,
) -> bytes:
    answers = list(answers)
    writer = Writer(compress=compress)
    writer.out += struct.pack("!HHHHHH", number, flags, 1, len(answers), 0, int(edns))
    writer.name(name)
    writer.out += struct.pack("!HH", TYPES.get(str(kind)) or int(kind), 1)
    for answer in answers:
        writer.record(answer)
    if edns:
        writer.out += b"\0" + struct.pack("!HHIH", TYPES["OPT"], 1232, 0, 8)
        writer.out += struct.pack("!HH", 10, 4) + b"cook"
    return bytes(writer.out)


def a(name: str, *bytes_: int) -> Answer:
    return Answer(name, TYPES["A"], bytes(bytes_ or (10, 1, 2, 3)))


def cname(name: str, target: str) -> Answer:
    return Answer(name, TYPES["CNAME"], [target])
