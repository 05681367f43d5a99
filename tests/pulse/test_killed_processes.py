"""The real processes, killed outright while agents send."""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import urllib3
import zstandard

from pulse.store.client import Store
from pulse.store.gate import ask_as_system
from pulse.store.migrate import migrate
from qcloud.kernel.ids import new_id
from tests.pulse.lines import event, lines
from tests.pulse.processes import EventStoreProcess, Process, free_port
from wire.protocol import BOOT_HEADER, EVENTS_PATH, SEQUENCE_HEADER

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

ROUNDS = 9
ROUND_SECONDS = 0.7
ROUND_BATCHES = 3
"""At least so many are acknowledged between two kills, however slow the machine is."""
WAIT_SECONDS = 40.0
LOADER = "import django; django.setup(); from pulse.loader.main import main; main()"


class Agent(threading.Thread):
    """Sends numbered batches, each until it is acknowledged; now and then an old one again."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__()
        self._url, self._name = url, name
        self._boot = str(new_id())
        self._http = urllib3.PoolManager(retries=False, timeout=3)
        self._random = random.Random(name)  # noqa: S311  chance, not a secret
        self.stopping = threading.Event()
        self.acknowledged: list[str] = []

    def run(self) -> None:
        sent: list[bytes] = []
        while not self.stopping.is_set():
            paths = [f"/{self._name}/{len(sent)}/{part}" for part in range(3)]
            sent.append(zstandard.compress(lines(*(event(path=path) for path in paths))))
            while not self._post(sent[-1], len(sent)):
                time.sleep(0.05)
            self.acknowledged += paths
            again = self._random.randrange(len(sent))
            self._post(sent[again], again + 1)

    def _post(self, body: bytes, number: int) -> bool:
        headers = {
            "Authorization": "Bearer owner",
            "Content-Encoding": "zstd",
            BOOT_HEADER: self._boot,
            SEQUENCE_HEADER: str(number),
        }
        try:
            answer = self._http.request("POST", self._url, body=body, headers=headers)
        except urllib3.exceptions.HTTPError:
            return False
        assert answer.status in {200, 503}, answer.data
        return answer.status == 200


@pytest.fixture
def engine_of_its_own(tmp_path: Path) -> Iterator[EventStoreProcess]:
    process = EventStoreProcess(tmp_path / "events")
    process.start()
    yield process
    process.stop()


@pytest.mark.timeout(300)
def test_every_acknowledged_event_is_there_once(
    engine_of_its_own: EventStoreProcess, tmp_path: Path
) -> None:
    engine, port = engine_of_its_own, free_port()
    migrate(Store(engine.settings()))
    environment = engine.environment() | {"QCLOUD_SPOOL_PATH": str(tmp_path / "spool")}
    command = [
        sys.executable, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port",
        str(port), "--workers", "1", "--factory", "tests.pulse.served:create_app",
    ]  # fmt: skip
    door = Process(command, environment, tmp_path / "door.log")
    loader = Process([sys.executable, "-c", LOADER], environment, tmp_path / "loader.log")
    agents = [Agent(f"http://127.0.0.1:{port}{EVENTS_PATH}", name) for name in ("a", "b")]
    try:
        for agent in agents:
            agent.start()
        _kill_at_random([(door.kill, door.start), (loader.kill, loader.start),
                         (engine.kill, engine.start)], agents)  # fmt: skip
        for agent in agents:
            agent.stopping.set()
            agent.join(30)
            assert not agent.is_alive()
        expected = Counter(path for agent in agents for path in agent.acknowledged)
        assert len(expected) > 50
        assert _stored(engine, len(expected)) == expected
    finally:
        for agent in agents:
            agent.stopping.set()
        loader.kill(signal.SIGTERM)
        door.kill(signal.SIGTERM)


def _kill_at_random(
    victims: list[tuple[Callable[[], None], Callable[[], None]]], agents: list[Agent]
) -> None:
    chance = random.Random(3)  # noqa: S311  chance, not a secret
    for round_number in range(ROUNDS):
        wanted = _acknowledged(agents) + 3 * ROUND_BATCHES
        time.sleep(ROUND_SECONDS + chance.random())
        deadline = time.monotonic() + WAIT_SECONDS
        while _acknowledged(agents) < wanted:
            assert time.monotonic() < deadline, "nobody's batches are acknowledged any more"
            time.sleep(0.05)
        kill, start = victims[round_number % len(victims)]
        kill()
        start()


def _acknowledged(agents: list[Agent]) -> int:
    """Events."""
    return sum(len(agent.acknowledged) for agent in agents)


def _stored(engine: EventStoreProcess, wanted: int) -> Counter[str]:
    """What is in the store once it holds as many paths as were acknowledged."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        rows = ask_as_system(
            "test", "SELECT path FROM requests", {}, store=Store(engine.settings())
        )
        found = Counter(str(row[0]) for row in rows)
        if len(found) >= wanted or time.monotonic() > deadline:
            return found
        time.sleep(0.3)
