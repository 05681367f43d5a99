"""The agent's way to a platform that misbehaves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from agent.counters import Counters
from agent.spool.spool import Spool
from agent.uplink.backoff import Backoff
from agent.uplink.client import Client, EndpointError, UnreachableError, check_endpoint
from agent.uplink.control import Control
from agent.uplink.identity import IdentityError, IdentityFile
from agent.uplink.sender import Sender
from agent.uplink.session import Session
from tests.agent.platform_server import REGISTRATION_TOKEN, Handler, Platform, refuse
from tests.agent.told import capture_logs
from tests.agent.traffic import ANSWER, ASK, Listener
from wire.events import encode_line
from wire.protocol import HeartbeatRequest, SystemInfo


def line(number: int) -> bytes:
    request = f"GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
    answer = b"HTTP/1.1 204 No Content\r\n\r\n"
    return encode_line(Listener().play([(ASK, request), (ANSWER, answer)])[0])


class Node:
    """An agent's uplink without its capture."""

    def __init__(self, platform: Platform, directory: Path, read_seconds: float = 5.0) -> None:
        directory.mkdir(exist_ok=True)
        self.platform = platform
        self.counters = Counters()
        self.boot = uuid7()
        self.configs: list[dict[str, Any]] = []
        self.digest = ""
        self.client = Client(platform.url, read_seconds=read_seconds)
        self.spool = Spool(directory / "spool", boot=self.boot, counters=self.counters)
        self.session = Session(
            self.client, IdentityFile(directory), registration_token=REGISTRATION_TOKEN,
            name="node", version="1", replaying=False, system=SystemInfo(hostname="node"),
            apply_config=self.configs.append,
        )  # fmt: skip
        self.control = Control(self.session, self._health, refused_seconds=0.05)
        self.sender = Sender(self.spool, self.session, self.counters, refused_seconds=0.05)
        self.sender._backoff = Backoff(0.01, 0.05)
        self.control._backoff = Backoff(0.01, 0.05)

    def _health(self) -> HeartbeatRequest:
        return HeartbeatRequest(boot_id=self.boot, config_digest=self.digest)

    def start(self) -> None:
        self.control.start()
        self.sender.start()

    def spool_events(self, *numbers: int) -> None:
        self.spool.append(b"".join(line(number) for number in numbers), len(numbers))

    def delivered(self) -> None:
        self.platform.wait(lambda: self.spool.waiting == (0, 0))

    def stop(self) -> None:
        self.sender.drain(1.0)
        self.control.stop(1.0)
        self.client.close()


@pytest.fixture
def platform() -> Iterator[Platform]:
    with Platform() as running:
        yield running


@pytest.fixture
def node(platform: Platform, tmp_path: Path) -> Iterator[Node]:
    made = Node(platform, tmp_path / "node", read_seconds=0.5)
    yield made
    made.stop()


def paths(platform: Platform) -> list[str]:
    return [event.path for event in platform.events]


def test_register_send_and_beat(node: Node, platform: Platform, tmp_path: Path) -> None:
    node.spool_events(1, 2)
    node.spool_events(3)
    node.start()
    node.delivered()
    platform.wait(lambda: bool(platform.heartbeats))
    assert paths(platform) == ["/1", "/2", "/3"]
    assert platform.order == [(str(node.boot), 1), (str(node.boot), 2)]
    assert platform.heartbeats[0]["bootId"] == str(node.boot)
    assert node.counters.get("events_acknowledged") == 3
    identity = tmp_path / "node" / "identity.json"
    assert identity.stat().st_mode & 0o777 == 0o600
    assert node.session.identity.account == "acme"


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_busy_platform_is_tried_again(node: Node, platform: Platform, status: int) -> None:
    platform.misbehave.extend([refuse(status)] * 3)
    node.spool_events(1)
    node.start()
    node.delivered()
    assert paths(platform) == ["/1"]
    assert node.counters.get("sends_failed") == 3


def test_retry_after_is_honoured(node: Node, platform: Platform) -> None:
    platform.misbehave.append(refuse(503, Retry_After="1"))
    node.spool_events(1)
    node.start()
    platform.wait(lambda: not platform.misbehave)
    began = time.monotonic()
    node.delivered()
    assert time.monotonic() - began > 0.8


def test_a_connection_reset_before_and_after_the_batch_was_kept(
    node: Node, platform: Platform
) -> None:
    def lose_the_answer(handler: Handler) -> None:
        agent = handler._agent()
        assert agent is not None
        handler.accept(agent, body)
        handler.reset()

    def cut(handler: Handler) -> None:
        handler.reset()

    body = line(1)
    node.spool.append(body, 1)
    platform.misbehave.extend([cut, lose_the_answer])
    node.start()
    node.delivered()
    assert paths(platform) == ["/1"]
    assert platform.duplicates == 1
    assert platform.order == [(str(node.boot), 1), (str(node.boot), 1)]
    assert node.counters.get("sends_failed") == 2


