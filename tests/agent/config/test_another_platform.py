"""A configuration of one's own that names another platform, or another way to the same."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from uuid_utils.compat import uuid7

from agent.config.current import Configuration
from agent.config.policy import Surroundings
from agent.counters import Counters
from agent.link.settings import LinkSettings
from agent.metrics import Registry
from agent.recording.demo import write_demo
from agent.spool.spool import Spool
from agent.stores.base import StoreContext
from agent.stores.console import Console
from agent.system import DataFolderError, lock_data_folder
from agent.uplink.backoff import Backoff
from agent.uplink.client import Client
from agent.uplink.identity import IdentityFile
from agent.uplink.session import ReadToken, Session
from agent.uplink.uplink import Uplink
from agent.uplink.way import Way
from agent.who import nobody
from tests.agent.config.test_own_configuration import alone, running, state
from tests.agent.platform_server import REGISTRATION_TOKEN, Platform, refuse
from tests.agent.traffic import ANSWER, ASK, Listener
from tests.e2e.certificates import write_certificate
from wire.events import RequestEvent
from wire.protocol import HeartbeatRequest, RegisterResponse, SystemInfo

NONE = "version: 2\nservices: {event_stores: [{type: stdout}]}\n"
OTHER_TOKEN = "qcr_other"


def document(url: str, *more: str, token: str = "") -> str:
    token = token or f"{{type: text, value: {REGISTRATION_TOKEN}}}"
    fields = ", ".join([f"type: pulse, url: '{url}', token: {token}", *more])
    return f"version: 2\nservices: {{event_stores: [{{{fields}}}]}}\n"


def event(number: int) -> RequestEvent:
    request = f"GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
    return Listener().play([(ASK, request), (ANSWER, b"HTTP/1.1 204 No Content\r\n\r\n")])[0]


class Agent:
    """Configuration, way, uplink and spool as they run; traffic by hand."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.counters = Counters()
        self.boot = uuid7()
        self.stack = ExitStack()
        out = self.stack.enter_context((folder / "stdout").open("wb"))
        self.way = Way(self._open, environment or {})
        around = Surroundings(
            base=LinkSettings(), metrics=Registry(), who_is=nobody, tags={}, way=self.way,
            stores=StoreContext(self.counters, environment or {}, Console(out.fileno())),
        )  # fmt: skip
        self.configuration = Configuration(around, "/etc/qtap.yaml")
        self.way.start(lambda: HeartbeatRequest(boot_id=self.boot))

    def _open(self, client: Client, read_token: ReadToken) -> Uplink:
        self.stack.enter_context(lock_data_folder(self.folder / "data"))
        session = Session(
            client, IdentityFile(self.folder / "data"), registration_token=read_token, name="node",
            version="1", replaying=False, system=SystemInfo(hostname="node"),
        )  # fmt: skip
        spool = Spool(self.folder / "data" / "spool", boot=self.boot, counters=self.counters)
        uplink = Uplink(session, spool, self.counters, managed=False)
        uplink._sender._backoff = Backoff(0.01, 0.05)
        return uplink

    @property
    def uplink(self) -> Uplink:
        assert self.way.uplink is not None
        return self.way.uplink

    def load(self, text: str) -> bool:
        taken = self.configuration.apply_text(text.encode())
        self.configuration.take()
        return taken

    def see(self, *numbers: int) -> None:
        """Exchanges, each in a batch of its own, on disk."""
        for number in numbers:
            wanted = self.counters.get("events_spooled") + 1
            self.configuration.running.report(event(number))
            self.uplink._writer.rotate()
            self.spooled(wanted)

    def spooled(self, events: int) -> None:
        wait(lambda: self.counters.get("events_spooled") == events)

    def delivered(self) -> None:
        wait(lambda: self.uplink.spool.waiting == (0, 0))

    def close(self) -> None:
        self.configuration.close(5)
        if self.way.uplink is not None:
            self.way.uplink.flush(5)
            self.way.uplink.deliver(time.monotonic() + 0.5, lambda: False)
            self.way.uplink.close(5)
            self.way.uplink.session.client.close()
        self.stack.close()


