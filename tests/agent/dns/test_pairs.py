"""Which answer belongs to which query, and what is left."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from agent.capture.source import DnsMessage, Flow
from agent.counters import Counters
from agent.dns import pairs as module
from agent.dns.pairs import TIMEOUT_NS, Lookup, Pairs
from tests.agent.dns.packets import a, query, response
from tests.agent.traffic import client
from wire.events import LookupOutcome as Outcome

S = 1_000_000_000


class Talk:
    """Messages made by hand; time advances a millisecond each."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.done: list[Lookup] = []
        self.pairs = Pairs(self.counters, self.done.append)
        self.now = 100 * S

    def sent(self, data: bytes, **facts: Any) -> None:
        self._feed(Flow.SENT, data, **facts)

    def received(self, data: bytes, **facts: Any) -> None:
        self._feed(Flow.RECEIVED, data, **facts)

    def _feed(
        self, flow: Flow, data: bytes, socket: int = 1, remote: str = "10.0.0.2", port: int = 53,
        missing: int = 0, *, udp: bool = True,
    ) -> None:  # fmt: skip
        self.now += 1_000_000
        facts = client(remote_ip=remote, remote_port=port, tls=False)
        self.pairs.feed(DnsMessage(socket, facts, udp, flow, self.now, len(data) + missing, data))

    def outcomes(self) -> list[tuple[str, str]]:
        return [(one.question.name, one.outcome.value) for one in self.done]


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_a_query_and_its_answer(talk: Talk) -> None:
    talk.sent(query("Shop.example"))
    talk.received(response("shop.EXAMPLE", answers=[a("shop.example")]))
    (found,) = talk.done
    assert (found.question.name, found.outcome, found.attempts) == (
        "shop.example", Outcome.ANSWERED, 1)  # fmt: skip
    assert (found.ended_ns - found.began_ns, found.server) == (1_000_000, False)
    assert (found.sent, found.received) == (30, 58)
    assert talk.counters.counts() == {}
    assert talk.pairs.waiting == 0


def test_both_families_at_once_answered_in_the_other_order(talk: Talk) -> None:
    talk.sent(query(kind="A", number=1))
    talk.sent(query(kind="AAAA", number=2))
    talk.received(response(kind="AAAA", number=2))
    talk.received(response(kind="A", number=1, code="NXDOMAIN"))
    assert [(one.question.type, one.answer.rcode_name if one.answer else "")
            for one in talk.done] == [(28, "NOERROR"), (1, "NXDOMAIN")]  # fmt: skip


def test_what_belongs_to_nobody_is_counted(talk: Talk) -> None:
    talk.sent(query())
    talk.received(response(number=8))
    talk.received(response("other.example"))
    talk.received(response(kind="AAAA"))
    talk.received(response(), socket=2)
    assert talk.done == []
    assert talk.counters.counts() == {"dns.answer-without-query": 4}
    talk.received(response())
    talk.received(response())
    assert talk.outcomes() == [("shop.example", "answered")]
    assert talk.counters.get("dns.answer-without-query") == 5


def test_sent_again_it_is_one_lookup_of_two_attempts(talk: Talk) -> None:
    talk.sent(query())
    talk.sent(query())
    talk.received(response())
    assert [(one.attempts, one.sent) for one in talk.done] == [(2, 2 * len(query()))]


def test_nobody_answers(talk: Talk) -> None:
    talk.sent(query("slow.example"))
    talk.pairs.tick(talk.now + TIMEOUT_NS - 1)
    assert talk.done == []
    talk.pairs.tick(talk.now + TIMEOUT_NS)
    assert talk.outcomes() == [("slow.example", "timeout")]
    assert talk.done[0].answer is None
    talk.received(response("slow.example"))
    assert talk.counters.counts() == {"dns.answer-without-query": 1}