def test_a_platform_that_hangs_is_left_after_the_time_out(node: Node, platform: Platform) -> None:
    def hang(handler: Handler) -> None:
        time.sleep(1.0)
        handler.close_connection = True

    platform.misbehave.append(hang)
    node.spool_events(1)
    node.start()
    node.delivered()
    assert paths(platform) == ["/1"]
    assert node.counters.get("sends_failed") == 1


def test_a_malformed_batch_is_set_aside_and_the_others_go(node: Node, platform: Platform) -> None:
    def name_the_line(_: Handler) -> Any:
        error = {"code": "pulse.malformed_line", "message": "status is no number", "line": 2}
        return 422, {"error": error}, {}

    platform.misbehave.append(name_the_line)
    node.spool_events(1, 2, 3)
    node.spool_events(4)
    with capture_logs() as logs:
        node.start()
        node.delivered()
    assert paths(platform) == ["/4"]
    assert node.counters.drops() == {"event.rejected": 3}
    refused = [entry for entry in logs if "refused for good" in entry["event"]]
    assert [(entry["line"], entry["sequence"], entry["reason"]) for entry in refused] == [
        (2, 1, "status is no number")]  # fmt: skip
    assert len(list(node.spool._rejected.iterdir())) == 1


def test_a_batch_too_large_goes_in_halves_under_new_numbers(node: Node, platform: Platform) -> None:
    platform.misbehave.extend([refuse(413), refuse(413)])
    node.spool_events(1, 2, 3, 4)
    node.start()
    platform.wait(lambda: len(platform.events) == 4)
    node.delivered()
    assert sorted(paths(platform)) == ["/1", "/2", "/3", "/4"]
    assert [sequence for _, sequence in platform.order] == [3, 4, 5]
    assert node.counters.drops() == {}


def test_a_batch_too_large_that_may_be_there_already_is_set_aside(
    node: Node, platform: Platform
) -> None:
    platform.misbehave.extend([refuse(503), refuse(413)])
    node.spool_events(1, 2)
    node.spool_events(3)
    node.start()
    node.delivered()
    assert paths(platform) == ["/3"]
    assert node.counters.drops() == {"event.too-large": 2}


def test_an_expired_token_is_replaced_and_the_identity_kept(node: Node, platform: Platform) -> None:
    node.start()
    platform.wait(lambda: bool(platform.heartbeats))
    agent = node.session.agent_id
    expired = node.session.token
    identity = platform.agents.pop(expired)

    def know_again() -> None:
        platform.agents[expired] = identity

    platform.refuse_registration = True
    with capture_logs() as logs:
        node.spool_events(1)
        platform.wait(lambda: any("refuses this agent" in entry["event"] for entry in logs))
    assert node.spool.waiting == (1, 1)
    assert platform.events == []
    know_again()
    platform.refuse_registration = False
    node.delivered()
    assert paths(platform) == ["/1"]
    assert [registration["kept"] for registration in platform.registrations] == [False, True]
    assert node.session.agent_id == agent


def test_what_was_refused_for_its_token_goes_under_the_new_identity(
    node: Node, platform: Platform
) -> None:
    """An agent that was removed becomes another one; what 401 answered is nowhere yet."""
    node.start()
    platform.wait(lambda: bool(platform.heartbeats))
    agent = node.session.agent_id
    platform.agents.clear()
    node.spool_events(1)
    platform.wait(lambda: not node.session.registered.is_set())
    node.control.beat_soon()
    node.delivered()
    assert node.session.agent_id != agent
    assert paths(platform) == ["/1"]
    assert node.counters.drops() == {}


def test_another_identity_does_not_send_what_may_have_arrived(
    platform: Platform, tmp_path: Path
) -> None:
    earlier = Node(platform, tmp_path / "node")
    earlier.start()
    platform.wait(earlier.session.registered.is_set)
    earlier.stop()
    earlier.spool_events(1)
    earlier.spool_events(2)
    (tmp_path / "node" / "identity.json").unlink()
    later = Node(platform, tmp_path / "node")
    later.spool_events(3)
    later.start()
    later.delivered()
    later.stop()
    assert paths(platform) == ["/2", "/3"]
    assert later.counters.drops() == {"event.identity-changed": 1}
    assert len(list(later.spool._rejected.iterdir())) == 1


def test_a_first_identity_sends_all_that_waited_for_it(platform: Platform, tmp_path: Path) -> None:
    """The platform was away during the first run: nothing can have arrived there before."""
    first = Node(platform, tmp_path / "node")
    first.spool_events(1, 2)
    first.spool_events(3)
    first.stop()
    second = Node(platform, tmp_path / "node")
    second.start()
    second.delivered()
    second.stop()
    assert paths(platform) == ["/1", "/2", "/3"]
    assert second.counters.drops() == {}


