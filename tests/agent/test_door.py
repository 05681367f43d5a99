"""The status server, inside and as the agent runs it."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.door.pages import Pulse, pages
from agent.door.server import MAX_CALLS, DoorError, Page, StatusServer, address
from agent.metrics import Registry
from agent.status import Status
from wire.protocol import ProbeState


def status(state: str = "running") -> Status:
    return Status(
        state=state, pid=1, boot_id="b", replaying=False, uptime_seconds=12.5, cpu_seconds=0.25,
        memory_bytes=50_000_000, captured_chunks=7, captured_bytes=700, open_connections=2,
        exchanges=5, events_spooled=5, events_acknowledged=3, object_store="s3",
        objects_stored=4, objects_waiting_bytes={"payloads": 17},
        dropped={"object.queue-full": 2, "event.spool-full": 1},
        counts={"s3.retries": 9, 'odd"one\n': 1}, config_digest="d", config_origin="/c",
        probes=[ProbeState(family="openssl", active=True),
                ProbeState(family="sockets", active=False, reason="refused")],
        config_reloads=1, config_refused=0, config_problem="", events_waiting=2, spool_bytes=99,
        spool_limit_bytes=1000,
    )  # fmt: skip


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Door:
    def __init__(self) -> None:
        self.status = status()
        self.metrics = Registry()
        self.clock = Clock()
        self.pulse = Pulse(self.clock)
        shown = pages(lambda: self.status, self.metrics, self.pulse)
        self.server = StatusServer("127.0.0.1:0", shown)

    def get(self, path: str, method: str = "GET") -> tuple[int, str, str]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=5)) as door:
            door.request(method, path)
            answer = door.getresponse()
            return answer.status, answer.read().decode(), answer.headers["Content-Type"]


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door()
    door.server.start()
    yield door
    door.server.close()


def test_ready_while_running_only(door: Door) -> None:
    assert door.get("/readyz")[:2] == (200, "ok\n")
    for state in ("starting", "draining", "stopped"):
        door.status = status(state)
        assert door.get("/readyz")[:2] == (503, f"{state}\n")
        assert door.get("/healthz")[0] == 200


def test_healthy_while_the_loop_turns(door: Door) -> None:
    door.clock.now += 30
    assert door.get("/healthz")[:2] == (200, "ok\n")
    door.clock.now += 1
    assert door.get("/healthz")[:2] == (503, "the capture loop has been silent for 31 s\n")
    door.pulse.beat()
    assert door.get("/healthz")[0] == 200


def test_http_metrics_are_the_registry(door: Door) -> None:
    labels = ("method", "host", "status_code", "protocol")
    door.metrics.counter("qtap_http_requests_total", "HTTP requests seen.", labels).add(
        ("GET", "shop.example", "200", "http1")
    )
    code, body, kind = door.get("/metrics?x=1")
    assert (code, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert body.splitlines() == [
        "# HELP qtap_http_requests_total HTTP requests seen.",
        "# TYPE qtap_http_requests_total counter",
        (
            'qtap_http_requests_total{method="GET",host="shop.example",status_code="200",'
            'protocol="http1"} 1'
        ),
    ]


def test_system_metrics_tell_capture_drops_spool_and_stores(door: Door) -> None:
    code, body, _ = door.get("/system/metrics")
    assert code == 200
    lines = body.splitlines()
    for line in (
        "qcloud_agent_captured_chunks_total 7", "qcloud_agent_spool_bytes 99",
        "qcloud_agent_events_waiting 2", "qcloud_agent_objects_stored_total 4",
        'qcloud_agent_dropped_total{kind="object",reason="queue-full"} 2',
        'qcloud_agent_dropped_total{kind="event",reason="spool-full"} 1',
        'qcloud_agent_counted_total{what="s3.retries"} 9',
        'qcloud_agent_objects_waiting_bytes{store="payloads"} 17',
        r'qcloud_agent_counted_total{what="odd\"one\n"} 1',
        'qcloud_agent_probe_active{family="openssl"} 1',
        'qcloud_agent_probe_active{family="sockets"} 0', "qcloud_agent_uptime_seconds 12.5",
    ):  # fmt: skip
        assert lines.count(line) == 1, line
    named = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(named) == len(set(named))


def test_only_reading(door: Door) -> None:
    assert door.get("/nothing")[0] == 404
    assert door.get("/readyz", "HEAD")[:2] == (200, "")
    assert door.get("/readyz", "POST")[0] == 501
    assert door.get("/../etc/passwd")[0] == 404


def test_callers_that_say_nothing_do_not_shut_others_out_for_long(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.door.server._Handler.timeout", 0.3)
    silent = [socket.create_connection(("127.0.0.1", door.server.port)) for _ in range(MAX_CALLS)]
    try:
        time.sleep(0.6)
        assert door.get("/healthz")[0] == 200
    finally:
        for one in silent:
            one.close()


def test_clients_that_drip_do_not_keep_a_probe_out(door: Door) -> None:
    """Each byte begins the time-out anew; Kubernetes kills who does not answer its probe."""
    where = ("127.0.0.1", door.server.port)
    held = [socket.create_connection(where) for _ in range(MAX_CALLS)]
    try:
        for one in held:
            one.sendall(b"GET /heal")
        for _ in range(3):
            assert door.get("/healthz")[0] == 200
        time.sleep(0.2)
        held[-1].sendall(b"thz HTTP/1.0\r\n\r\n")
        assert held[-1].recv(12) == b"HTTP/1.0 200"
    finally:
        for one in held:
            one.close()


@pytest.mark.parametrize("listen", ["", "10001", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000"])
def test_what_is_no_address(listen: str) -> None:
    with pytest.raises(DoorError, match=r"write 127\.0\.0\.1:10001"):
        StatusServer(listen, {})


def test_addresses() -> None:
    assert address("[::1]:9") == ("::1", 9)
    assert address("0.0.0.0:10001") == ("0.0.0.0", 10001)  # noqa: S104  parsed, not listened on


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    server = StatusServer("127.0.0.1:0", {"/": lambda: Page(200, "")})
    try:
        with pytest.raises(DoorError, match="set --httpd-listen to another"):
            StatusServer(f"127.0.0.1:{server.port}", {})
        config = tmp_path / "qtap.yaml"
        config.write_text("version: 2\n")
        recording = tmp_path / "recording"
        _agent("demo-recording", str(recording), "--minutes", "0.1")
        done = _agent("--replay", str(recording), "--config", str(config), "--httpd-listen",
                      f"127.0.0.1:{server.port}")  # fmt: skip
        assert done.returncode == 2
        assert "cannot listen on" in done.stderr
        again = _agent("--replay", str(recording), "--config", str(config), "--speed", "max",
                       "--httpd-listen", "127.0.0.1:0")  # fmt: skip
        assert again.returncode == 0, again.stderr
        assert '"status server"' in again.stderr
    finally:
        server.close()


def _agent(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "agent.cli", *words], capture_output=True,
                          text=True, check=False, timeout=60)  # fmt: skip
