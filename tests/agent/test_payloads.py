"""Payload goes to the customer's object store or nowhere; never to the platform."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from agent.capture.source import Chunk, Connection, Flow, Kind
from agent.counters import Counters
from agent.recording.format import Header, chunk_line, connection_line, encode
from agent.stores.base import StoreError
from agent.stores.directory import DirectoryStore
from agent.stores.queue import ObjectQueue
from tests.agent.platform_server import Platform
from tests.agent.test_replay_end_to_end import run_agent
from tests.agent.traffic import client
from wire.objects import decode_transaction, object_digest

SECRETS = ("HeaderSecret1", "QuerySecret2", "BodySecret3", "CookieSecret4", "AnswerSecret5",
           "SetCookieSecret6", "UserinfoSecret7", "BearerSecret8")  # fmt: skip

REQUEST = (
    b"POST /pay?card=QuerySecret2#QuerySecret2 HTTP/1.1\r\nHost: shop.example\r\n"
    b"Cookie: sid=CookieSecret4\r\nX-Custom: HeaderSecret1\r\nContent-Length: 16\r\n"
    b"Authorization: Bearer BearerSecret8-and-more\r\nReferer: https://x/?q=QuerySecret2\r\n\r\n"
    b"card=BodySecret3"
)
ABSOLUTE = b"GET http://user:UserinfoSecret7@proxy.example/x?QuerySecret2 HTTP/1.1\r\n\r\n"
ANSWER = (
    b"HTTP/1.1 200 OK\r\nSet-Cookie: SetCookieSecret6\r\nContent-Type: text/plain\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n6\r\nAnswer\r\n7\r\nSecret5\r\n0\r\n\r\n"
)
BROKEN = b"POST /x?QuerySecret2 HTTP/1.1\r\nContent-Length: a\r\n\r\nBodySecret3 HeaderSecret1"


def record(path: Path, parts: list[tuple[Flow, bytes]], who: Connection | None = None) -> None:
    with path.open("wb") as file:
        file.write(encode(Header(started_at="2026-01-01T00:00:00Z")))
        file.write(encode(connection_line(who or client())))
        for ns, (flow, data) in enumerate(parts):
            chunk = Chunk(Kind.DATA, 1, flow, ns * 1_000_000, len(data), data)
            file.write(encode(chunk_line(chunk, 0)))


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "recording.jsonl"
    record(path, [
        (Flow.SENT, REQUEST), (Flow.RECEIVED, ANSWER), (Flow.SENT, ABSOLUTE),
        (Flow.RECEIVED, ANSWER), (Flow.SENT, BROKEN), (Flow.SENT, b"BodySecret3 HeaderSecret1"),
    ])  # fmt: skip
    return path


def configured(store: Path | None, level: str = "full") -> dict[str, Any]:
    stores = [{"id": "local", "type": "directory", "path": str(store)}] if store else []
    return {
        "version": 2,
        "services": {"object_stores": stores},
        "stacks": {"s": {"plugins": [{"type": "http_capture", "config": {"level": level}}]}},
        "tap": {"http": {"stack": "s"}},
    }


def replay(tmp_path: Path, recording: Path, config: dict[str, Any]) -> tuple[Platform, str]:
    with Platform() as platform:
        platform.config = config
        done = run_agent(platform, tmp_path / "data", "--replay", str(recording), "--speed", "max",
                         "--log-level", "debug",
                         "--status-file", str(tmp_path / "status.json"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    return platform, done.stderr


@pytest.mark.parametrize("store", ["objects", None])
def test_no_secret_is_in_anything_sent_or_logged(
    tmp_path: Path, recording: Path, store: str | None
) -> None:
    config = configured(tmp_path / store if store else None)
    platform, log = replay(tmp_path, recording, config)
    assert [event.path for event in platform.events][:3] == ["/pay", "/x", "/x"]
    assert len(platform.received) >= 3
    everything = [*platform.received, log.encode(), (tmp_path / "status.json").read_bytes()]
    for secret in SECRETS:
        forms = (secret.encode(), base64.b64encode(secret.encode()).rstrip(b"=")[:-1])
        for form in forms:
            assert not any(form in sent for sent in everything), secret
    for path in (tmp_path / "data").rglob("*"):
        if path.is_file():
            assert not any(secret.encode() in path.read_bytes() for secret in SECRETS), path


def test_with_a_store_the_object_is_there_under_the_events_digest(
    tmp_path: Path, recording: Path
) -> None:
    objects = tmp_path / "objects"
    platform, _ = replay(tmp_path, recording, configured(objects))
    event = platform.events[0]
    data = (objects / event.object_digest).read_bytes()
    assert object_digest(data) == event.object_digest
    transaction = decode_transaction(data)
    assert transaction.request.url == "https://shop.example/pay?card=QuerySecret2#QuerySecret2"
    assert transaction.request.body == b"card=BodySecret3"
    assert ("Cookie", "sid=CookieSecret4") in transaction.request.headers
    assert transaction.response is not None
    assert transaction.response.body == b"AnswerSecret5"
    assert not transaction.response.body_truncated
    assert transaction.metadata.request_id == str(event.request_id)
    assert {path.stat().st_mode & 0o777 for path in objects.iterdir()} == {0o600}
    assert platform.heartbeats[0].get("objectStore", "none") in {"none", "directory"}


def test_without_a_store_the_agent_says_so_once(tmp_path: Path, recording: Path) -> None:
    platform, log = replay(tmp_path, recording, configured(None))
    said = [entry for entry in map(json.loads, log.splitlines()) if "payloads" in entry["event"]]
    assert [entry["event"] for entry in said] == [
        "no object store is configured: payloads are dropped"]  # fmt: skip
    assert {event.object_digest for event in platform.events} == {""}
    assert platform.heartbeats[0].get("objectStore", "none") == "none"


@pytest.mark.parametrize(("level", "objects"), [("none", 0), ("summary", 3), ("headers", 3)])
def test_capture_levels(tmp_path: Path, recording: Path, level: str, objects: int) -> None:
    store = tmp_path / "objects"
    platform, _ = replay(tmp_path, recording, configured(store, level))
    found = [decode_transaction(path.read_bytes()) for path in store.iterdir()]
    assert len(found) == objects
    assert all(not transaction.request.body for transaction in found)
    assert sum(bool(event.object_digest) for event in platform.events) == objects


def test_bodies_are_cut_at_the_buffer_size(tmp_path: Path) -> None:
    recording = tmp_path / "recording.jsonl"
    body = b"x" * 5_000
    record(recording, [
        (Flow.SENT, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        (Flow.RECEIVED, b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + body),
    ])  # fmt: skip
    with Platform() as platform:
        platform.config = configured(tmp_path / "objects")
        run_agent(platform, tmp_path / "data", "--replay", str(recording), "--speed", "max",
                  "--http-buffer-size", "1kb")  # fmt: skip
    (path,) = (tmp_path / "objects").iterdir()
    response = decode_transaction(path.read_bytes()).response
    assert response is not None
    assert response.body == b"x" * 1_024
    assert response.body_truncated


def test_a_directory_refuses_when_the_disk_is_low(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path, reserve=1 << 60)
    with pytest.raises(StoreError) as refused:
        store.put("0" * 40, b"x")
    assert refused.value.reason == "disk-low"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreError, match="bytes free"):
        store.check()


@pytest.mark.parametrize("digest", ["../../etc/passwd", "A" * 40, "0" * 39, "", "0" * 40 + "\n"])
def test_a_directory_takes_digests_only(tmp_path: Path, digest: str) -> None:
    store = DirectoryStore(tmp_path)
    with pytest.raises(StoreError):
        store.put(digest, b"x")
    with pytest.raises(StoreError):
        store.get(digest)


def test_storing_twice_is_harmless(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put("0" * 40, b"x")
    store.put("0" * 40, b"x")
    assert store.get("0" * 40) == b"x"
    assert [path.name for path in tmp_path.iterdir()] == ["0" * 40]


def test_the_queue_before_the_store_is_bounded(tmp_path: Path) -> None:
    counters = Counters()
    worker = ObjectQueue(DirectoryStore(tmp_path, reserve=0), counters, queue_bytes=100)
    assert worker.offer("1" * 40, b"x" * 60)
    assert not worker.offer("2" * 40, b"x" * 60)
    worker.start()
    worker.close(5.0)
    assert (tmp_path / ("1" * 40)).read_bytes() == b"x" * 60
    assert counters.drops() == {"object.queue-full": 1}
    assert counters.get("objects_stored") == 1
