"""Whoever answers in the platform's place: delivery and heartbeat go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from agent.uplink.client import Client, seconds_ahead
from tests.agent.platform_server import Handler, Platform, refuse
from tests.agent.test_uplink import Node, paths


@pytest.fixture
def platform() -> Iterator[Platform]:
    with Platform() as running:
        yield running


@pytest.fixture
def node(platform: Platform, tmp_path: Path) -> Iterator[Node]:
    made = Node(platform, tmp_path / "node", read_seconds=0.5)
    yield made
    made.stop()


def saying(status: int, body: bytes) -> Any:
    def answer(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True

    return answer


BODIES = {
    "latin-1": b'{"error":{"code":"\xff","message":"\xff"}}',
    "deep": b'{"error":{"code":"a","message":"b","more":' + b"[" * 100_000,
    "html": b"<html>502</html>",
    "empty": b"",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_an_error_that_cannot_be_read(node: Node, platform: Platform, body: bytes) -> None:
    platform.misbehave.append(saying(503, body))
    node.spool_events(1)
    node.start()
    node.delivered()
    assert paths(platform) == ["/1"]


@pytest.mark.parametrize(
    "value", ["\xb2", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "soon", "-1"]
)
def test_a_retry_after_that_is_none(node: Node, platform: Platform, value: str) -> None:
    platform.misbehave.append(refuse(503, Retry_After=value))
    node.spool_events(1)
    node.start()
    node.delivered()
    assert paths(platform) == ["/1"]


def test_a_date_beyond_all_calendars() -> None:
    assert seconds_ahead("Mon, 01 Jan 99999999999999999999 00:00:00 GMT") is None


def test_a_fault_of_ours_does_not_end_delivery(
    node: Node, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver, faults = node.sender._deliver, iter([RuntimeError("a fault")])

    def faulty(batch: Any, door: Any) -> float:
        for fault in faults:
            raise fault
        return deliver(batch, door)

    monkeypatch.setattr(node.sender, "_deliver", faulty)
    node.spool_events(1)
    node.start()
    node.delivered()
    assert paths(platform) == ["/1"]


def test_a_fault_of_ours_does_not_end_the_heartbeat(
    node: Node, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat, faults = node.control._beat, iter([RuntimeError("a fault")])

    def faulty() -> None:
        for fault in faults:
            raise fault
        beat()

    monkeypatch.setattr(node.control, "_beat", faulty)
    node.start()
    node.control.beat_soon()
    platform.wait(lambda: bool(platform.heartbeats))


def test_an_answer_without_end_is_left(platform: Platform) -> None:
    """The bound is on what is read, also of what nobody wants any more."""
    sent: list[int] = []

    def pour(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        try:
            while len(sent) < 400:
                handler.wfile.write(bytes(1 << 18))
                sent.append(1)
        except OSError:
            return

    platform.misbehave.append(pour)
    platform.agents["t"] = uuid7()
    client = Client(platform.url, read_seconds=2.0)
    headers = {"X-QCloud-Boot": "00000000-0000-0000-0000-000000000001", "X-QCloud-Sequence": "1"}
    answer = client.call("POST", "/agent/v1/events", token="t", body=b"", headers=headers)
    assert len(answer.body) == 4 * 1024 * 1024
    client.close()
    assert len(sent) < 200
