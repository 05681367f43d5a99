"""The door: what it takes, and what it refuses without keeping any of it."""

from __future__ import annotations

import errno
import gzip
import os
from collections.abc import Iterator
from typing import Any

import pytest
import zstandard

from pulse.ingest.batch import parse_batch
from pulse.ingest.settings import IngestSettings
from pulse.spool.folder import SpoolFolder
from pulse.spool.frames import Damage, Frame, scan
from qcloud.kernel.clock import now
from tests.pulse.door import Client, Sender, Somebody, Tokens, door
from tests.pulse.lines import event, lines
from wire.events import encode_line
from wire.protocol import BOOT_HEADER, EVENTS_PATH, MAX_BATCH_BYTES, SEQUENCE_HEADER

GOOD = lines(event(path="/a"), event(path="/b"))
LINE = encode_line(event()).rstrip(b"\n")


def stored(spool: SpoolFolder) -> list[Frame | Damage]:
    """Every frame on disk, in closed and open segments."""
    paths = sorted((*spool.closed_segments(), *spool.open_segments()))
    return [part for path in paths for part in scan(memoryview(path.read_bytes()))]


@pytest.fixture
def tokens() -> Tokens:
    return Tokens(owner=Somebody(), replay=Somebody(replaying=True))


@pytest.fixture
def client(spool: SpoolFolder, tokens: Tokens) -> Iterator[Client]:
    with door(IngestSettings(spool=spool.path), tokens) as opened:
        yield opened


def test_acknowledged_means_on_disk(client: Client, spool: SpoolFolder, tokens: Tokens) -> None:
    sender = Sender(client)
    assert sender.send(GOOD).json() == {"accepted": 2, "sequence": 1}
    (frame,) = stored(spool)
    assert isinstance(frame, Frame)
    header, owner = frame.header, tokens.known["owner"]
    assert (header.agent_id, header.account_id) == (owner.agent_id, owner.account_id)
    assert (header.environment_id, header.boot_id) == (owner.environment_id, sender.boot_id)
    assert (header.sequence, header.rows) == (1, 2)


@pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd"])
def test_every_encoding_of_the_protocol(client: Client, spool: SpoolFolder, encoding: str) -> None:
    body = gzip.compress(GOOD) if encoding == "gzip" else GOOD
    assert Sender(client).send(body, Content_Encoding=encoding).status_code == 200
    assert len(stored(spool)) == 1


def test_an_unknown_token_stores_nothing(
    client: Client, spool: SpoolFolder, tokens: Tokens
) -> None:
    answer = Sender(client, token="stranger").send(GOOD)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "pulse.unauthorized"
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert tokens.refusals == [("stranger", "pulse.events.send")]
    assert stored(spool) == []


def test_a_revoked_token_is_refused_at_once(client: Client, tokens: Tokens) -> None:
    sender = Sender(client)
    assert sender.send(GOOD).status_code == 200
    del tokens.known["owner"]
    assert sender.send(GOOD).status_code == 401


def test_a_malformed_line_is_named_and_other_batches_stay(
    client: Client, spool: SpoolFolder
) -> None:
    sender = Sender(client)
    assert sender.send(GOOD).status_code == 200
    answer = sender.send(GOOD + b'{"type":"request","oops":\n' + GOOD)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["code"], error["line"]) == ("pulse.malformed_line", 3)
    assert error["request_id"] == answer.headers["X-Request-ID"]
    assert sender.send(GOOD).status_code == 200
    assert [part.header.sequence for part in stored(spool) if isinstance(part, Frame)] == [1, 3]


def _with(old: bytes, new: bytes) -> bytes:
    assert old in LINE
    return LINE.replace(old, new, 1) + b"\n"


