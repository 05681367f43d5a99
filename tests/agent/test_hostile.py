"""Traffic that means harm, or is merely broken: counted, bounded, never an exception."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from agent.http.reader import MAX_HEAD_BYTES
from agent.link.settings import LinkSettings
from tests.agent.test_linking import brief, get, ok
from tests.agent.traffic import ANSWER, ASK, Listener, client
from wire.events import MAX_PATH_BYTES, Outcome, decode_line, encode_line

POST = b"POST /p HTTP/1.1\r\nHost: h\r\n"

MALFORMED = {
    "two lengths": POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "list of lengths": POST + b"Content-Length: 3, 4\r\n\r\nabc",
    "signed length": POST + b"Content-Length: +3\r\n\r\nabc",
    "negative length": POST + b"Content-Length: -3\r\n\r\nabc",
    "hex length": POST + b"Content-Length: 0x3\r\n\r\nabc",
    "endless length": POST + b"Content-Length: " + b"9" * 400 + b"\r\n\r\nabc",
    "blank before colon": POST + b"Content-Length : 3\r\n\r\nabc",
    "coding not chunked last": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\nabc",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\nabc",
    "misspelled chunked": POST + b"Transfer-Encoding: xchunked\r\n\r\nabc",
    "no version": b"GET /p\r\nHost: h\r\n\r\n",
    "strange version": b"GET /p HTTP/9.9\r\nHost: h\r\n\r\n",
    "blank in target": b"GET /p q HTTP/1.1\r\nHost: h\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_broken_requests_are_malformed_and_the_next_one_is_seen(name: str) -> None:
    events = Listener().play(
        [(ASK, MALFORMED[name]), (ANSWER, ok(b"", 400)), (ASK, get("/2")), (ANSWER, ok(b"2"))]
    )
    assert brief(events)[0][1:] == ("/p", 400, "malformed")
    assert brief(events)[1:] == [("GET", "/2", 200, "complete")]


TOLERATED = {
    "bare-lf": b"GET /p HTTP/1.1\nHost: h\n\n",
    "obs-fold": b"GET /p HTTP/1.1\r\nX-A: 1\r\n  2\r\nHost: h\r\n\r\n",
    "nul": b"GET /p HTTP/1.1\r\nX-A: \0\r\nHost: h\r\n\r\n",
    "second-host": b"GET /p HTTP/1.1\r\nHost: h\r\nHost: other\r\n\r\n",
    "header-name": b"GET /p HTTP/1.1\r\nHost: h\r\nb@d\xff: 1\r\n\r\n",
    "length-and-chunked": POST.replace(b"POST", b"GET")
    + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", TOLERATED)
def test_oddities_are_tolerated_and_counted(name: str) -> None:
    listener = Listener()
    events = listener.play([(ASK, TOLERATED[name]), (ANSWER, ok(b"x"))])
    assert brief(events) == [("GET", "/p", 200, "complete")]
    assert events[0].host == "h"
    assert listener.odd(name) == 1


def test_the_coding_overrules_the_length() -> None:
    """RFC 9112, 6.3: who believed the length would see a second request in the body."""
    smuggled = b"2A\r\nGET /smuggled HTTP/1.1\r\nHost: evil\r\nX: \r\n\r\n\r\n0\r\n\r\n"
    request = POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled
    events = Listener().play([(ASK, request), (ANSWER, ok(b""))])
    assert brief(events) == [("POST", "/p", 200, "complete")]


def test_a_head_over_the_limit_is_malformed() -> None:
    listener = Listener()
    listener.ask(b"GET /p HTTP/1.1\r\nHost: h\r\n")
    for _ in range(80):
        listener.ask(b"X-Filler: " + b"f" * 1000 + b"\r\n")
    listener.ask(b"\r\n")
    listener.answer(ok(b"", 431))
    listener.ask(get("/2"))
    listener.answer(ok(b"2"))
    listener.close()
    assert [event[1:] for event in brief(listener.events)] == [
        ("/p", 431, "malformed"), ("/2", 200, "complete")]  # fmt: skip
    assert listener.odd("head-too-large") == 1


def test_a_path_keeps_no_control_bytes_and_stays_within_its_limit() -> None:
    raw = b"/<script>alert(1)</script>\x00\x01\xff\xc3\xa9\x7f'\"" + b"a" * 9_000
    event = Listener().play([(ASK, b"GET " + raw + b" HTTP/1.1\r\n\r\n"), (ANSWER, ok(b""))])[0]
    assert event.path.startswith("/<script>alert(1)</script>%00%01%FF%C3%A9%7F'\"aaa")
    assert len(event.path) == MAX_PATH_BYTES
    assert decode_line(encode_line(event)) == event


def test_hosts_and_agents_are_cut_and_cleaned() -> None:
    request = (
        b"GET / HTTP/1.1\r\nHost: \xff\x00H" + b"o" * 5000 + b":80\r\nUser-Agent: \x1b[31m\r\n\r\n"
    )
    event = Listener().play([(ASK, request), (ANSWER, ok(b""))])[0]
    assert event.host.startswith("%FF%00hooo")
    assert len(event.host) == 1024
    assert event.agent == "%1B[31m"
    assert decode_line(encode_line(event)) == event


def test_garbage_after_a_message_is_one_malformed_event() -> None:
    listener = Listener()
    events = listener.play([(ASK, get("/1") + b"\x00\x01\x02garbage"), (ANSWER, ok(b"1")),
                            (ASK, b"more garbage"), (ASK, b"\xff\xff")])  # fmt: skip
    assert brief(events) == [("GET", "/1", 200, "complete"), ("", "", 0, "malformed")]


@pytest.mark.parametrize(
    "bad",
    [b"\x00\x00\x00", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"HTTP/1.1 099 X\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"],
)  # fmt: skip
def test_broken_responses(bad: bytes) -> None:
    events = Listener().play(
        [(ASK, get("/1")), (ANSWER, ok(b"1")), (ASK, get("/2")), (ANSWER, bad)]
    )
    assert brief(events)[0] == ("GET", "/1", 200, "complete")
    assert events[1].outcome is Outcome.MALFORMED
    assert len(events) == 2


@pytest.mark.parametrize(
    "bad",
    [b"xyz\r\n", b"-5\r\n", b"5\r\nhelloXX\r\n", b"FFFFFFFFFFFFFFFFFF\r\n", b"1;" + b"e" * 9000],
)
def test_broken_chunks_truncate(bad: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    listener = Listener()
    events = listener.play(
        [(ASK, get("/1")), (ANSWER, head + bad), (ASK, get("/2")), (ANSWER, ok(b"2"))]
    )
    assert brief(events) == [("GET", "/1", 200, "truncated"), ("GET", "/2", 200, "complete")]
    assert listener.odd("bad-chunk") == 1


def test_other_protocols_make_no_events() -> None:
    for bytes_ in (b"SSH-2.0-OpenSSH_9.2\r\n", b"\x16\x03\x01\x02\x00\x01", b"EHLO mail\r\n\r\n",
                   b"*1\r\n$4\r\nPING\r\n", b"J\0\0\0\x0a8.0.33\0",
                   b"get key\r\n\r\n"):  # fmt: skip
        listener = Listener()
        assert listener.play([(ASK, bytes_), (ANSWER, bytes_), (ASK, bytes_ * 3)]) == []


def test_a_pipeline_without_end_is_bounded() -> None:
    listener = Listener()
    listener.ask(get("/x") * 1_000)
    assert len(listener.events) == 1_000 - 128
    assert listener.odd("pipeline-too-long") == 1_000 - 128


def test_slow_heads_on_many_connections_stay_within_the_budget() -> None:
    keys = range(1, 400)
    listener = Listener(connections=[client(key) for key in keys], memory_limit=4 * 1024 * 1024)
    gc.collect()
    tracemalloc.start()
    filler = b"X-Filler: " + b"f" * 8_000 + b"\r\n"
    for _ in range(6):
        for key in keys:
            listener.ask(b"GET /slow HTTP/1.1\r\n" + filler if _ == 0 else filler, key=key)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 1024 * 1024
    assert listener.odd("memory") > 0
    listener.linker.shutdown(listener.now)
    assert listener.linker.context.budget.held == 0


def test_bodies_kept_for_objects_are_bounded_each_and_together() -> None:
    keys = range(1, 50)
    settings = LinkSettings(keep_headers=True, keep_bodies=True, body_limit=100_000)
    listener = Listener(connections=[client(key) for key in keys], settings=settings,
                        memory_limit=2 * 1024 * 1024)  # fmt: skip
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 150_000
    held = []
    for key in keys:
        listener.ask(get("/1"), key=key)
        listener.answer(body, key=key)
        held.append(listener.linker.context.budget.held)
    listener.linker.shutdown(listener.now)
    kept = [len(exchange.response_body or b"") for exchange in listener.exchanges]
    assert max(kept) == 100_000
    assert max(held) < 2 * 1024 * 1024
    assert listener.counters.get("connections_given_up") > 0
    assert len(listener.events) == len(keys)
    assert all(exchange.response_body_cut for exchange in listener.exchanges)
    assert listener.linker.context.budget.held == 0


def test_one_byte_at_a_time_is_not_quadratic() -> None:
    listener = Listener()
    request = b"GET / HTTP/1.1\r\nX-Filler: " + b"f" * (MAX_HEAD_BYTES - 100) + b"\r\n\r\n"
    for position in range(len(request)):
        listener.ask(request[position : position + 1])
    listener.answer(ok(b""))
    assert brief(listener.events) == [("GET", "/", 200, "complete")]


def test_more_connections_than_the_limit_give_up_the_oldest() -> None:
    listener = Listener(connections=[client(key) for key in range(1, 40)],
                        settings=LinkSettings(max_connections=16))  # fmt: skip
    for key in range(1, 40):
        listener.ask(get(f"/{key}"), key=key)
    assert listener.linker.open_connections <= 16
    assert len(listener.events) == listener.counters.get("connections_given_up") > 20
    assert [event.path for event in listener.events][:3] == ["/1", "/2", "/3"]
