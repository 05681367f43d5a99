"""Real lookups on the real kernel, in a network namespace with a DNS server of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from agent.capture.doctor import examine
from tests.agent.capture.dns_server import CLIENT, SERVER
from tests.agent.capture.puppet import PYTHON
from tests.real import require_real

pytestmark = pytest.mark.real

CONFIG = """version: 2
services: {event_stores: [{type: stdout}]}
tap: {audit_include_dns: %s}
"""


class Node:
    """A namespace with lo, a DNS server at 127.0.0.53 and ::1, and an agent that prints."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.status = folder / "status.json"
        self.config = folder / "config.yaml"
        self.printed = folder / "printed"
        self.agent: subprocess.Popen[bytes] | None = None
        self.server = subprocess.Popen(
            ["ip", "netns", "exec", name, PYTHON, "-c", SERVER], stdout=subprocess.PIPE
        )
        assert self.server.stdout is not None
        assert self.server.stdout.readline() == b"ready\n"

    def watch(self, text: str = CONFIG % "true") -> None:
        self.config.write_text(text)
        with self.printed.open("wb") as out:
            self.agent = subprocess.Popen(
                [sys.executable, "-m", "agent", "run", "--config", str(self.config), "--netns",
                 f"/var/run/netns/{self.name}", "--status-file", str(self.status), "--data-dir",
                 str(self.folder / "data"), "--httpd-listen", "none", "--log-level", "error"],
                stdout=out,
            )  # fmt: skip
        self.until(lambda: self.state()["state"] == "running")

    def state(self) -> dict[str, Any]:
        return json.loads(self.status.read_bytes()) if self.status.exists() else {"state": ""}

    def run(self, *command: str) -> None:
        inside = ["ip", "netns", "exec", self.name, "unshare", "--mount", "--propagation",
                  "private", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"',
                  str(self.folder / "resolv.conf")]  # fmt: skip
        (self.folder / "resolv.conf").write_text("nameserver 127.0.0.53\noptions timeout:1\n")
        subprocess.run([*inside, *command], check=False, timeout=60, stdout=subprocess.DEVNULL)

    def ask(self, way: str, *arguments: str) -> None:
        self.run(PYTHON, "-c", CLIENT, way, *arguments)

    def until(self, met: Callable[[], bool], seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not met():
            assert time.monotonic() < deadline, self.printed.read_text()[-4_000:]
            time.sleep(0.05)

    def connections(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.printed.read_text().splitlines()]
        assert {line["type"] for line in lines} <= {"eventstore.Connection"}
        return [line["item"] for line in lines]

    def lookups(self, name: str = "") -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """(connection, lookup), of clients alone, of names that end so."""
        return [
            (connection, lookup)
            for connection in self.connections()
            if connection["direction"] != "ingress"
            for lookup in connection.get("qcloud.dns", ())
            if lookup["name"].endswith(name)
        ]

    def wait_for(self, name: str, count: int = 1) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        self.until(lambda: len(self.lookups(name)) >= count)
        return self.lookups(name)

    def stop(self) -> dict[str, Any]:
        if self.agent is not None:
            self.agent.send_signal(signal.SIGTERM)
            assert self.agent.wait(20) == 0
            self.agent = None
        return self.state()

    def close(self) -> None:
        if self.agent is not None:
            self.agent.kill()
            self.agent.wait()
        self.server.kill()
        self.server.wait()
        assert self.server.stdout is not None
        self.server.stdout.close()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    require_real("eBPF", not examine(), " ".join(map(str, examine())))
    require_real("network namespaces", shutil.which("ip"), "install iproute2")
    name = f"qcloud-dns-{uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        made = Node(name, tmp_path)
        try:
            yield made
        finally:
            made.close()
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def test_every_way_of_asking(node: Node) -> None:
    node.watch()
    ways = ("sendto_recvfrom", "sendto_recv", "connected_write_read", "scattered", "vectors",
            "peeked", "mapped")  # fmt: skip
    for way in ways:
        node.ask(way, f"{way.replace('_', '-')}.example")
    for way in ways:
        name = f"{way.replace('_', '-')}.example"
        ((connection, lookup),) = node.wait_for(name)
        assert (lookup["outcome"], lookup["rcode"], lookup["addresses"], lookup["attempts"]) == (
            "answered", "NOERROR", ["10.1.2.3"], 1), way  # fmt: skip
        assert (lookup["resolverIp"], lookup["resolverPort"]) == ("127.0.0.53", 53), way
        assert connection["source"]["exe"] == os.path.realpath(PYTHON)
        assert (connection["l7Protocol"], connection["socketProtocol"]) == ("dns", "udp")
    node.ask("six", "six.example")
    ((connection, lookup),) = node.wait_for("six.example")
    assert (lookup["queryType"], lookup["addresses"], lookup["resolverIp"]) == (
        "AAAA", ["2001:db8::1"], "::1")  # fmt: skip
    assert connection["destination"]["address"] == {"family": "ipv6", "ip": "::1", "port": 53}
    node.ask("many", "many.example")
    found = node.wait_for("many.example", 5)
    assert sorted(lookup["name"] for _, lookup in found) == [f"n{n}.many.example" for n in range(5)]
    assert node.stop()["dropped"] == {}


def test_glibc_node_and_both_ends(node: Node) -> None:
    node.watch()
    node.run("getent", "ahosts", "glibc.example")
    pair = node.wait_for("glibc.example", 2)
    assert {lookup["queryType"] for _, lookup in pair} == {"A", "AAAA"}
    assert len({connection["meta"]["connectionId"] for connection, _ in pair}) == 1
    assert {connection["source"]["exe"] for connection, _ in pair} == {
        os.path.realpath(shutil.which("getent") or "")
    }
    if shutil.which("node"):
        node.run("node", "-e", "require('dns').resolve4('cares.example', () => {})")
        ((connection, lookup),) = node.wait_for("cares.example")
        assert lookup["addresses"] == ["10.1.2.3"]
        assert connection["source"]["exe"].endswith("/node")
    node.stop()
    served = [one for one in node.connections() if one["direction"] == "ingress"]
    assert {lookup["name"] for one in served for lookup in one["qcloud.dns"]} >= {"glibc.example"}
    assert {one["destination"]["exe"] for one in served} == {os.path.realpath(PYTHON)}
    finals = [one for one in node.connections() if one["finalized"]]
    ids = [one["meta"]["connectionId"] for one in finals]
    assert len(set(ids)) == len(ids)
    assert set(ids) == {one["meta"]["connectionId"] for one in node.connections()}


def test_truncated_then_over_tcp(node: Node) -> None:
    node.watch()
    node.ask("system", "large.example")
    found = [lookup for _, lookup in node.wait_for("large.example", 3)]
    kinds = sorted((lookup["transport"], lookup["outcome"]) for lookup in found)
    assert set(kinds) == {("udp", "truncated"), ("tcp", "answered")}
    assert {lookup["answerCount"] for lookup in found if lookup["transport"] == "tcp"} == {40}
    node.ask("stream", "stream.example")
    found = [lookup for _, lookup in node.wait_for("stream.example", 2)]
    assert [lookup["transport"] for lookup in found] == ["tcp", "tcp"]


def test_failures(node: Node) -> None:
    node.watch()
    node.ask("sendto_recvfrom", "gone.example")
    node.ask("sendto_recvfrom", "broken.example")
    node.ask("unanswered", "silent.example")
    ((_, gone),) = node.wait_for("gone.example")
    ((_, broken),) = node.wait_for("broken.example")
    ((_, silent),) = node.wait_for("silent.example")
    assert (gone["outcome"], gone["rcode"], gone["addresses"]) == ("answered", "NXDOMAIN", [])
    assert (broken["outcome"], broken["rcode"]) == ("malformed", "")
    assert (silent["outcome"], silent["rcode"]) == ("timeout", "")
    assert 10_000_000 <= silent["durationUs"] < 15_000_000
    counts = node.stop()["counts"]
    # Both ends wait in vain; only the client sees that the answer is malformed on arrival.
    assert counts["dns.timeout"] == 2
    assert counts["dns.malformed"] == 2


def test_off_by_default_and_switched_by_a_reload(node: Node) -> None:
    node.watch(CONFIG % "false")
    assert "dns" not in {probe["family"] for probe in node.state()["probes"]}
    node.ask("sendto_recvfrom", "before.example")
    reloads = node.state()["config_reloads"]
    node.config.write_text(CONFIG % "true")
    assert node.agent is not None
    node.agent.send_signal(signal.SIGHUP)
    node.until(lambda: node.state()["config_reloads"] > reloads)
    node.until(lambda: {"family": "dns", "active": True, "attached": 1} in node.state()["probes"])
    node.ask("sendto_recvfrom", "meanwhile.example")
    node.wait_for("meanwhile.example")
    node.config.write_text(CONFIG % "false")
    node.agent.send_signal(signal.SIGHUP)
    node.until(lambda: "dns" not in {probe["family"] for probe in node.state()["probes"]})
    node.ask("sendto_recvfrom", "after.example")
    time.sleep(1)
    node.stop()
    names = {lookup["name"] for _, lookup in node.lookups()}
    assert names == {"meanwhile.example"}
