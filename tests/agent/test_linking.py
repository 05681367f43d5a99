"""What the agent makes of traffic, case by case."""

from __future__ import annotations

import hashlib

import pytest

from agent.capture.source import Chunk, Flow, Kind, Role
from agent.link.settings import LinkSettings
from tests.agent.traffic import ANSWER, ASK, MS, Listener, Part, client, server
from wire.events import Direction, Outcome, RequestEvent

GET = b"GET /a?q=1 HTTP/1.1\r\nHost: Example.COM:8443\r\nUser-Agent: test\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: Text/HTML; charset=x\r\nContent-Length: 5\r\n\r\nhello"


def brief(events: list[RequestEvent]) -> list[tuple[str, str, int, str]]:
    return [(event.method, event.path, event.status, event.outcome.value) for event in events]


def play(*parts: Part) -> list[tuple[str, str, int, str]]:
    return brief(Listener().play(parts))


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


def ok(body: bytes, status: int = 200) -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def test_one_exchange_in_every_field() -> None:
    listener = Listener()
    listener.play([(ASK, GET), (ANSWER, OK)])
    (event,) = listener.events
    assert (event.scheme, event.method, event.host, event.path) == (
        "https", "GET", "example.com", "/a")  # fmt: skip
    assert (event.status, event.content_type, event.agent) == (200, "text/html", "test")
    assert event.duration_us == MS // 1000
    assert (event.bytes_sent, event.bytes_received) == (len(GET), len(OK))
    assert (event.source_ip, event.source_port) == ("10.0.0.1", 40_000)
    assert (event.destination_ip, event.destination_port) == ("93.184.216.34", 443)
    assert (event.exe, event.user, event.user_id, event.process_id) == (
        "/usr/bin/curl", "ana", 1000, 4242)  # fmt: skip
    assert event.outcome is Outcome.COMPLETE
    assert event.timestamp.tzinfo is not None
    assert event.object_digest == ""
    assert not event.replayed


def test_both_ends_on_one_node_are_two_events() -> None:
    listener = Listener(connections=[client(1, remote_ip="127.0.0.1"), server(2)])
    listener.ask(GET, key=1)
    listener.ask(GET, key=2)
    listener.answer(OK, key=2)
    listener.answer(OK, key=1)
    listener.linker.shutdown(listener.now)
    assert [event.direction for event in listener.events] == [
        Direction.INGRESS, Direction.EGRESS_INTERNAL]  # fmt: skip
    ingress, egress = listener.events
    assert (ingress.bytes_received, ingress.bytes_sent) == (len(GET), len(OK))
    assert (egress.bytes_sent, egress.bytes_received) == (len(GET), len(OK))
    assert ingress.source_ip == "93.184.216.34"
    assert ingress.destination_ip == "10.0.0.1"


@pytest.mark.parametrize(
    ("address", "direction"),
    [
        ("10.1.2.3", Direction.EGRESS_INTERNAL),
        ("192.168.0.9", Direction.EGRESS_INTERNAL),
        ("127.0.0.1", Direction.EGRESS_INTERNAL),
        ("::1", Direction.EGRESS_INTERNAL),
        ("fe80::1%eth0", Direction.EGRESS_INTERNAL),
        ("8.8.8.8", Direction.EGRESS_EXTERNAL),
        ("2606:4700::1111", Direction.EGRESS_EXTERNAL),
        ("not an address", Direction.EGRESS_EXTERNAL),
    ],
)
def test_direction_by_address(address: str, direction: Direction) -> None:
    listener = Listener(connections=[client(remote_ip=address)])
    assert listener.play([(ASK, GET), (ANSWER, OK)])[0].direction is direction


def test_keep_alive_and_pipelining_answer_in_order() -> None:
    assert play(
        (ASK, get("/1") + get("/2") + get("/3")),
        (ANSWER, ok(b"a", 201) + ok(b"bb", 202)[:10]),
        (ANSWER, ok(b"bb", 202)[10:] + ok(b"", 203)),
        (ASK, get("/4")),
        (ANSWER, ok(b"d", 204)[:-1]),
    ) == [
        ("GET", "/1", 201, "complete"),
        ("GET", "/2", 202, "complete"),
        ("GET", "/3", 203, "complete"),
        ("GET", "/4", 204, "complete"),
    ]


def test_chunked_both_ways_with_extensions_and_trailers() -> None:
    post = (b"POST /up HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
            b"3;name=value\r\nabc\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n")  # fmt: skip
    answer = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
              b"5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n")  # fmt: skip
    listener = Listener()
    events = listener.play([(ASK, post + get("/next")), (ANSWER, answer + ok(b"x"))])
    assert brief(events) == [("POST", "/up", 200, "complete"), ("GET", "/next", 200, "complete")]
    assert (events[0].bytes_sent, events[0].bytes_received) == (len(post), len(answer))


