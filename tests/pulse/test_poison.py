"""A batch that the event store refuses stops nobody else, and is not lost."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from audit.models import Entry
from pulse.asides import batch_aside_drop, batches_aside
from pulse.errors import StoreUnavailable
from pulse.health import pipeline_health
from pulse.ingest.settings import IngestSettings
from pulse.loader import aside, deaths
from pulse.loader.block import block_of
from pulse.loader.loader import Loader
from pulse.models import ErasedAccount, Load, TouchedHour
from pulse.spool.folder import SpoolFolder
from pulse.store.client import ClickHouseError, Store
from pulse.store.gate import ask_as_system
from pulse.tables.aside import AsideBatch
from qcloud import spool as command
from qcloud.kernel.errors import Denied
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import unscoped
from tests.pulse.door import Sender, Somebody, Tokens, door
from tests.pulse.lines import event, lines

pytestmark = pytest.mark.django_db(transaction=True)


def stored(store: Store) -> Counter[str]:
    rows = ask_as_system("test", "SELECT path FROM requests", {}, store=store)
    return Counter(str(row[0]) for row in rows)


def refuse(store: Store) -> None:
    """The engine itself says no to methods that it does not know."""
    store.client().command("ALTER TABLE requests MODIFY COLUMN method Enum8('GET' = 1)")


def allow(store: Store) -> None:
    store.client().command("ALTER TABLE requests MODIFY COLUMN method LowCardinality(String)")


def load_all(spool: SpoolFolder, store: Store) -> Loader:
    loader = Loader(spool, store, linger=0)
    loader.recover()
    loader.heed()
    while loader.step() is not None:
        pass
    return loader


def set_aside() -> list[tuple[str, int, str]]:
    with unscoped("test"):
        rows = AsideBatch.objects.order_by("file").values_list("state", "rows", "reason")
        return [(str(state), int(count), str(reason)) for state, count, reason in rows]


def decide(state: str) -> None:
    with unscoped("test"):
        AsideBatch.objects.filter(state="kept").update(state=state)


@pytest.fixture
def sent(spool: SpoolFolder) -> Somebody:
    """Nine batches of two agents; those of numbers 3 and 8 hold /no."""
    owner, neighbour = Somebody(), Somebody()
    with door(IngestSettings(spool=spool.path), Tokens(o=owner, n=neighbour)) as client:
        senders = [Sender(client, token="o"), Sender(client, token="n")]
        for number in range(1, 10):
            paths = [f"/{number}", "/no"] if number in {3, 8} else [f"/{number}"]
            events = (event(path=p, method="NO" if p == "/no" else "GET") for p in paths)
            body = lines(*events)
            assert senders[number % 2].send(body).status_code == 200
    return neighbour


GOOD = Counter(f"/{number}" for number in (1, 2, 4, 5, 6, 7, 9))
ALL = GOOD + Counter({"/3": 1, "/8": 1, "/no": 2})
REASON = "the event store refuses it: code 691 UNKNOWN_ELEMENT_OF_ENUM"


@pytest.mark.usefixtures("sent")
def test_the_others_are_stored_and_it_is_kept(spool: SpoolFolder, store: Store) -> None:
    refuse(store)
    load_all(spool, store)
    assert stored(store) == GOOD
    assert set_aside() == [("kept", 2, REASON)] * 2
    assert len(list(spool.aside.iterdir())) == 2
    assert spool.closed_segments() == []
    with unscoped("test"):
        (load,) = Load.objects.all()
        assert (load.state, load.rows, len(load.frames)) == ("done", 7, 7)
    # Still refused when tried again; kept, once.
    decide("retry")
    load_all(spool, store)
    assert stored(store) == GOOD
    assert set_aside() == [("kept", 2, REASON)] * 2
    allow(store)
    with unscoped("test"):
        TouchedHour.objects.all().delete()
    decide("retry")
    load_all(spool, store)
    assert stored(store) == ALL
    assert set_aside() == [("stored", 2, REASON)] * 2
    assert list(spool.aside.iterdir()) == []
    with unscoped("test"):
        assert TouchedHour.objects.count() == 2
    load_all(spool, store)
    assert stored(store) == ALL


@pytest.mark.usefixtures("sent")
def test_dropped_when_somebody_says_so(spool: SpoolFolder, store: Store) -> None:
    refuse(store)
    load_all(spool, store)
    decide("drop")
    load_all(spool, store)
    assert stored(store) == GOOD
    assert [state for state, _, _ in set_aside()] == ["dropped", "dropped"]
    assert list(spool.aside.iterdir()) == []


@pytest.mark.parametrize("decided", ["kept", "retry", "late"])
def test_an_erased_account_leaves_nothing_aside(
    spool: SpoolFolder, store: Store, sent: Somebody, decided: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever an operator decided about its batches, before or meanwhile."""
    refuse(store)
    load_all(spool, store)
    before = stored(store)
    allow(store)
    with unscoped("test"):
        mine = AsideBatch.objects.filter(account_id=sent.account_id)
        mine.update(state="kept" if decided == "kept" else "retry")

    def erase() -> None:
        with unscoped("test"):
            ErasedAccount.objects.create(account_id=sent.account_id)

    if decided == "late":
        whole = Loader._heed

        def late(self: Loader, batch: AsideBatch) -> None:
            monkeypatch.undo()
            erase()
            whole(self, batch)

        monkeypatch.setattr(Loader, "_heed", late)
    else:
        erase()
    load_all(spool, store)
    load_all(spool, store)
    assert sorted(state for state, _, _ in set_aside()) == ["dropped", "kept"]
    assert len(list(spool.aside.iterdir())) == 1
    assert stored(store) == before


