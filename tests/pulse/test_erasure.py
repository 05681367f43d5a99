"""An erased account: nothing is left, nothing comes back, nobody else is touched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event, Thread
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from pulse import erasure
from pulse.erasure import erase
from pulse.errors import ErasureWaits
from pulse.ingest.settings import IngestSettings
from pulse.loader import loader
from pulse.loader.loader import Loader
from pulse.loader.segments import Contents
from pulse.models import Load, LoadState, TouchedHour
from pulse.rollups import rebuild
from pulse.rollups.swap import counting
from pulse.spool.folder import SpoolFolder
from pulse.store.client import Store
from pulse.store.erasure import rollups_under_way, rows_of
from pulse.store.gate import ask_as_system
from pulse.store.rolled.write import count_quarters
from pulse.tables.rollups import RollupDay, TouchedSpan
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import unscoped
from tests.pulse.door import Sender, Somebody, Tokens, door
from tests.pulse.lines import NOON, event, lines
from tests.pulse.loaded import load_frames
from tests.pulse.test_block import frame

pytestmark = pytest.mark.django_db(transaction=True)


def load_all(spool: SpoolFolder, store: Store) -> None:
    loader = Loader(spool, store, linger=0)
    loader.recover()
    while loader.step() is not None:
        pass


def accounts(store: Store) -> list[UUID]:
    sql = "SELECT account_id FROM requests ORDER BY account_id"
    return [row[0] for row in ask_as_system("test", sql, {}, store=store)]


def test_an_erased_account_is_gone_and_stays_gone(spool: SpoolFolder, store: Store) -> None:
    leaving, staying = Somebody(), Somebody()
    with door(IngestSettings(spool=spool.path), Tokens(a=leaving, b=staying)) as client:
        for token in ("a", "b"):
            sent = lines(event(path="/1"), event(path="/2"))
            assert Sender(client, token=token).send(sent).status_code == 200
    load_all(spool, store)
    with door(IngestSettings(spool=spool.path), Tokens(a=leaving)) as client:
        assert Sender(client, token="a").send(lines(event(path="/waiting"))).status_code == 200
    found = erase(leaving.account_id, store=store)
    assert (found.before["requests"], found.after["requests"], found.complete) == (2, 0, True)
    load_all(spool, store)
    assert accounts(store) == [staying.account_id] * 2
    assert erase(leaving.account_id, store=store).before["requests"] == 0
    with unscoped("test"):
        assert not TouchedHour.objects.filter(account_id=leaving.account_id).exists()
        assert TouchedHour.objects.filter(account_id=staying.account_id).exists()
        assert list(Load.objects.order_by("id").values_list("rows", flat=True)) == [4, 0]


def test_an_erasure_waits_for_loads_that_began_before_it(store: Store) -> None:
    with unscoped("test"):
        Load.objects.create(spool_id=new_id(), segments=[], frames=[], rows=1)
    with pytest.raises(ErasureWaits, match="1 loads"):
        erase(new_id(), store=store, patience=0.1)
    with unscoped("test"):
        Load.objects.update(state=LoadState.DONE)
    assert erase(new_id(), store=store, patience=0.1).complete


def erasing(account_id: UUID, store: Store) -> Thread:
    """Another process that erases; given a moment to come as far as it can."""

    def work() -> None:
        try:
            assert erase(account_id, store=store, patience=30).complete
        finally:
            connection.close()

    thread = Thread(target=work)
    thread.start()
    thread.join(0.7)
    return thread


def test_a_claim_that_commits_meanwhile_is_waited_for(
    spool: SpoolFolder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It read that nobody is erased before the erasure began, and commits after."""
    leaving = Somebody()
    with door(IngestSettings(spool=spool.path), Tokens(a=leaving)) as client:
        assert Sender(client, token="a").send(lines(event())).status_code == 200
    whole = loader._erased
    threads = []

    def slow(contents: Contents) -> set[UUID]:
        found = whole(contents)
        threads.append(erasing(leaving.account_id, store))
        return found

    monkeypatch.setattr(loader, "_erased", slow)
    load_all(spool, store)
    threads[0].join(20)
    assert not threads[0].is_alive()
    assert accounts(store) == []
    with unscoped("test"):
        assert not TouchedHour.objects.exists()
        assert not TouchedSpan.objects.exists()


def test_rollups_that_are_counted_meanwhile_do_not_come_back(
    store: Store, monkeypatch: pytest.MonkeyPatch, set_clock: Callable[[datetime], None]
) -> None:
    set_clock(NOON + timedelta(hours=1))
    sent = frame(lines(event()))
    leaving = sent.header.account_id
    load_frames(store, [sent])
    threads = []

    def slow(*arguments: Any, **named: Any) -> None:
        threads.append(erasing(leaving, store))
        count_quarters(*arguments, **named)

    monkeypatch.setattr(rebuild, "count_quarters", slow)
    assert rebuild.rebuild_account(leaving, store=store) == 1
    threads[0].join(20)
    assert not threads[0].is_alive()
    assert set(rows_of(leaving, store=store).values()) == {0}
    with unscoped("test"):
        assert not RollupDay.objects.exists()


def test_a_statement_of_a_killed_worker_is_waited_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such of others that begin later are not."""
    answers = iter([{"old"}, {"old", "new"}, {"new"}])
    monkeypatch.setattr(erasure, "rollups_under_way", lambda **_: next(answers))
    assert erase(new_id(), store=store, patience=10).complete
    assert list(answers) == []
    monkeypatch.setattr(erasure, "rollups_under_way", lambda **_: {"old"})
    with pytest.raises(ErasureWaits, match="still writes rollups"):
        erase(new_id(), store=store, patience=0.1)


def test_who_counts_for_too_long_is_told(store: Store) -> None:
    account = new_id()

    def count() -> None:
        with counting(account) as ours:
            assert ours
            counts.set()
            erased.wait(20)
        connection.close()

    counts, erased = Event(), Event()
    thread = Thread(target=count)
    thread.start()
    counts.wait(20)
    with pytest.raises(ErasureWaits, match="still being counted"):
        erase(account, store=store, patience=0.1)
    erased.set()
    thread.join(20)
    assert erase(account, store=store, patience=0.1).complete


def test_rollups_under_way_are_seen(store: Store) -> None:
    settings = {"function_sleep_max_microseconds_per_block": 5_000_000}
    sql = (
        "INSERT INTO rollups (account_id) SELECT generateUUIDv4() FROM numbers(1)"
        " WHERE NOT sleep(1.5)"
    )

    def write() -> None:
        Store(store.settings).client().command(sql, settings=settings)

    assert rollups_under_way(store=store) == set()
    thread = Thread(target=write)
    thread.start()
    seen: set[str] = set()
    while thread.is_alive() and not seen:
        seen = rollups_under_way(store=store)
    thread.join(20)
    assert len(seen) == 1