def test_a_response_without_length_ends_with_the_connection() -> None:
    listener = Listener()
    listener.ask(get("/"))
    listener.answer(b"HTTP/1.1 200 OK\r\n\r\nabc")
    listener.answer(b"HTTP/1.1 999 is body, not a message\r\n\r\n")
    assert listener.events == []
    listener.close()
    assert brief(listener.events) == [("GET", "/", 200, "complete")]
    assert listener.source.forgotten == [1]


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(status: int) -> None:
    first = f"HTTP/1.1 {status} X\r\nContent-Length: 100\r\n\r\n".encode()
    assert play((ASK, get("/1") + get("/2")), (ANSWER, first + ok(b"z"))) == [
        ("GET", "/1", status, "complete"), ("GET", "/2", 200, "complete")]  # fmt: skip


def test_head_has_no_body_whatever_its_length() -> None:
    head = b"HEAD /1 HTTP/1.1\r\nHost: h\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
    assert play((ASK, head + get("/2")), (ANSWER, answer + ok(b"z"))) == [
        ("HEAD", "/1", 200, "complete"), ("GET", "/2", 200, "complete")]  # fmt: skip


def test_interim_responses_do_not_answer() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    listener = Listener()
    events = listener.play([(ASK, get("/")), (ANSWER, interim), (ANSWER, interim + ok(b"z"))])
    assert brief(events) == [("GET", "/", 200, "complete")]
    assert events[0].bytes_received == 2 * len(interim) + len(ok(b"z"))


EXPECT = b"POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"


def test_expectation_met() -> None:
    continued = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert play((ASK, EXPECT), (ANSWER, continued), (ASK, b"abc"), (ANSWER, ok(b"")),
                (ASK, get("/2")), (ANSWER, ok(b""))) == [
        ("POST", "/up", 200, "complete"), ("GET", "/2", 200, "complete")]  # fmt: skip


def test_expectation_refused_and_the_body_not_sent() -> None:
    assert play((ASK, EXPECT), (ANSWER, ok(b"", 413)), (ASK, get("/2")), (ANSWER, ok(b""))) == [
        ("POST", "/up", 413, "complete"), ("GET", "/2", 200, "complete")]  # fmt: skip


def test_expectation_refused_and_the_body_sent_all_the_same() -> None:
    assert play((ASK, EXPECT), (ANSWER, ok(b"", 413)), (ASK, b"abc"), (ASK, get("/2")),
                (ANSWER, ok(b""))) == [
        ("POST", "/up", 413, "complete"), ("GET", "/2", 200, "complete")]  # fmt: skip


def test_response_before_the_request_ended() -> None:
    post = b"POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc"
    listener = Listener()
    listener.ask(post)
    listener.answer(ok(b"", 400))
    assert listener.events == []
    listener.ask(b"def")
    assert brief(listener.events) == [("POST", "/up", 400, "complete")]
    assert listener.events[0].bytes_sent == len(post) + 3