HOSTILE = {
    "a bare null": b"null\n",
    "an array": b"[]\n",
    "an empty object": b"{}\n",
    "a string": b'"x"\n',
    "two objects on a line": LINE + LINE + b"\n",
    "an unknown type": _with(b'"type":"request"', b'"type":"gossip"'),
    "a null field": _with(b'"path":"/"', b'"path":null'),
    "an unknown direction": _with(b"egress-external", b"sideways"),
    "a foreign scheme": _with(b'"https"', b'"gopher"'),
    "a status out of range": _with(b'"status":200', b'"status":1000'),
    "a fraction": _with(b'"status":200', b'"status":200.5'),
    "an endless number": _with(b'"status":200', b'"status":1e99999'),
    "a huge number": _with(b'"status":200', b'"status":' + b"9" * 400),
    "a lone surrogate": _with(b'"path":"/"', b'"path":"\\ud800"'),
    "broken UTF-8": _with(b'"path":"/"', b'"path":"\xff\xfe"'),
    "a raw NUL": _with(b'"path":"/"', b'"path":"\x00"'),
    "a broken UUID": _with(b'"requestId":"', b'"requestId":"zz'),
    "a line of a megabyte": _with(b'"path":"/"', b'"path":"' + b"a" * 1_000_000 + b'"'),
    "a long path": _with(b'"path":"/"', b'"path":"' + b"a" * 8_193 + b'"'),
    "a day that never was": _with(b'"timestamp":"2026-11-20', b'"timestamp":"2026-02-30'),
    "a year of five digits": _with(b'"timestamp":"2026', b'"timestamp":"12026'),
    "deep arrays": _with(b'"path":"/"', b'"path":' + b"[" * 50_000 + b"]" * 50_000),
    "an open object": LINE[:-1] + b"\n",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_lines_are_refused_by_number(
    client: Client, spool: SpoolFolder, body: bytes
) -> None:
    answer = Sender(client).send(GOOD + body)
    assert answer.status_code == 422
    assert answer.json()["error"]["line"] == 3
    assert Sender(client).send(body).status_code == 422
    assert stored(spool) == []


HARMLESS = {
    "unknown fields": _with(b"{", b'{"news":{"deep":[1,{"x":[]}]},' + b"".join(
        b'"f%d":%d,' % (i, i) for i in range(1_000))),
    "an escaped NUL": _with(b'"path":"/"', b'"path":"/\\u0000"'),
    "HTML in a path": _with(b'"path":"/"', b'"path":"/<script>alert(1)</script>"'),
    "a field given twice": _with(b'"status":200', b'"status":500,"status":200'),
    "an offset": _with(b"2026-11-20T12:00:00Z", b"2026-11-20T14:00:00+02:00"),
    "the word null in a path": _with(b'"path":"/"', b'"path":"/null"'),
}  # fmt: skip


@pytest.mark.parametrize("body", HARMLESS.values(), ids=HARMLESS.keys())
def test_odd_lines_are_taken(client: Client, body: bytes) -> None:
    answer = Sender(client).send(GOOD + body)
    assert (answer.status_code, answer.json()) == (200, {"accepted": 3, "sequence": 1})


def test_an_empty_batch_is_refused(client: Client) -> None:
    for body in (b"", b"\n", b"\n\n"):
        answer = Sender(client).send(body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (
            422, "pulse.malformed_batch",
        )  # fmt: skip


def test_a_body_that_announces_too_much_is_not_read(client: Client, spool: SpoolFolder) -> None:
    read: list[int] = []

    async def body() -> Any:
        read.append(1)
        yield b"x"

    answer = client.request(
        "POST",
        EVENTS_PATH,
        content=body(),
        headers={
            "Authorization": "Bearer owner",
            "Content-Length": str(MAX_BATCH_BYTES + 1),
            BOOT_HEADER: "01a1fdec-92d4-7638-b479-f1aaf0e56c22",
            SEQUENCE_HEADER: "1",
        },
    )
    assert answer.status_code == 413
    assert answer.headers["Connection"] == "close"
    assert stored(spool) == []


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_refused_at_the_limit(client: Client, spool: SpoolFolder, encoding: str) -> None:
    bomb = bytes(300 * 1024 * 1024)
    if encoding == "gzip":
        answer = Sender(client).send(gzip.compress(bomb, 1), Content_Encoding="gzip")
    else:
        # Without the content's size in its header, so that only decompressing tells.
        stream = zstandard.ZstdCompressor().compressobj()
        body = stream.compress(bomb) + stream.flush()
        answer = Sender(client).again_raw(body, 1)
    assert answer.status_code == 413
    assert stored(spool) == []


def test_a_cut_off_body_is_refused(client: Client) -> None:
    whole = zstandard.compress(GOOD)
    assert Sender(client).again_raw(whole[:-3], 1).status_code == 422
    assert Sender(client).again_raw(whole + b"more", 1).status_code == 422
    answer = Sender(client).send(gzip.compress(GOOD)[:-4], Content_Encoding="gzip")
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({SEQUENCE_HEADER: "0"}, 400),
        ({SEQUENCE_HEADER: "9" * 30}, 400),
        ({SEQUENCE_HEADER: "one"}, 400),
        ({BOOT_HEADER: "yesterday"}, 400),
        ({"Content-Encoding": "br"}, 415),
        ({"Authorization": "Basic b3duZXI6"}, 401),
    ],
)
def test_wrong_headers(client: Client, headers: dict[str, str], status: int) -> None:
    assert Sender(client).send(GOOD, **headers).status_code == status


