"""Bodies and credentials where a request line or a host should be: no word of them is reported."""

from __future__ import annotations

import pytest

from tests.agent.traffic import ANSWER, ASK, Listener, Part
from wire.events import Outcome, encode_line

SECRET = b"hunter2SECRET"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

LONGER_THAN_SAID = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
BODIES = {
    "two-words": LONGER_THAN_SAID + SECRET + b" " + SECRET + b"\r\n\r\n",
    "known-method": LONGER_THAN_SAID + b"POST " + SECRET + b"\r\nmore\r\n\r\n",
    "form": LONGER_THAN_SAID + b"password " + SECRET + b"\n\0" * 70_000,
    "no-length": b"PUT /a HTTP/1.0\r\n\r\npw " + SECRET + b" HTTP/1.1\r\n\r\n",
}
USERINFO = {
    "connect": b"CONNECT u:%b@h:443 HTTP/1.1\r\n\r\n",
    "connect-user": b"CONNECT %b@h:443 HTTP/1.1\r\n\r\n",
    "absolute": b"GET http://u:%b@h/p HTTP/1.1\r\n\r\n",
    "absolute-two-signs": b"GET http://u:p@%b@h/p HTTP/1.1\r\n\r\n",
    "host": b"GET /p HTTP/1.1\r\nHost: u:%b@h\r\n\r\n",
    "host-user": b"GET /p HTTP/1.1\r\nHost: %b@h\r\n\r\n",
    "host-query": b"GET /p HTTP/1.1\r\nHost: h?%b\r\n\r\n",
    "host-words": b"GET /p HTTP/1.1\r\nHost: h %b\r\n\r\n",
    "no-scheme": b"GET //u:%b@h/p HTTP/1.1\r\n\r\n",
    "nested": b"GET /fetch/http://u:%b@h/p HTTP/1.1\r\n\r\n",
}


def listened(*parts: Part) -> Listener:
    listener = Listener()
    listener.play(parts)
    return listener


def reported(listener: Listener) -> bytes:
    return b"".join(encode_line(event) for event in listener.events).lower()


@pytest.mark.parametrize("sent", BODIES.values(), ids=BODIES)
def test_a_body_taken_for_a_request_is_not_told(sent: bytes) -> None:
    listener = listened((ASK, sent), (ANSWER, OK))
    assert listener.events[0].path == "/a"
    assert SECRET.lower() not in reported(listener)
    assert {event.method for event in listener.events} <= {"POST", "PUT", ""}
    assert all(event.path in {"/a", ""} for event in listener.events)


@pytest.mark.parametrize("sent", USERINFO.values(), ids=USERINFO)
def test_user_information_is_no_part_of_host_or_path(sent: bytes) -> None:
    listener = listened((ASK, sent % SECRET), (ANSWER, OK))
    (event,) = listener.events
    assert event.outcome is Outcome.COMPLETE
    assert event.host in {"h", "93.184.216.34"}
    assert SECRET.lower() not in reported(listener)


def test_a_target_of_no_form_is_malformed() -> None:
    listener = listened(
        (ASK, b"GET /a HTTP/1.1\r\n\r\n"), (ANSWER, OK),
        (ASK, b"GET u:%b@h HTTP/1.1\r\n\r\n" % SECRET), (ANSWER, OK),
    )  # fmt: skip
    _, event = listener.events
    assert (event.outcome, event.path) == (Outcome.MALFORMED, "")
    assert SECRET.lower() not in reported(listener)


def test_frames_sent_before_the_upgrade_is_granted() -> None:
    listener = listened(
        (ASK, b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"),
        (ASK, b"POST %b\r\n\r\n" % SECRET),
        (ANSWER, b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    )
    assert listener.events[0].path == "/ws"
    assert SECRET.lower() not in reported(listener)
