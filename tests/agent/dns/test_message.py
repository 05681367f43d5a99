"""The reader of messages: by the RFCs, and under bytes that follow none."""

from __future__ import annotations

import ipaddress
import struct
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.dns.message import (
    MAX_ANSWERS,
    Message,
    Question,
    Record,
    addresses_of,
    aliases_of,
    parse_message,
)
from agent.dns.names import DnsError
from tests.agent.dns.packets import TYPES, Answer, a, cname, query, response

_LABELS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=12)
_NAMES = st.lists(_LABELS, min_size=1, max_size=6).map(".".join)
_ADDRESSES = st.one_of(
    st.tuples(_NAMES, st.ip_addresses(v=4)).map(lambda it: (it[0], "A", it[1].packed, str(it[1]))),
    st.tuples(_NAMES, st.ip_addresses(v=6)).map(lambda it: (it[0], "AAAA", it[1].packed,
                                                            str(it[1]))),
)  # fmt: skip
_ALIASES = st.tuples(_NAMES, _NAMES).map(lambda it: (it[0], "CNAME", [it[1]], it[1]))


def reason(data: bytes) -> str:
    with pytest.raises(DnsError) as caught:
        parse_message(data)
    return str(caught.value.args[0])


def test_a_query_field_for_field() -> None:
    assert parse_message(query("Shop.EXAMPLE", "HTTPS", 4711, edns=True)) == Message(
        id=4711, is_response=False, opcode=0, authoritative=False, truncated=False,
        authentic=False, rcode=0, question=Question("shop.example", 65, 1), answers=(),
        answer_count=0, edns=True,
    )  # fmt: skip


def test_every_kind_of_answer() -> None:
    port = struct.pack("!HHH", 1, 2, 8443)
    service = struct.pack("!H", 1)
    hints = struct.pack("!HH", 1, 3) + b"\x02h2" + struct.pack("!HH", 4, 4) + bytes(4)
    found = parse_message(response("x.example", "A", 1, [
        a("x.example", 192, 0, 2, 7),
        Answer("x.example", 28, ipaddress.ip_address("2001:db8::9").packed, ttl=1 << 31),
        cname("x.example", "y.example"), Answer("x.example", 2, ["ns.example"]),
        Answer("x.example", 6, ["ns.example", "root.example", bytes(20)]),
        Answer("x.example", 12, ["host.example"]), Answer("x.example", 15, [b"\0\x0a", "mx.test"]),
        Answer("x.example", 16, b"\x06secret"), Answer("x.example", 33, [port, "s.example"]),
        Answer("x.example", 65, [service, "web.example", hints]),
        Answer("x.example", 64, [b"\0\0", "."]), Answer("x.example", 65_280, b"anything"),
    ]))  # fmt: skip
    assert [(one.type_name, one.value) for one in found.answers] == [
        ("A", "192.0.2.7"), ("AAAA", "2001:db8::9"), ("CNAME", "y.example"),
        ("NS", "ns.example"), ("SOA", "ns.example"), ("PTR", "host.example"), ("MX", "mx.test"),
        ("TXT", ""), ("SRV", "s.example:8443"), ("HTTPS", "web.example"), ("SVCB", "."),
        ("TYPE65280", ""),
    ]  # fmt: skip
    assert [one.ttl for one in found.answers[:2]] == [60, 0]
    assert addresses_of(found) == ["192.0.2.7", "2001:db8::9"]


def test_chains_of_aliases_also_when_they_are_a_loop() -> None:
    chain = [cname("a.test", "b.test"), cname("b.test", "c.test"), a("c.test")]
    assert aliases_of(parse_message(response("a.test", answers=chain))) == ["b.test", "c.test"]
    loop = [cname("a.test", "b.test"), cname("b.test", "a.test")]
    assert aliases_of(parse_message(response("a.test", answers=loop))) == ["b.test", "a.test"]


def test_names_with_any_byte_are_written_as_in_a_master_file() -> None:
    found = parse_message(query("a\\046b\\000\\255.\\032x\\092y"))
    assert found.question == Question("a\\046b\\000\\255.\\032x\\092y", 1, 1)
    assert parse_message(query(".")).question == Question(".", 1, 1)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "size"), (bytes(11), "size"), (bytes(65_536), "size"),
        (query()[:-1], "short-record"), (query()[:15], "short-name"),
        (query() + b"\0", "trailing-bytes"),
        (bytes(4) + b"\0\2" + bytes(6) + b"\0\0\1\0\1" * 2, "question-count"),
        (bytes(12), "question-count"),
        (bytes(4) + b"\0\1" + bytes(6) + b"\xc0\x0c\0\1\0\1", "pointer"),
        (bytes(4) + b"\0\1" + bytes(6) + b"\x01a\xc0\x0c\0\1\0\1", "pointer"),
        (bytes(4) + b"\0\1" + bytes(6) + b"\xc0\x00\0\1\0\1", "pointer"),
        (bytes(4) + b"\0\1" + bytes(6) + b"\xc0\xff\0\1\0\1", "pointer"),
        (bytes(4) + b"\0\1" + bytes(6) + b"\x40" + b"a" * 64 + b"\0\0\1\0\1", "label"),
        (query(".".join(["a" * 63] * 4)), "long-name"),
        (response(answers=[Answer("shop.example", 1, b"\1\2\3")]), "address"),
        (response(answers=[Answer("shop.example", 28, bytes(15))]), "address"),
        (response(answers=[Answer("shop.example", 5, ["x.test", b"!"])]), "record-size"),
        (response(answers=[Answer("shop.example", 33, [b"\0\1\0\2\0\3"])]), "record-size"),
        (response(answers=[Answer("shop.example", 65, [b"\0\1", "w.test", b"\0\4\0\0\0\1\0\0"])]),
         "service-parameter"),
        (response(answers=[Answer("shop.example", 65, [b"\0\1", b"\xc0\x0c"])]), "pointer"),
        (response(answers=[Answer("", 41, b"")]), "misplaced-opt"),
    ],
)  # fmt: skip
def test_what_is_no_message(data: bytes, why: str) -> None:
    assert reason(data) == why