class Killed(BaseException):
    """Nobody catches it, as nobody catches SIGKILL."""


@pytest.mark.usefixtures("sent")
@pytest.mark.parametrize("step", ["insert_load", "write_durably", "_note", "delete_load"])
def test_killed_while_separating(
    spool: SpoolFolder, store: Store, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    refuse(store)
    place = deaths if step == "insert_load" else aside
    whole: Callable[..., Any] = getattr(place, step)
    calls = 0

    def dying(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2 or step in {"_note", "delete_load"}:
            raise Killed
        return whole(*arguments)

    monkeypatch.setattr(place, step, dying)
    if step == "delete_load":
        # It is called when an earlier try left rows.
        monkeypatch.setattr(aside, "count_load", lambda *_: 1)
    with pytest.raises(Killed):
        load_all(spool, store)
    monkeypatch.undo()
    load_all(spool, store)
    assert stored(store) == GOOD
    assert set_aside() == [("kept", 2, REASON)] * 2
    allow(store)
    decide("retry")
    load_all(spool, store)
    assert stored(store) == ALL


@pytest.mark.usefixtures("sent")
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_trying_again(
    spool: SpoolFolder, store: Store, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    refuse(store)
    load_all(spool, store)
    allow(store)
    decide("retry")
    whole = Loader._finish

    def dying(self: Loader, *arguments: Any) -> None:
        if when == "after":
            whole(self, *arguments)
        raise Killed

    monkeypatch.setattr(Loader, "_finish", dying)
    with pytest.raises(Killed):
        load_all(spool, store)
    monkeypatch.undo()
    load_all(spool, store)
    assert stored(store) == ALL
    assert [state for state, _, _ in set_aside()] == ["stored", "stored"]


NOT_ITS_DATA = (
    ClickHouseError("Code: 243. DB::Exception: Cannot reserve. (NOT_ENOUGH_SPACE)"),
    ClickHouseError("Code: 241. DB::Exception: x. (MEMORY_LIMIT_EXCEEDED)"),
    ClickHouseError("Code: 1001. std::exception: No space left on device (STD_EXCEPTION)"),
    ClickHouseError("Code: 49. DB::Exception: never seen. (LOGICAL_ERROR)"),
    StoreUnavailable("there"),
)


@pytest.mark.usefixtures("sent")
def test_a_store_that_cannot_take_any_sets_nothing_aside(
    spool: SpoolFolder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in NOT_ITS_DATA:

        def refused(*_: Any, reason: Exception = error) -> int:
            raise reason

        monkeypatch.setattr("pulse.loader.loader.insert_load", refused)
        for _ in range(3):
            with pytest.raises(type(error)):
                load_all(spool, store)
    monkeypatch.undo()
    assert set_aside() == []
    load_all(spool, store)
    assert stored(store) == ALL


@pytest.mark.usefixtures("sent")
def test_a_batch_without_a_column_is_separated(
    spool: SpoolFolder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong with a block of these rows, not in the engine alone."""
    whole = block_of

    def strange(frames: Any, load_id: UUID, *more: Any) -> Any:
        block = whole(frames, load_id, *more)
        if "/no" in block["path"].to_pylist():
            raise KeyError("path")
        return block

    monkeypatch.setattr(deaths, "block_of", strange)
    monkeypatch.setattr("pulse.loader.loader.block_of", strange)
    load_all(spool, store)
    assert stored(store) == GOOD
    assert set_aside() == [("kept", 2, "no block could be made of it (KeyError)")] * 2


@pytest.mark.usefixtures("sent")
def test_an_operator_sees_them_and_decides(
    spool: SpoolFolder, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(store)
    load_all(spool, store)
    actor = Actor.system("test")
    first, second = batches_aside(actor=actor)
    assert (first.rows, first.kind, first.reason, first.state) == (2, "request", REASON, "kept")
    assert pipeline_health().set_aside == 2
    assert spool_command("list") == 0
    said = capsys.readouterr().out
    assert str(first.id) in said
    assert REASON in said
    assert spool_command("retry", str(first.id)) == 0
    assert spool_command("drop", str(second.id)) == 0
    assert spool_command("drop", str(first.id)) == 1
    assert "decided already" in capsys.readouterr().err
    allow(store)
    load_all(spool, store)
    assert stored(store).total() == GOOD.total() + 2
    assert batches_aside(actor=actor) == []
    assert pipeline_health().set_aside == 0
    with unscoped("test"):
        actions = [(e.action, e.object_id) for e in Entry.objects.order_by("id")]
    assert actions == [
        ("pulse.aside.retry", str(first.id)),
        ("pulse.aside.drop", str(second.id)),
    ]
    with pytest.raises(Denied):
        batches_aside(actor=replace(actor, permissions=frozenset()))
    with pytest.raises(Denied):
        batch_aside_drop(actor=replace(actor, permissions=frozenset()), batch_id=first.id)


def spool_command(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_commands(parser)
    return command.main(parser.parse_args(arguments))