def test_a_full_disk_loses_nothing_acknowledged(
    client: Client, spool: SpoolFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = Sender(client)
    assert sender.send(GOOD).status_code == 200

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", full)
        answer = sender.send(GOOD)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "pulse.spool_failed")
    assert int(answer.headers["Retry-After"]) > 0
    assert sender.again(GOOD, 2).status_code == 200
    assert [part.header.sequence for part in stored(spool) if isinstance(part, Frame)] == [1, 2]
    assert not any(isinstance(part, Damage) for part in stored(spool))


def test_a_full_spool_asks_to_come_back(spool: SpoolFolder, tokens: Tokens) -> None:
    with door(IngestSettings(spool=spool.path, spool_limit=4_000), tokens) as client:
        answers = [Sender(client).send(GOOD).status_code for _ in range(3)]
        assert answers[0] == 200
        assert answers[-1] == 503
    for path in spool.closed_segments():
        path.unlink()
    with door(IngestSettings(spool=spool.path, spool_limit=4_000), tokens) as client:
        assert Sender(client).send(GOOD).status_code == 200


def test_both_ways_of_reading_agree() -> None:
    """The same events through the columns and, because of one odd line, line by line."""
    import pyarrow as pa

    body = lines(*(event(path=f"/{i}", status=200 + i, user_id=i) for i in range(50)))
    odd = body.replace(b'"status":200', b'"status":200,"status":200', 1)
    assert odd != body
    fast, exact = (
        pa.ipc.open_stream(parse_batch(b, received_at=now(), replaying=False).payload).read_all()
        for b in (body, odd)
    )
    for name in fast.column_names:
        assert fast[name].to_pylist() == exact[name].to_pylist(), name


def _columns(body: bytes) -> dict[str, list[Any]]:
    import pyarrow as pa

    batch = parse_batch(body, received_at=now(), replaying=False)
    found: dict[str, list[Any]] = pa.ipc.open_stream(batch.payload).read_all().to_pydict()
    return found


def test_a_field_that_one_line_of_many_has_is_kept() -> None:
    """Also where that line is none of those that the reader looks at first."""
    events = [event(path=f"/{i}") for i in range(1_000)]
    events[501] = event(path="/501", user="app", protocol="http2")
    found = _columns(lines(*events))
    assert [(i, user) for i, user in enumerate(found["user"]) if user] == [(501, "app")]
    assert [i for i, name in enumerate(found["protocol"]) if name == "http2"] == [501]
    assert found["path"] == [f"/{i}" for i in range(1_000)]
    assert "pod_name" not in found


def test_an_unknown_field_in_one_line_of_many_is_left_out() -> None:
    events = lines(*(event(path=f"/{i}") for i in range(1_000)))
    odd = events.replace(b'"path":"/501"', b'"path":"/501","later":[{"a":1}]')
    assert odd != events
    assert _columns(odd) == _columns(events)


@pytest.mark.parametrize("shift", range(4))
def test_a_null_is_refused_wherever_it_stands(client: Client, shift: int) -> None:
    body = lines(*(event(path=f"/{i}") for i in range(1_000)), event(path="/" + "x" * shift))
    broken = body + LINE.replace(b'"path":"/"', b'"user":null,"path":"/"') + b"\n"
    answer = Sender(client).send(broken)
    assert (answer.status_code, answer.json()["error"]["line"]) == (422, 1_002)


def test_a_replaying_agent_marks_its_events(client: Client, spool: SpoolFolder) -> None:
    import pyarrow as pa

    assert Sender(client, token="replay").send(GOOD).status_code == 200
    (frame,) = stored(spool)
    assert isinstance(frame, Frame)
    table = pa.ipc.open_stream(pa.py_buffer(frame.payload)).read_all()
    assert table["replayed"].to_pylist() == [True, True]
