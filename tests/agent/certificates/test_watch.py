"""Which servers are looked at, how often, and what is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.certificates.places import Pace, Places
from agent.certificates.watch import CertificateWatch
from agent.config.current import Configuration
from agent.config.policy import Surroundings
from agent.counters import Counters
from agent.link.settings import LinkSettings
from agent.metrics import Registry
from agent.stores.base import StoreContext
from agent.stores.console import Console
from agent.who import nobody
from tests.agent.certificates.servers import Authority, tls_server
from tests.agent.config.inside import Told
from tests.pulse.lines import event
from wire.config import parse_config
from wire.events import CertificateEvent, Direction, RequestEvent

FAST = Pace(first=(0.0, 0.0), gap=0.02, timeout=1.0)
ON = b"version: 2\nqcloud: {certificates: true}\n"
OFF = b"version: 2\n"


class Node:
    """An agent's configuration and its watch, without capture."""

    def __init__(self, folder: Path, text: bytes, pace: Pace = FAST, roots: str = "") -> None:
        self.counters = Counters()
        self.told = Told()
        self.watch = CertificateWatch(counters=self.counters, pace=pace, roots=roots or None)
        out = (folder / "stdout").open("ab", buffering=0)
        self._out = out
        around = Surroundings(
            base=LinkSettings(), stores=StoreContext(self.counters, {}, Console(out.fileno())),
            metrics=Registry(), who_is=nobody, tags={}, uplink=self.told, saw=self.watch.saw,
        )  # fmt: skip
        self.configuration = Configuration(around)
        self.use(text)

    def use(self, text: bytes) -> None:
        assert self.configuration.apply_text(text), self.configuration.state.problem
        policy = self.configuration.take()
        assert policy is not None
        self.policy = policy
        self.watch.use(policy)

    def talk(self, port: int, **changes: Any) -> None:
        at = {"destination_ip": "127.0.0.1", "destination_port": port}
        self.policy.report(event(**{**at, **changes}))

    @property
    def shown(self) -> list[CertificateEvent]:
        self.watch.tick()
        return [one for one in self.told.events if isinstance(one, CertificateEvent)]

    def until(self, met: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not met():
            assert time.monotonic() < deadline, self.counters.counts()
            time.sleep(0.02)

    def close(self) -> None:
        self.watch.stop()
        self.configuration.close(1)
        self._out.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_it_is_off_by_default_and_nobody_is_asked(tmp_path: Path, authority: Authority) -> None:
    assert parse_config(OFF).config.qcloud.certificates is False
    file, _ = authority.issue("api.example.com")
    node = Node(tmp_path, OFF)
    with tls_server(file) as heard:
        node.talk(heard.port)
        time.sleep(0.5)
        assert (heard.connections, node.shown) == (0, [])
    assert node.watch._thread is None
    node.close()


def test_a_server_is_asked_once_a_day_and_told(tmp_path: Path, authority: Authority) -> None:
    file, made = authority.issue("api.example.com", days=12)
    node = Node(tmp_path, ON, roots=str(authority.roots))
    with tls_server(file) as heard:
        for _ in range(5):
            node.talk(heard.port, hostname="node-1", exe="/usr/bin/curl", pod_name="shop-1")
        node.until(lambda: len(node.shown) == 1)
        time.sleep(0.3)
        assert (heard.connections, heard.names, heard.sent) == (1, ["api.example.com"], [b""])
    (found,) = node.shown
    assert (found.host, found.destination_ip, found.destination_port) == (
        "api.example.com", "127.0.0.1", heard.port)  # fmt: skip
    assert found.not_after == int(made.not_valid_after_utc.timestamp())
    assert (found.verified, found.problem, found.direction) == (
        True, "", Direction.EGRESS_EXTERNAL)  # fmt: skip
    assert (found.hostname, found.exe, found.pod_name) == ("node-1", "/usr/bin/curl", "shop-1")
    assert node.counters.get("certificates.reported") == 1
    node.close()


def test_switched_off_by_another_configuration_it_ends(
    tmp_path: Path, authority: Authority
) -> None:
    file, _ = authority.issue("api.example.com")
    node = Node(tmp_path, ON)
    with tls_server(file) as heard:
        node.talk(heard.port)
        node.until(lambda: len(node.shown) == 1)
        thread = node.watch._thread
        assert thread is not None
        before = heard.connections
        node.use(OFF)
        node.talk(heard.port, host="other.example.com")
        thread.join(5)
        assert not thread.is_alive()
        assert (heard.connections, len(node.shown)) == (before, 1)
    node.close()


@pytest.mark.parametrize(
    "changes", [{"scheme": "http"}, {"replayed": True}, {"destination_ip": "no address"}]
)
def test_what_is_not_asked(tmp_path: Path, authority: Authority, changes: dict[str, Any]) -> None:
    file, _ = authority.issue("api.example.com")
    node = Node(tmp_path, ON)
    with tls_server(file) as heard:
        node.talk(heard.port, **changes)
        time.sleep(0.3)
        assert (heard.connections, node.shown) == (0, [])
    node.close()


def test_names_that_clients_make_up_are_not_reported(tmp_path: Path, authority: Authority) -> None:
    file, _ = authority.issue("shop.example.com")
    node = Node(tmp_path, ON, roots=str(authority.roots))
    with tls_server(file) as heard:
        for name in ("shop.example.com", "evil.example.net"):
            node.talk(heard.port, host=name, direction=Direction.INGRESS)
        node.until(lambda: len(node.shown) == 2)
    assert {one.host for one in node.shown} == {"shop.example.com", "127.0.0.1"}
    node.close()


def test_a_server_that_shows_nothing_is_counted(tmp_path: Path) -> None:
    node = Node(tmp_path, ON)
    node.talk(1)
    node.until(lambda: node.counters.get("certificates.unreachable") == 1)
    assert node.shown == []
    node.close()


def seen(**changes: Any) -> RequestEvent:
    return event(**{"destination_ip": "10.0.0.9", "destination_port": 443, **changes})


def test_places_are_bounded_jittered_and_forgotten() -> None:
    pace = Pace(most=10, most_names=3, first=(60.0, 600.0))
    places = Places(pace)
    inside = [places.saw(seen(host=f"h{n}.example.com", direction=Direction.INGRESS), 0.0)
              for n in range(5)]  # fmt: skip
    assert inside == [True, True, True, False, False]
    outside = [places.saw(seen(host=f"v{n}.example.com"), 0.0) for n in range(9)]
    assert outside == [True] * 7 + [False] * 2
    assert len(places) == 10
    assert places.due(59.0) is None
    first = [places.due(600.0) for _ in range(11)]
    assert len({one.key for one in first if one is not None}) == 10
    assert first[-1] is None
    assert places.due(600.0 + 0.89 * 86_400) is None
    assert places.due(600.0 + 86_400) is not None
    # Nobody talks to them any more.
    assert places.due(3 * 86_400 + 1.0) is None
    assert len(places) == 0
    assert places.saw(seen(host="h9.example.com", direction=Direction.INGRESS), 0.0)


def test_one_name_behind_many_addresses_is_one_place() -> None:
    places = Places(Pace())
    for n in range(50):
        assert places.saw(seen(destination_ip=f"10.0.1.{n}"), 0.0)
    assert len(places) == 1
    for n in range(3):
        assert places.saw(seen(host=f"bad host {n}", destination_ip=f"10.0.2.{n}"), 0.0)
    assert len(places) == 4