def wait(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def paths(platform: Platform) -> list[str]:
    return [one.path for one in platform.events]


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    made = Agent(tmp_path)
    yield made
    made.close()


@pytest.fixture
def old() -> Iterator[Platform]:
    with Platform() as running_:
        yield running_


@pytest.fixture
def new() -> Iterator[Platform]:
    with Platform() as running_:
        yield running_


# -- another address -------------------------------------------------------------------


def test_another_address_takes_effect_at_once(agent: Agent, old: Platform, new: Platform) -> None:
    assert agent.load(document(old.url))
    agent.see(1, 2)
    agent.delivered()
    first = agent.uplink.session.agent_id
    assert agent.load(document(new.url))
    agent.see(3)
    agent.delivered()
    assert (paths(old), paths(new)) == (["/1", "/2"], ["/3"])
    assert agent.uplink.session.agent_id != first
    assert agent.counters.drops() == {}
    shown = b"".join(new.received)
    assert all(token.encode() not in shown for token in old.agents), "tokens stay where they are"


def test_what_waits_goes_along_and_nothing_waits_out_a_pause(
    agent: Agent, old: Platform, new: Platform
) -> None:
    """The old one is away for good: that is why its address was changed."""
    old.misbehave.extend([refuse(503, Retry_After="600")] * 50)
    assert agent.load(document(old.url))
    wait(agent.uplink.session.registered.is_set)
    agent.see(1, 2, 3)
    wait(lambda: agent.counters.get("sends_failed") > 0)
    began = time.monotonic()
    assert agent.load(document(new.url))
    agent.delivered()
    assert time.monotonic() - began < 5
    assert paths(new) == ["/2", "/3"], "the first may be there already, for all that is known"
    assert agent.counters.drops() == {"event.identity-changed": 1}
    assert len(list((agent.folder / "data" / "spool" / "rejected").iterdir())) == 1


def test_what_was_never_tried_goes_along_whole(agent: Agent, old: Platform, new: Platform) -> None:
    old.refuse_registration = True
    assert agent.load(document(old.url))
    agent.see(1, 2, 3)
    assert agent.load(document(new.url))
    agent.delivered()
    assert paths(new) == ["/1", "/2", "/3"]
    assert agent.counters.drops() == {}


def test_there_and_back_again_keeps_numbers_and_doubles_nothing(
    agent: Agent, old: Platform, new: Platform
) -> None:
    new.refuse_registration = True
    assert agent.load(document(old.url))
    agent.see(1)
    agent.delivered()
    first = agent.uplink.session.agent_id
    assert agent.load(document(new.url))
    agent.see(2)
    assert agent.load(document(old.url))
    agent.see(3)
    agent.delivered()
    assert agent.uplink.session.agent_id == first
    assert len(old.registrations) == 1
    assert old.order == [(str(agent.boot), number) for number in (1, 2, 3)]
    assert (old.duplicates, new.events) == (0, [])


def test_an_answer_of_the_former_platform_is_not_heeded(
    agent: Agent, old: Platform, new: Platform
) -> None:
    assert agent.load(document(old.url))
    wait(agent.uplink.session.registered.is_set)
    session = agent.uplink.session
    former = session.client
    assert agent.load(document(new.url))
    wait(session.registered.is_set)
    known = session.agent_id
    response = RegisterResponse(agent_id=uuid7(), agent_token="stale", account="a",
                                environment="e", config={"version": 2})  # fmt: skip
    session._accept(former, REGISTRATION_TOKEN, response)
    assert session.agent_id == known


# -- another token ---------------------------------------------------------------------


def test_another_token_registers_again_and_keeps_who_it_is(agent: Agent, old: Platform) -> None:
    old.tokens[OTHER_TOKEN] = "staging"
    assert agent.load(document(old.url))
    agent.see(1)
    agent.delivered()
    known = agent.uplink.session.agent_id
    assert agent.load(document(old.url, token=f"{{type: text, value: {OTHER_TOKEN}}}"))
    wait(lambda: agent.uplink.session.identity.environment == "staging")
    agent.see(2)
    agent.delivered()
    assert [one["kept"] for one in old.registrations] == [False, True]
    assert agent.uplink.session.agent_id == known
    assert old.order == [(str(agent.boot), 1), (str(agent.boot), 2)]


def test_a_token_that_is_refused_stops_nothing(agent: Agent, old: Platform) -> None:
    assert agent.load(document(old.url))
    wait(lambda: len(old.heartbeats) == 1)
    assert agent.load(document(old.url, token="{type: text, value: qcr_wrong}"))
    wait(lambda: len(old.heartbeats) == 2)
    agent.see(1)
    agent.delivered()
    assert paths(old) == ["/1"]
    assert len(old.registrations) == 1
    assert agent.uplink.session.renewal


def test_a_token_file_is_read_again(tmp_path: Path, old: Platform) -> None:
    old.tokens[OTHER_TOKEN] = "staging"
    file = tmp_path / "token"
    file.write_text(REGISTRATION_TOKEN)
    agent = Agent(tmp_path, {"T_FILE": str(file)})
    try:
        assert agent.load(document(old.url, token="{type: env, value: T}"))
        wait(lambda: len(old.heartbeats) == 1)
        file.write_text(OTHER_TOKEN + "\n")
        agent.uplink.beat_soon()
        wait(lambda: agent.uplink.session.identity.environment == "staging")
        file.unlink()
        agent.uplink.beat_soon()
        wait(lambda: len(old.heartbeats) == 3)
        assert not agent.load(document(old.url + "/", token="{type: env, value: T}"))
        assert "T_FILE" in agent.configuration.state.problem
    finally:
        agent.close()


def test_a_token_changed_while_the_agent_was_away(tmp_path: Path, old: Platform) -> None:
    old.tokens[OTHER_TOKEN] = "staging"
    first = Agent(tmp_path)
    first.load(document(old.url))
    wait(first.uplink.session.registered.is_set)
    first.close()
    second = Agent(tmp_path)
    second.load(document(old.url, token=f"{{type: text, value: {OTHER_TOKEN}}}"))
    wait(lambda: second.uplink.session.identity.environment == "staging")
    second.close()
    assert second.uplink.session.agent_id == first.uplink.session.agent_id


# -- certificates ----------------------------------------------------------------------


def test_certificates_are_read_again_at_a_reload(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    wrong, _ = write_certificate(tmp_path / "a", ["other"], ["127.0.0.1"])
    right, key = write_certificate(tmp_path / "b", ["localhost"], ["127.0.0.1"])
    ca = tmp_path / "ca.pem"
    shutil.copy(wrong, ca)
    with Platform((right, key)) as platform:
        text = document(platform.url, f"ca_file: {ca}")
        assert agent.load(text)
        agent.see(1)
        time.sleep(0.2)
        assert agent.uplink.spool.waiting == (1, 1)
        assert platform.registrations == []
        shutil.copy(right, ca)
        assert agent.load(text)
        agent.delivered()
        assert paths(platform) == ["/1"]
        ca.unlink()
        assert not agent.load(text)
        assert f"the CA file {ca} cannot be read" in agent.configuration.state.problem
        agent.see(2)
        agent.delivered()
        ca.write_text("no certificate")
        assert not agent.load(text)
        assert "cannot be used" in agent.configuration.state.problem


# -- coming and going ------------------------------------------------------------------


def test_a_platform_comes_and_goes(agent: Agent, old: Platform) -> None:
    assert agent.load(NONE)
    assert agent.way.uplink is None
    assert not (agent.folder / "data").exists()
    assert agent.load(document(old.url))
    agent.see(1)
    agent.delivered()
    agent.configuration.running.report(event(2))
    assert agent.load(NONE)
    agent.configuration.running.report(event(3))

    def arrived() -> bool:
        agent.uplink.tick()
        return len(old.events) == 2

    wait(arrived)
    assert agent.load(document(old.url))
    agent.see(4)
    agent.delivered()
    assert paths(old) == ["/1", "/2", "/4"]
    assert len(old.registrations) == 1


def test_a_folder_that_another_agent_has_refuses_the_configuration(
    agent: Agent, old: Platform
) -> None:
    assert agent.load(NONE)
    with lock_data_folder(agent.folder / "data"):
        assert not agent.load(document(old.url))
        assert "another agent uses the data folder" in agent.configuration.state.problem
        with pytest.raises(DataFolderError):
            lock_data_folder(agent.folder / "data")
    assert agent.load(document(old.url))
    agent.see(1)
    agent.delivered()


# -- the whole program -----------------------------------------------------------------


def test_the_program_moves_and_loses_nothing(
    tmp_path: Path, old: Platform, new: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", REGISTRATION_TOKEN)
    demo, config, status = tmp_path / "demo", tmp_path / "qtap.yaml", tmp_path / "status"
    requests = write_demo(demo, minutes=0.2, rate=20)
    text = alone(tmp_path)

    def pulse(platform: Platform) -> str:
        store = f"{{type: pulse, url: '{platform.url}', token: {{type: env, value: MY_TOKEN}}}}"
        return text.replace("{id: console, type: stdout}", store)

    config.write_text(text)
    words = ("--data-dir", str(tmp_path / "data"))
    with running(str(config), demo, status, *words, speed="2") as process:
        config.write_text(pulse(old))
        wait(lambda: len(old.events) > 0, 30)
        config.write_text(pulse(new))
        wait(lambda: len(new.events) > 0, 30)
        assert process.wait(60) == 0
    counted = Counter(one.request_id for one in [*old.events, *new.events])
    assert set(counted.values()) == {1}
    final = state(status)
    assert final["exchanges"] == requests
    assert sum(counted.values()) == final["events_spooled"] == final["events_acknowledged"]
    assert final["dropped"] == {}