def test_options_of_edns_and_the_codes_that_it_extends() -> None:
    head = struct.pack("!HHHHHH", 1, 0x8000 | 1, 0, 0, 0, 1)
    option = b"\0" + struct.pack("!HHIH", 41, 1232, 1 << 24, 0)
    assert parse_message(head + option).rcode_name == "BADKEY"
    twice = head[:10] + b"\0\2" + option * 2
    assert reason(twice) == "opt"
    named = head + b"\1x" + option
    assert reason(named) == "opt"
    cut = head + b"\0" + struct.pack("!HHIH", 41, 1232, 0, 5) + b"\0\1\0\2x"
    assert reason(cut) == "opt"


def test_only_the_first_answers_are_understood_and_all_are_checked() -> None:
    many = [a("shop.example", 10, 0, n >> 8, n & 255) for n in range(MAX_ANSWERS + 100)]
    found = parse_message(response(answers=many))
    assert len(found.answers) == MAX_ANSWERS
    assert found.answer_count == MAX_ANSWERS + 100
    assert reason(response(answers=many)[:-1]) == "short-record"


def test_hostile_compression_takes_no_time() -> None:
    """Names that are a pointer to a pointer to …, as many as a message holds."""
    chain = b"\1x\0"
    data = bytearray(struct.pack("!HHHHHH", 1, 0x8000, 0, MAX_ANSWERS, 5_000, 0))
    first = len(data) + 11
    data += b"\0" + struct.pack("!HHIH", 16, 1, 0, 125 * 2 + len(chain)) + chain
    at = first
    for _ in range(125):
        data += struct.pack("!H", 0xC000 | at)
        at = len(data) - 2
    while len(data) < 65_000:
        data += struct.pack("!H", 0xC000 | at) + struct.pack("!HHIH", 1, 1, 0, 0)
    began = time.process_time()
    with pytest.raises(DnsError):
        parse_message(bytes(data))
    assert time.process_time() - began < 0.5


def _same(value: str) -> str:
    """An address as ``ipaddress`` writes it: ``::ffff:1.2.3.4`` has two forms."""
    return str(ipaddress.ip_address(value)) if ":" in value else value


@given(st.integers(0, 65_535), _NAMES, st.lists(st.one_of(_ADDRESSES, _ALIASES), max_size=12),
       st.booleans(), st.booleans(), st.booleans())  # fmt: skip
def test_what_was_written_is_read(
    number: int, name: str, answers: list[tuple[str, str, bytes | list[bytes | str], str]],
    compress: bool, truncated: bool, edns: bool,  # noqa: FBT001
) -> None:  # fmt: skip
    written = [Answer(owner, TYPES[kind], data) for owner, kind, data, _ in answers]
    data = response(name, "AAAA", number, written, truncated=truncated, edns=edns,
                    compress=compress)  # fmt: skip
    found = parse_message(data)
    assert found.question == Question(name, 28, 1)
    assert [one._replace(value=_same(one.value)) for one in found.answers] == [
        Record(owner, TYPES[kind], 60, value) for owner, kind, _, value in answers
    ]
    assert (found.id, found.truncated, found.edns) == (number, truncated, edns)


@given(st.binary(max_size=400))
@example(query())
@example(response(answers=[cname("shop.example", "x.test"), a("x.test")]))
def test_any_bytes_are_a_message_or_an_error(data: bytes) -> None:
    try:
        found = parse_message(data)
    except DnsError:
        return
    assert found.question is None or len(found.question.name) <= 1_024


@given(st.data())
def test_one_wrong_byte_never_breaks_the_reader(data: st.DataObject) -> None:
    whole = bytearray(response("deep.shop.example", "A", 9, [
        cname("deep.shop.example", "x.shop.example"), a("x.shop.example"),
        Answer("shop.example", 65, [b"\0\1", ".", b"\0\1\0\3\2h2"]),
    ], edns=True))  # fmt: skip
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] = data.draw(st.integers(0, 255))
    try:
        found = parse_message(bytes(whole))
    except DnsError:
        return
    assert found.answer_count >= len(found.answers)