def test_a_moved_platform_is_not_sent_what_it_may_have(tmp_path: Path) -> None:
    """The same platform under another address cannot be told from another platform."""
    with Platform() as old, Platform() as new:
        first = Node(old, tmp_path / "node")
        first.start()
        old.wait(first.session.registered.is_set)
        first.stop()
        first.spool_events(1)
        first.spool_events(2)
        for _ in range(2):
            second = Node(new, tmp_path / "node")
        second.start()
        second.delivered()
        second.stop()
        assert paths(new) == ["/2"]
        assert second.counters.drops() == {"event.identity-changed": 1}


def test_a_restart_goes_on_with_the_token_and_sends_what_was_left(
    platform: Platform, tmp_path: Path
) -> None:
    first = Node(platform, tmp_path / "node")
    first.start()
    platform.wait(lambda: bool(platform.heartbeats))
    first.stop()
    first.spool_events(1)
    second = Node(platform, tmp_path / "node")
    second.spool_events(2)
    second.start()
    second.delivered()
    second.stop()
    assert paths(platform) == ["/1", "/2"]
    assert platform.order == [(str(first.boot), 1), (str(second.boot), 1)]
    assert len(platform.registrations) == 1
    assert second.session.identity.config == {"version": 2}


def test_a_new_configuration_is_fetched_when_the_digest_changes(
    node: Node, platform: Platform
) -> None:
    from wire.config import config_digest

    node.digest = config_digest(platform.config)
    platform.interval = 1.0
    node.start()
    platform.wait(lambda: bool(platform.heartbeats))
    assert platform.config_fetches == 0
    platform.config = {"version": 2, "tap": {"direction": "ingress"}}
    platform.wait(lambda: platform.config_fetches == 1)
    platform.wait(lambda: node.configs[-1] == platform.config)
    assert node.session.identity.config == platform.config


def test_no_platform_at_all_keeps_the_spool(tmp_path: Path) -> None:
    with Platform() as gone:
        pass
    node = Node(gone, tmp_path / "node")
    node.spool_events(1)
    node.start()
    time.sleep(0.3)
    began = time.monotonic()
    assert not node.sender.drain(5.0)
    assert time.monotonic() - began < 2.0
    node.stop()
    assert node.spool.waiting == (1, 1)


@pytest.mark.parametrize(
    "endpoint",
    ["platform.example", "ftp://platform.example", "http://platform.example", "http://10.0.0.1:80",
     "https://user:secret@platform.example", "https://platform.example/?x=1", "https://", ""],
)  # fmt: skip
def test_addresses_that_are_refused(endpoint: str) -> None:
    with pytest.raises(EndpointError):
        check_endpoint(endpoint, allow_insecure=False)


@pytest.mark.parametrize(
    "endpoint", ["https://platform.example/", "http://127.0.0.1:8000", "http://[::1]:80",
                 "http://localhost:8000"],
)  # fmt: skip
def test_addresses_that_are_taken(endpoint: str) -> None:
    assert check_endpoint(endpoint, allow_insecure=False) == endpoint.rstrip("/")
    assert check_endpoint("http://10.0.0.1", allow_insecure=True) == "http://10.0.0.1"


def test_a_token_is_shown_to_no_other_platform(platform: Platform, tmp_path: Path) -> None:
    node = Node(platform, tmp_path / "node")
    node.session.register()
    node.stop()
    with Platform() as other:
        moved = Node(other, tmp_path / "node")
        assert moved.session.token == ""
        assert moved.session.identity.instance_id == node.session.identity.instance_id
        moved.stop()


def test_a_broken_identity_file_says_what_to_do(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "identity.json").write_bytes(b"{half")
    with pytest.raises(IdentityError, match="remove it to register as a new agent"):
        Node(platform, tmp_path / "node")


def test_a_redirect_is_not_followed(node: Node, platform: Platform) -> None:
    platform.misbehave.append(refuse(307, Location="http://127.0.0.1:9/agent/v1/events"))
    node.spool_events(1)
    node.start()
    node.delivered()
    assert paths(platform) == ["/1"]


def test_back_off_grows_with_jitter_and_waits_as_told() -> None:
    backoff = Backoff(1.0, 8.0)
    delays = [backoff.delay() for _ in range(6)]
    for delay, ceiling in zip(delays, [1, 2, 4, 8, 8, 8], strict=True):
        assert ceiling / 2 <= delay <= ceiling
    assert backoff.delay(at_least=60.0) == 60.0
    backoff.reset()
    assert backoff.delay() <= 1.0


def test_an_unverified_certificate_is_unreachable(tmp_path: Path) -> None:
    import ssl
    import subprocess
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out",
         str(certificate)], check=True, capture_output=True)  # fmt: skip
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        url = f"https://127.0.0.1:{server.server_address[1]}"
        with pytest.raises(UnreachableError, match="certificate verify failed"):
            Client(url).call("GET", "/", token="t")
        trusted = Client(url, ca_file=certificate)
        assert trusted.call("GET", "/", token="t").status == 501
        trusted.close()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    with pytest.raises(EndpointError, match="CA file"):
        Client(url, ca_file=tmp_path / "missing.pem")
