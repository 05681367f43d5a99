"""Kernel → agent → platform and object store, in a network namespace of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from agent.capture.doctor import examine
from tests.agent.capture.servers import certificate, python_server
from tests.agent.platform_server import REGISTRATION_TOKEN, Platform
from tests.agent.test_payloads import configured
from tests.real import require_real
from wire.events import Direction, Outcome
from wire.objects import decode_transaction


@pytest.fixture
def namespace() -> Iterator[str]:
    require_real("eBPF", not examine(), " ".join(map(str, examine())))
    require_real("network namespaces", shutil.which("ip"), "install iproute2")
    name = f"qcloud-test-{uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


class Server:
    def __init__(self, namespace: str, pem: Path | None) -> None:
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, *python_server(pem=pem)], stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def read(status: Path) -> dict[str, Any]:
    return json.loads(status.read_bytes()) if status.exists() else {"state": ""}


def curl(namespace: str, *urls: str) -> None:
    command = ["ip", "netns", "exec", namespace, "curl", "-sk", "--fail"]
    subprocess.run(
        [*command, *(part for url in urls for part in ("-o", os.devnull, url))], check=True
    )


def start_agent(
    platform: Platform, namespace: str, folder: Path, status: Path
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "agent", "--data-dir", str(folder / "data"),
         "--registration-endpoint", platform.url, "--netns", f"/var/run/netns/{namespace}",
         "--status-file", str(status), "--log-level", "warning"],
        env=os.environ | {"REGISTRATION_TOKEN": REGISTRATION_TOKEN},
    )  # fmt: skip


@pytest.mark.real
def test_every_request_once_for_each_end_and_payload_only_in_the_store(
    namespace: str, tmp_path: Path
) -> None:
    status, objects = tmp_path / "status.json", tmp_path / "objects"
    secure, plain = Server(namespace, certificate(tmp_path / "pem")), Server(namespace, None)
    with Platform() as platform:
        platform.config = configured(objects)
        agent = start_agent(platform, namespace, tmp_path, status)
        try:
            platform.wait(lambda: read(status)["state"] == "running", 30.0)
            made = []
            for scheme, port in (("https", secure.port), ("http", plain.port)):
                base = f"{scheme}://127.0.0.1:{port}"
                made += [f"/{scheme}/{number}" for number in range(25)]
                curl(namespace, *(f"{base}/{scheme}/{n}?secret=QuerySecret" for n in range(15)))
                for number in range(15, 25):
                    curl(namespace, f"{base}/{scheme}/{number}?secret=QuerySecret")
            platform.wait(lambda: len(platform.events) >= 2 * len(made), 20.0)
        finally:
            agent.send_signal(signal.SIGTERM)
            assert agent.wait(20) == 0
            secure.stop()
            plain.stop()
        events, received, final = platform.events, platform.received, read(status)
    expected = {(path, direction): 1 for path in made
                for direction in (Direction.INGRESS, Direction.EGRESS_INTERNAL)}  # fmt: skip
    assert Counter((event.path, event.direction) for event in events) == expected
    assert {event.outcome for event in events} == {Outcome.COMPLETE}
    assert {(event.scheme, event.tls_probe) for event in events} == {
        ("https", "openssl"), ("http", "")}  # fmt: skip
    assert final["dropped"] == {}
    assert final["exchanges"] == final["events_acknowledged"] == len(events)
    assert not any(b"QuerySecret" in sent for sent in received)
    for event in events:
        transaction = decode_transaction((objects / event.object_digest).read_bytes())
        assert "QuerySecret" in transaction.request.url
        assert transaction.response is not None
        assert event.path.encode() in transaction.response.body


@pytest.mark.real
def test_capture_goes_on_across_a_change_of_configuration(namespace: str, tmp_path: Path) -> None:
    """With bodies wanted, capture is opened anew with room for them."""
    status, objects = tmp_path / "status.json", tmp_path / "objects"
    plain = Server(namespace, None)
    base = f"http://127.0.0.1:{plain.port}"
    with Platform() as platform:
        platform.interval = 1.0
        agent = start_agent(platform, namespace, tmp_path, status)
        try:
            platform.wait(lambda: read(status)["state"] == "running", 30.0)
            curl(namespace, f"{base}/before/1")
            platform.wait(lambda: len(platform.events) == 2)
            platform.config = configured(objects)
            platform.wait(lambda: read(status)["object_store"] == "directory", 20.0)
            curl(namespace, f"{base}/big/40000/after")
            platform.wait(lambda: len(platform.events) == 4)
        finally:
            agent.send_signal(signal.SIGTERM)
            assert agent.wait(20) == 0
            plain.stop()
        events = sorted(platform.events, key=lambda event: event.timestamp)
    assert [event.path for event in events] == ["/before/1"] * 2 + ["/big/40000/after"] * 2
    assert [bool(event.object_digest) for event in events] == [False, False, True, True]
    for event in events[2:]:
        transaction = decode_transaction((objects / event.object_digest).read_bytes())
        assert transaction.response is not None
        assert transaction.response.body == b"answer to /big/40000/after" + b"x" * 40_000
