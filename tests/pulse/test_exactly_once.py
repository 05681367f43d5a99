"""Killed at every step, sent again at any time: each acknowledged event is there once."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.ingest.settings import IngestSettings
from pulse.loader.loader import Loader
from pulse.loader.sequences import MAX_RANGES, Sequences
from pulse.models import AgentBootLedger, Load, TouchedHour
from pulse.spool.folder import SpoolFolder, SpoolInUse
from pulse.spool.frames import MARK_SIZE, OPENING_SIZE, mark_of
from pulse.spool.segment import recover
from pulse.store.client import Store
from pulse.store.gate import ask_as_system
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import unscoped
from tests.pulse.door import Sender, Somebody, Tokens, door
from tests.pulse.lines import event, lines

database = pytest.mark.django_db(transaction=True)


class Killed(BaseException):
    """Nobody catches it, as nobody catches SIGKILL."""


class Dying(Loader):
    """A loader that is killed before or after one of its steps."""

    def __init__(self, folder: SpoolFolder, store: Store, step: str, when: str) -> None:
        super().__init__(folder, store, linger=0)
        self._step, self._when = step, when
        whole = getattr(self, step)

        def dying(*arguments: Any) -> Any:
            if when == "before":
                raise Killed
            whole(*arguments)
            raise Killed

        setattr(self, step, dying)


def paths(store: Store) -> Counter[tuple[UUID, str]]:
    rows = ask_as_system("test", "SELECT account_id, path FROM requests", {}, store=store)
    return Counter((row[0], row[1]) for row in rows)


def body(*names: str) -> bytes:
    return lines(*(event(path=name) for name in names))


@pytest.fixture
def owner() -> Somebody:
    return Somebody()


@pytest.fixture
def neighbour() -> Somebody:
    return Somebody()


@pytest.fixture
def tokens(owner: Somebody, neighbour: Somebody) -> Tokens:
    return Tokens(owner=owner, neighbour=neighbour)


def load_all(spool: SpoolFolder, store: Store) -> None:
    loader = Loader(spool, store, linger=0)
    loader.recover()
    while loader.step() is not None:
        pass


@database
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["_claim", "_insert", "_finish", "_remove"])
def test_a_loader_killed_at_any_step(
    spool: SpoolFolder, store: Store, tokens: Tokens, owner: Somebody, step: str, when: str
) -> None:
    with door(IngestSettings(spool=spool.path), tokens) as client:
        sender = Sender(client)
        assert sender.send(body("/1", "/2")).status_code == 200
        assert sender.send(body("/3")).status_code == 200
    with pytest.raises(Killed):
        Dying(spool, store, step, when).step()
    with door(IngestSettings(spool=spool.path), tokens) as client:
        sender.client = client
        assert sender.again(body("/1", "/2"), 1).status_code == 200
        assert sender.send(body("/4")).status_code == 200
    load_all(spool, store)
    assert paths(store) == {(owner.account_id, f"/{n}"): 1 for n in (1, 2, 3, 4)}
    assert spool.closed_segments() == []
    with unscoped("test"):
        assert set(Load.objects.values_list("state", flat=True)) == {"done"}
        assert TouchedHour.objects.exists()


@database
def test_a_block_that_is_half_there_is_made_whole(
    spool: SpoolFolder, store: Store, tokens: Tokens, owner: Somebody
) -> None:
    with door(IngestSettings(spool=spool.path), tokens) as client:
        assert Sender(client).send(body("/1", "/2", "/3")).status_code == 200
    with pytest.raises(Killed):
        Dying(spool, store, "_finish", "before").step()
    store.client().command(
        "ALTER TABLE requests DELETE WHERE path = '/2'", settings={"mutations_sync": 2}
    )
    load_all(spool, store)
    assert paths(store) == {(owner.account_id, f"/{n}"): 1 for n in (1, 2, 3)}


@database
def test_a_late_repetition_is_dropped_and_a_neighbour_is_not(
    spool: SpoolFolder, store: Store, tokens: Tokens, owner: Somebody, neighbour: Somebody
) -> None:
    boot = new_id()
    for _ in range(3):
        with door(IngestSettings(spool=spool.path), tokens) as client:
            # The neighbour claims the same boot and the same number: they are its own.
            for token in ("owner", "neighbour"):
                sender = Sender(client, token=token, boot_id=boot)
                assert sender.again(body(f"/{token}"), 7).status_code == 200
        load_all(spool, store)
    assert paths(store) == {
        (owner.account_id, "/owner"): 1,
        (neighbour.account_id, "/neighbour"): 1,
    }
    with unscoped("test"):
        assert AgentBootLedger.objects.count() == 2
        assert sum(Load.objects.values_list("duplicates", flat=True)) == 4


@database
def test_a_torn_frame_is_cut_and_a_damaged_one_put_aside(
    spool: SpoolFolder, store: Store, tokens: Tokens, owner: Somebody
) -> None:
    with door(IngestSettings(spool=spool.path), tokens) as client:
        sender = Sender(client)
        for name in ("/1", "/2", "/3"):
            assert sender.send(body(name)).status_code == 200
    (segment,) = spool.closed_segments()
    data = bytearray(segment.read_bytes())
    mark = bytes(mark_of(memoryview(data)) or b"")
    second = data.index(mark, OPENING_SIZE + MARK_SIZE)
    data[second + MARK_SIZE + 40] ^= 0xFF
    left = segment.with_suffix(".open")
    left.write_bytes(data + mark + b"QCF1 and then the power went")
    segment.unlink()
    assert recover(spool) == 1
    assert spool.closed_segments()[0].stat().st_size == len(data)
    load_all(spool, store)
    assert paths(store) == {(owner.account_id, "/1"): 1, (owner.account_id, "/3"): 1}
    (aside,) = spool.quarantine.iterdir()
    assert aside.read_bytes() == bytes(data[second : data.index(mark, second + MARK_SIZE)])
    with unscoped("test"):
        assert [load.damaged for load in Load.objects.all()] == [1]
    # The agent of the damaged batch sends it again: its number was not taken.
    with door(IngestSettings(spool=spool.path), tokens) as client:
        sender.client = client
        assert sender.again(body("/2"), 2).status_code == 200
    load_all(spool, store)
    assert paths(store)[owner.account_id, "/2"] == 1


@database
def test_a_spool_emptied_by_somebody_is_said(
    spool: SpoolFolder, store: Store, tokens: Tokens
) -> None:
    with door(IngestSettings(spool=spool.path), tokens) as client:
        assert Sender(client).send(body("/1")).status_code == 200
    with pytest.raises(Killed):
        Dying(spool, store, "_insert", "before").step()
    spool.closed_segments()[0].unlink()
    load_all(spool, store)
    assert paths(store) == {}
    with unscoped("test"):
        assert list(Load.objects.values_list("state", flat=True)) == ["lost"]


@database
def test_what_is_left_of_a_load_is_stored(
    spool: SpoolFolder, store: Store, tokens: Tokens, owner: Somebody
) -> None:
    for name in ("/1", "/2"):
        with door(IngestSettings(spool=spool.path), tokens) as client:
            assert Sender(client).send(body(name)).status_code == 200
    with pytest.raises(Killed):
        Dying(spool, store, "_insert", "before").step()
    spool.closed_segments()[0].unlink()
    load_all(spool, store)
    assert paths(store) == {(owner.account_id, "/2"): 1}
    with unscoped("test"):
        assert list(Load.objects.values_list("state", flat=True)) == ["lost"]
        assert TouchedHour.objects.count() == 1
    assert spool.closed_segments() == []
    load_all(spool, store)
    assert paths(store) == {(owner.account_id, "/2"): 1}


def test_one_process_for_each_role(spool: SpoolFolder) -> None:
    with (
        spool.lock("loader"),
        spool.lock("ingest"),
        pytest.raises(SpoolInUse, match="another loader"),
    ):
        spool.lock("loader")
    spool.lock("loader").close()


@given(st.lists(st.integers(1, 40), max_size=60))
def test_sequences_are_a_set(numbers: list[int]) -> None:
    sequences, model = Sequences(), set[int]()
    for number in numbers:
        assert sequences.add(number) == (number not in model)
        model.add(number)
    again = Sequences.of(sequences.stored())
    assert [n in again for n in range(42)] == [n in model for n in range(42)]
    gaps = sum(1 for n in model if n + 1 not in model)
    assert len(again) == gaps


def test_gaps_without_end_keep_the_row_bounded() -> None:
    sequences = Sequences()
    for number in range(1, 10 * MAX_RANGES, 2):
        assert sequences.add(number)
    assert len(sequences) == MAX_RANGES
    assert not sequences.add(2)
    assert sequences.add(10 * MAX_RANGES - 2)