def test_an_answer_that_did_not_fit_and_the_same_over_tcp(talk: Talk) -> None:
    talk.sent(query())
    talk.received(response(truncated=True))
    asked = struct.pack("!H", len(query())) + query()
    answered = struct.pack("!H", len(response())) + response()
    talk.sent(asked, socket=2, udp=False)
    for at in range(0, len(answered), 5):
        talk.received(answered[at : at + 5], socket=2, udp=False)
    assert [(one.outcome, one.udp) for one in talk.done] == [
        (Outcome.TRUNCATED, True), (Outcome.ANSWERED, False)]  # fmt: skip


def test_many_messages_in_one_piece_of_a_stream(talk: Talk) -> None:
    asked = [query(f"n{n}.example", number=n) for n in range(20)]
    answered = [response(f"n{n}.example", number=n) for n in reversed(range(20))]
    for flow, messages in ((talk.sent, asked), (talk.received, answered)):
        flow(b"".join(struct.pack("!H", len(one)) + one for one in messages), udp=False)
    assert talk.outcomes() == [(f"n{n}.example", "answered") for n in reversed(range(20))]


def test_a_stream_that_is_no_dns_or_has_a_hole_is_left(talk: Talk) -> None:
    talk.sent(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 800, udp=False)
    whole = struct.pack("!H", len(query())) + query()
    talk.sent(whole, udp=False)
    talk.sent(whole + whole[:7], socket=2, udp=False, missing=9)
    talk.sent(whole, socket=2, udp=False)
    assert talk.pairs.waiting == 1
    assert talk.counters.get("dns.stream-lost") == 2


def test_a_malformed_answer_ends_the_lookup_and_a_malformed_query_is_counted(talk: Talk) -> None:
    talk.sent(query()[:-1])
    talk.sent(query())
    talk.received(response(answers=[a("shop.example")])[:-1])
    talk.received(b"\0\7")
    assert talk.outcomes() == [("shop.example", "malformed")]
    assert talk.counters.counts() == {"dns.malformed.short-record": 2, "dns.malformed.size": 1}


def test_an_answer_without_its_question_belongs_to_the_only_one(talk: Talk) -> None:
    bare = struct.pack("!HHHHHH", 7, 0x8001, 0, 0, 0, 0)
    talk.sent(query())
    talk.received(bare)
    assert talk.outcomes() == [("shop.example", "answered")]
    talk.sent(query("one.example"))
    talk.sent(query("two.example"))
    talk.received(bare)
    assert len(talk.done) == 1
    assert talk.counters.counts() == {"dns.answer-without-query": 1}


def test_a_server_with_two_clients_that_ask_the_same(talk: Talk) -> None:
    talk.received(query(), remote="10.0.0.8", port=4000)
    talk.received(query(), remote="10.0.0.9", port=4000)
    talk.sent(response(code="REFUSED"), remote="10.0.0.9", port=4000)
    talk.sent(response(), remote="10.0.0.7", port=4000)
    (found,) = talk.done
    assert (found.server, found.peer) == (True, ("10.0.0.9", 4000))
    assert talk.pairs.waiting == 1


def test_other_operations_are_none_of_ours(talk: Talk) -> None:
    update = bytearray(query())
    update[2] |= 5 << 3
    talk.sent(bytes(update))
    assert talk.pairs.waiting == 0
    assert talk.counters.counts() == {"dns.other-opcode": 1}


def test_no_more_wait_than_there_is_room_for(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PENDING", 10)
    for number in range(25):
        talk.sent(query(number=number), socket=number)
    assert talk.pairs.waiting == 10
    assert talk.counters.drops() == {"event.dns-pending": 15}
    talk.received(response(number=0), socket=0)
    talk.received(response(number=24), socket=24)
    assert len(talk.done) == 1


def test_a_socket_that_is_forgotten(talk: Talk) -> None:
    talk.sent(query())
    assert talk.pairs.busy(1)
    talk.pairs.forget(1)
    assert (talk.pairs.busy(1), talk.pairs.waiting) == (False, 0)
    assert talk.counters.counts() == {"dns.unfinished": 1}