@pytest.mark.parametrize(
    "parts",
    [
        [(ASK, b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
         (ANSWER, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")],
        [(ASK, b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n"),
         (ANSWER, b"HTTP/1.1 200 Connection established\r\n\r\n")],
    ],
)  # fmt: skip
def test_an_upgraded_connection_is_left_alone(parts: list[Part]) -> None:
    listener = Listener()
    events = listener.play(
        [*parts, (ASK, get("/inside")), (ANSWER, ok(b"inside")), (ASK, b"\x82\xff")]
    )
    assert len(events) == 1
    assert events[0].outcome is Outcome.COMPLETE
    assert events[0].status in {101, 200}


def test_http2_is_no_http1() -> None:
    listener = Listener()
    assert (
        listener.play([(ASK, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0"), (ANSWER, b"\0\0\x12")])
        == []
    )
    assert listener.odd("http2") == 1


def test_a_connection_older_than_the_agent() -> None:
    assert play(
        (ANSWER, b"the rest of a body that began before"),
        (ANSWER, b"\r\nmore of it, with words and\n\nblank lines"),
        (ASK, get("/1")),
        (ANSWER, ok(b"1")),
        (ASK, get("/2")),
        (ANSWER, ok(b"2")),
    ) == [("GET", "/1", 200, "complete"), ("GET", "/2", 200, "complete")]


def test_a_response_whose_request_was_before_the_agent() -> None:
    listener = Listener()
    listener.answer(ok(b"an answer to nobody"))
    listener.now += 50 * MS
    listener.ask(get("/1"))
    listener.answer(ok(b"1", 201))
    listener.close()
    assert brief(listener.events) == [("GET", "/1", 201, "complete")]
    assert listener.odd("response-without-request") == 1


def test_the_answer_to_a_head_that_was_before_the_agent() -> None:
    listener = Listener()
    listener.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")
    listener.now += 50 * MS
    listener.ask(get("/1"))
    listener.answer(ok(b"1", 201))
    listener.close()
    assert brief(listener.events) == [("GET", "/1", 201, "complete")]


def test_two_threads_whose_calls_end_in_the_wrong_order() -> None:
    assert play((ANSWER, ok(b"1")), (ASK, get("/1")), (ANSWER, ok(b"2")), (ASK, get("/2"))) == [
        ("GET", "/1", 200, "complete"), ("GET", "/2", 200, "complete")]  # fmt: skip


def test_outcomes_of_what_never_ended() -> None:
    assert play((ASK, get("/1"))) == [("GET", "/1", 0, "no-response")]
    assert play((ASK, get("/1")), (ANSWER, OK[:-2])) == [("GET", "/1", 200, "truncated")]
    assert play((ASK, get("/1")), (ANSWER, b"HTTP/1.1 200 O")) == [("GET", "/1", 0, "no-response")]
    assert play((ASK, get("/1")[:-2])) == []


def test_idle_gives_up_once_and_a_late_answer_is_not_counted_again() -> None:
    listener = Listener(settings=LinkSettings(idle_seconds=1.0))
    listener.linker.tick(listener.now)
    listener.ask(get("/slow"))
    listener.now += 2_000 * MS
    listener.linker.tick(listener.now)
    assert brief(listener.events) == [("GET", "/slow", 0, "no-response")]
    listener.answer(ok(b"late"))
    listener.now += 50 * MS
    listener.ask(get("/2"))
    listener.answer(ok(b"2"))
    listener.close()
    assert brief(listener.events)[1:] == [("GET", "/2", 200, "complete")]


def test_shutdown_emits_what_is_under_way_once() -> None:
    listener = Listener()
    listener.ask(get("/1") + get("/2"))
    listener.answer(ok(b"1") + OK[:-1])
    listener.linker.shutdown(listener.now)
    listener.linker.shutdown(listener.now)
    assert brief(listener.events) == [
        ("GET", "/1", 200, "complete"),
        ("GET", "/2", 200, "truncated"),
    ]


def test_credentials_are_masked_and_hashed() -> None:
    secret = b"Bearer abcdefghijklmnop9876"
    event = Listener().play(
        [
            (ASK, b"GET / HTTP/1.1\r\nHost: h\r\nAuthorization: " + secret + b"\r\n\r\n"),
            (ANSWER, OK),
        ]
    )[0]
    assert (event.auth_token_type, event.auth_token_source) == ("bearer", "authorization")
    assert event.auth_token_mask == "****9876"
    assert event.auth_token_hash == hashlib.sha256(b"abcdefghijklmnop9876").hexdigest()


def test_settings_choose_directions_and_leave_loopback_out() -> None:
    loopback = client(remote_ip="127.0.0.1")
    only_ingress = LinkSettings(directions=frozenset({Direction.INGRESS}))
    no_loopback = LinkSettings(ignore_loopback=True)
    exchange: list[Part] = [(ASK, GET), (ANSWER, OK)]
    assert Listener(settings=only_ingress).play(exchange) == []
    assert Listener(connections=[loopback], settings=no_loopback).play(exchange) == []
    assert len(Listener(settings=no_loopback).play(exchange)) == 1


def test_a_connection_that_the_kernel_does_not_know_is_counted() -> None:
    listener = Listener()
    listener.linker.feed(Chunk(Kind.DATA, 9, Flow.SENT, 1, len(GET), GET))
    assert listener.events == []
    assert listener.counters.drops() == {"chunk.unknown-connection": 1}


@pytest.mark.parametrize(("role", "expected"), [("client", 1), ("server", 1)])
def test_an_unknown_role_is_told_from_the_bytes(role: str, expected: int) -> None:
    listener = Listener(connections=[client(role=Role.UNKNOWN)])
    asks, answers = (Flow.SENT, Flow.RECEIVED) if role == "client" else (Flow.RECEIVED, Flow.SENT)
    listener.linker.feed(Chunk(Kind.DATA, 1, asks, 1, len(GET), GET))
    listener.linker.feed(Chunk(Kind.DATA, 1, answers, 2, len(OK), OK))
    assert len(listener.events) == expected
    assert (listener.events[0].direction is Direction.INGRESS) == (role == "server")
