"""Bytes that a call had and nobody saw."""

from __future__ import annotations

from tests.agent.test_linking import brief, get, ok
from tests.agent.traffic import ANSWER, ASK, Listener


def test_a_gap_inside_a_body_of_known_length() -> None:
    listener = Listener()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    listener.ask(get("/big"))
    listener.answer(head + b"x" * 1000, missing=49_000)
    listener.answer(b"y" * 1000, missing=49_000)
    listener.ask(get("/2"))
    listener.answer(ok(b"2"))
    assert brief(listener.events) == [
        ("GET", "/big", 200, "complete"),
        ("GET", "/2", 200, "complete"),
    ]
    assert listener.events[0].bytes_received == len(head) + 100_000


def test_a_gap_beyond_a_message_loses_the_way_until_the_next_call() -> None:
    listener = Listener()
    listener.ask(get("/1") + get("/2"))
    listener.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345", missing=60)
    listener.ask(get("/3"))
    listener.answer(b"in the middle of something")
    listener.answer(ok(b"3", 203))
    listener.close()
    assert brief(listener.events) == [
        ("GET", "/1", 200, "complete"),
        ("GET", "/2", 0, "no-response"),
        ("GET", "/3", 203, "complete"),
    ]


def test_gaps_inside_chunks() -> None:
    listener = Listener()
    listener.ask(get("/1"))
    listener.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    listener.answer(b"4000\r\n" + b"x" * 100, missing=0x4000 - 100 + 2)
    listener.answer(b"4000\r\n" + b"x" * 100, missing=0x4000 - 100)
    listener.answer(b"\r\n4000\r\n" + b"x" * 100, missing=0x4000 - 100 + 2 + 5)
    listener.ask(get("/2"))
    listener.answer(ok(b"2"))
    assert brief(listener.events) == [
        ("GET", "/1", 200, "complete"),
        ("GET", "/2", 200, "complete"),
    ]


def test_a_chunked_body_whose_chunks_were_lost_still_ends() -> None:
    listener = Listener()
    listener.ask(get("/1"))
    listener.answer(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4000\r\nxx", missing=40_000
    )
    listener.answer(b"middle of another chunk", missing=30)
    assert listener.events == []
    listener.answer(b"the last\r\n0\r\n\r\n")
    assert brief(listener.events) == [("GET", "/1", 200, "complete")]
    listener.ask(get("/2"))
    listener.answer(ok(b"2"))
    assert brief(listener.events)[1:] == [("GET", "/2", 200, "complete")]


def test_a_chunked_body_whose_end_was_lost_is_truncated() -> None:
    listener = Listener()
    listener.ask(get("/1"))
    listener.answer(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4000\r\nxx", missing=90_000
    )
    listener.ask(get("/2"))
    listener.answer(ok(b"2"))
    assert brief(listener.events) == [
        ("GET", "/1", 200, "truncated"),
        ("GET", "/2", 200, "complete"),
    ]


def test_a_head_that_was_cut_still_tells_what_was_asked() -> None:
    request = b"GET /1 HTTP/1.1\r\nHost: h\r\nCookie: " + b"c" * 4000
    listener = Listener()
    events = listener.play(
        [(ASK, request, 9000), (ANSWER, ok(b"1")), (ASK, get("/2")), (ANSWER, ok(b"2"))]
    )
    assert brief(events) == [("GET", "/1", 200, "complete"), ("GET", "/2", 200, "complete")]
    assert events[0].host == "h"
    assert events[0].bytes_sent > 9000


def test_a_response_head_that_was_cut() -> None:
    answer = b"HTTP/1.1 201 Created\r\nContent-Length: 7\r\nSet-Cookie: " + b"c" * 4000
    events = Listener().play(
        [(ASK, get("/1")), (ANSWER, answer, 9000), (ASK, get("/2")), (ANSWER, ok(b"2"))]
    )
    assert brief(events) == [("GET", "/1", 201, "truncated"), ("GET", "/2", 200, "complete")]


def test_a_gap_in_a_body_until_close() -> None:
    events = Listener().play([(ASK, get("/1")), (ANSWER, b"HTTP/1.1 200 OK\r\n\r\nabc", 1000)])
    assert brief(events) == [("GET", "/1", 200, "complete")]
    assert events[0].bytes_received == 19 + 1003


def test_requests_lost_do_not_shift_the_answers_that_follow() -> None:
    listener = Listener()
    listener.ask(get("/1"))
    listener.answer(ok(b"1", 201))
    listener.ask(b"", missing=500)
    listener.ask(get("/3"))
    listener.answer(ok(b"3", 203))
    listener.close()
    assert brief(listener.events) == [
        ("GET", "/1", 201, "complete"),
        ("GET", "/3", 203, "complete"),
    ]
