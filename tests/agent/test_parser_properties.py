"""What must hold for any traffic at all."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.link.settings import LinkSettings
from tests.agent.traffic import ANSWER, ASK, Listener, Part, client, server
from wire.events import RequestEvent, decode_line, encode_line

KEEP = LinkSettings(keep_headers=True, keep_bodies=True, body_limit=64)

bodies = st.binary(max_size=40)
paths = st.text("abc/%.-", max_size=12).map(lambda path: "/" + path)
ends = st.sampled_from([b"\r\n", b"\n"])


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A request and its whole response."""
    method = draw(st.sampled_from(["GET", "POST", "HEAD", "DELETE", "M-SEARCH"]))
    status = draw(st.sampled_from([200, 201, 204, 304, 404, 500]))
    end = draw(ends)
    request = f"{method} {draw(paths)}?q=1 HTTP/1.1".encode() + end + b"Host: h" + end
    request += draw(framed(end))
    bodiless = method == "HEAD" or status in {204, 304}
    interim = draw(st.sampled_from([b"", b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n"]))
    response = interim + f"HTTP/1.1 {status} Reason".encode() + end
    response += b"Content-Length: 7" + end + end if bodiless else draw(framed(end, always=True))
    return request, response


@st.composite
def framed(draw: st.DrawFn, end: bytes, *, always: bool = False) -> bytes:
    """The rest of a head, and a body framed as it says."""
    body = draw(bodies)
    kind = draw(st.sampled_from(["length", "chunked"] + ([] if always else ["none"])))
    if kind == "none":
        return end
    if kind == "length":
        return b"Content-Length: " + str(len(body)).encode() + end + end + body
    out = b"Transfer-Encoding: chunked" + end + end
    for part in (body[:3], body[3:]):
        if part:
            out += f"{len(part):x};x=y".encode() + end + part + end
    trailer = b"X-Trailer: 1" + end if draw(st.booleans()) else b""
    return out + b"0" + end + trailer + end


def facts(events: list[RequestEvent]) -> list[tuple[object, ...]]:
    return [
        (event.method, event.path, event.status, event.outcome, event.bytes_sent,
         event.bytes_received, event.content_type, event.host)
        for event in events
    ]  # fmt: skip


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    marks = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[a:b] for a, b in pairwise(marks) if a < b]


@given(st.lists(messages(), min_size=1, max_size=5), st.lists(st.integers(0, 10_000), max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_split_gives_the_same_exchanges(
    exchanges: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    asked = b"".join(request for request, _ in exchanges)
    answered = b"".join(response for _, response in exchanges)
    whole = Listener(settings=KEEP)
    whole.play([(ASK, asked), (ANSWER, answered)])
    pieces: list[Part] = [(ASK, part) for part in split(asked, cuts)]
    pieces += [(ANSWER, part) for part in split(answered, cuts)]
    parted = Listener(settings=KEEP)
    parted.play(pieces)
    assert len(whole.events) == len(exchanges)
    assert facts(parted.events) == facts(whole.events)
    assert [e.response_body for e in parted.exchanges] == [e.response_body for e in whole.exchanges]
    assert [e.request_body for e in parted.exchanges] == [e.request_body for e in whole.exchanges]
    assert {event.outcome.value for event in whole.events} == {"complete"}


@given(st.lists(messages(), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_both_ends_see_the_same(exchanges: list[tuple[bytes, bytes]]) -> None:
    listener = Listener(connections=[client(1), server(2)])
    for request, response in exchanges:
        for key in (1, 2):
            listener.ask(request, key=key)
        for key in (2, 1):
            listener.answer(response, key=key)
    listener.linker.shutdown(listener.now)
    ends = {name: [e for e in listener.events if (e.direction == "ingress") == (name == "server")]
            for name in ("client", "server")}  # fmt: skip
    assert [e.path for e in ends["client"]] == [e.path for e in ends["server"]]
    assert [e.bytes_sent for e in ends["client"]] == [e.bytes_received for e in ends["server"]]
    assert len(listener.events) == 2 * len(exchanges)


crumbs = st.sampled_from([
    b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n", b"\r\n", b"\n", b"\r", b"\0",
    b"Host: h\r\n",
    b"Content-Length: 5\r\n", b"Content-Length: 99999999999999999999\r\n", b"0\r\n\r\n", b"5\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 101 X\r\n\r\n", b"CONNECT h:1 HTTP/1.1\r\n\r\n", b"HEAD / HTTP/1.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\n", b"hello", b": \r\n", b"Authorization: \xff\r\n",
    b"GET http://[::/x HTTP/1.0\r\n",
])  # fmt: skip
calls = st.tuples(
    st.sampled_from([ASK, ANSWER]),
    st.one_of(st.binary(max_size=60), st.lists(crumbs, max_size=6).map(b"".join)),
    st.sampled_from([0, 0, 0, 1, 7, 5000]),
)


@given(st.lists(calls, max_size=30))
@settings(max_examples=500, deadline=None)
def test_no_bytes_ever_raise_and_nothing_is_held_afterwards(parts: list[Part]) -> None:
    listener = Listener(settings=KEEP)
    events = listener.play(parts)
    assert listener.linker.context.budget.held == 0
    assert len({event.request_id for event in events}) == len(events)
    for event in events:
        assert decode_line(encode_line(event)) == event
    begun = sum(data.count(b" ") for _, data, *_ in parts)
    assert len(events) <= begun + len(parts)
