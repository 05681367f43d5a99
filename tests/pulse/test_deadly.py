"""A batch that kills the event store stops nobody else; a store that dies by itself costs none."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pulse.errors import StoreUnavailable
from pulse.health import pipeline_health
from pulse.ingest.settings import IngestSettings
from pulse.loader import deaths, loader
from pulse.loader.loader import Loader
from pulse.models import Load
from pulse.spool.folder import SpoolFolder
from pulse.store.client import Store
from pulse.store.loads import Life, insert_load, life_of
from pulse.store.migrate import migrate
from qcloud.kernel.scope import unscoped
from tests.pulse.door import Sender, Somebody, Tokens, door
from tests.pulse.lines import event, lines
from tests.pulse.processes import EventStoreProcess
from tests.pulse.test_poison import set_aside, stored

pytestmark = pytest.mark.django_db(transaction=True)

REASON = "the event store died of it 3 times, and took others meanwhile"
GOOD = Counter(f"/{number}" for number in range(1, 6))


def send(spool: SpoolFolder, *batches: list[str]) -> None:
    with door(IngestSettings(spool=spool.path), Tokens(owner=Somebody())) as client:
        sender = Sender(client)
        for paths in batches:
            body = lines(*(event(path=path) for path in paths))
            assert sender.send(body).status_code == 200


BATCHES = (["/1"], ["/2"], ["/3", "/poison"], ["/4"], ["/5"])


class Mortal:
    """The store, as one that ends in the midst of chosen inserts and is started again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, dies: Callable[[pa.Table], bool]) -> None:
        self.dies, self.deaths = dies, 0
        for module in (deaths, loader):
            monkeypatch.setattr(module, "insert_load", self.insert)
        monkeypatch.setattr(deaths, "life_of", self.life)

    def insert(self, store: Store, table: pa.Table, *more: Any) -> int:
        if self.dies(table):
            self.deaths += 1
            raise StoreUnavailable("there")
        return insert_load(store, table, *more)

    def life(self, store: Store) -> Life:
        real = life_of(store)
        return real._replace(began=real.began + self.deaths * timedelta(seconds=10))


def poisoned(table: pa.Table) -> bool:
    return "path" in table.column_names and "/poison" in table["path"].to_pylist()


def run(spool: SpoolFolder, store: Store, rounds: int) -> int:
    """As the loader's process does, without its pauses; how often it failed."""
    failures = 0
    working, recovered = Loader(spool, store, linger=0), False
    for _ in range(rounds):
        try:
            if not recovered:
                working.recover()
                recovered = True
            working.heed()
            working.step()
        except StoreUnavailable:
            # What is remembered of it is in the database: a process that ended as well.
            working, recovered, failures = Loader(spool, store, linger=0), False, failures + 1
    return failures


@pytest.fixture(autouse=True)
def _young(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deaths, "QUIET_SECONDS", 0)


def test_a_batch_that_kills_it_is_set_aside_and_the_others_go_on(
    spool: SpoolFolder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(spool, *BATCHES)
    Mortal(monkeypatch, poisoned)
    assert run(spool, store, 10) == deaths.SUSPECTED + 1
    assert stored(store) == GOOD - Counter(["/3"])
    assert set_aside() == [("kept", 2, REASON)]
    assert pipeline_health().set_aside == 1
    with unscoped("test"):
        assert [load.state for load in Load.objects.all()] == ["done"]
    send(spool, ["/after"])
    assert run(spool, store, 2) == 0
    assert stored(store)["/after"] == 1


def test_alone_in_its_load(
    spool: SpoolFolder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row of nobody says that the store takes others; nothing of it stays."""
    send(spool, ["/poison"])
    Mortal(monkeypatch, poisoned)
    run(spool, store, 10)
    assert set_aside() == [("kept", 1, REASON)]
    assert stored(store) == Counter()


def test_a_store_that_takes_nothing_sets_nothing_aside(
    spool: SpoolFolder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(spool, *BATCHES)
    mortal = Mortal(monkeypatch, lambda _: True)
    assert run(spool, store, 10) == 10
    assert set_aside() == []
    mortal.dies = lambda _: False
    assert run(spool, store, 2) == 0
    assert stored(store) == GOOD + Counter(["/poison"])


@pytest.mark.parametrize("times", [2, 4, 7])
def test_a_store_that_dies_by_itself_sets_nothing_aside(
    spool: SpoolFolder, store: Store, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """However often it happens to fall into an insert of ours, before it recovers."""
    send(spool, *BATCHES)
    mortal = Mortal(monkeypatch, lambda _: mortal.deaths < times)
    run(spool, store, 12)
    assert mortal.deaths == times
    assert set_aside() == []
    assert stored(store) == GOOD + Counter(["/poison"])


def test_a_store_that_is_down_or_cut_off_is_no_death(
    spool: SpoolFolder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same process answers again: whatever ended the connection, it did not end."""
    send(spool, *BATCHES)
    mortal = Mortal(monkeypatch, poisoned)
    monkeypatch.setattr(deaths, "life_of", life_of)
    assert run(spool, store, 12) == 12
    with unscoped("test"):
        assert [load.deaths for load in Load.objects.all()] == [0]
    assert set_aside() == []
    mortal.dies = lambda _: False
    run(spool, store, 2)
    assert stored(store) == GOOD + Counter(["/poison"])


def test_dead_behind_the_last_byte(
    spool: SpoolFolder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had written the batch before it died: counted once, not set aside."""
    send(spool, *BATCHES)
    mortal = Mortal(monkeypatch, lambda _: False)
    whole = mortal.insert

    def late(store: Store, table: pa.Table, *more: Any) -> int:
        rows = whole(store, table, *more)
        if poisoned(table) and table.num_rows < 5:
            mortal.deaths += 1
            raise StoreUnavailable("there")
        return rows

    monkeypatch.setattr(deaths, "insert_load", late)
    mortal.dies = lambda table: table.num_rows == 6
    run(spool, store, 10)
    assert mortal.deaths > deaths.SUSPECTED
    assert set_aside() == []
    assert stored(store) == GOOD + Counter(["/poison"])


@pytest.fixture
def engine_of_its_own(tmp_path: Path) -> Iterator[EventStoreProcess]:
    process = EventStoreProcess(tmp_path / "events")
    process.start()
    yield process
    process.stop()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_real_engine_that_is_really_killed(
    engine_of_its_own: EventStoreProcess, spool: SpoolFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each insert with the poison ends it, as a crash does; a supervisor starts it again."""
    engine = engine_of_its_own
    store = Store(engine.settings())
    migrate(store)
    send(spool, ["/1"], ["/2", "/poison"], ["/3"])
    monkeypatch.setattr(deaths, "QUIET_SECONDS", 2)
    monkeypatch.setattr(deaths, "SUSPECTED", 2)

    def deadly(store: Store, table: pa.Table, *more: Any) -> int:
        if poisoned(table):
            engine.kill()
            threading.Timer(0.3, engine.start).start()
        return insert_load(store, table, *more)

    for module in (deaths, loader):
        monkeypatch.setattr(module, "insert_load", deadly)
    stop, failures = threading.Event(), 0
    working, recovered = Loader(spool, store, linger=0, stop=stop), False
    while not set_aside():
        try:
            if not recovered:
                working.recover()
                recovered = True
            working.step()
        except StoreUnavailable:
            recovered, failures = False, failures + 1
            stop.wait(1)
        assert failures < 30
    assert set_aside() == [("kept", 2, REASON)]
    engine.kill()
    engine.start()
    assert stored(Store(engine.settings())) == Counter(["/1", "/3"])
