"""The ledger forgets boots; no batch is counted twice, and none of a right clock is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pulse.boot_ids import EPOCH, first_boot_at, may_be_forgotten
from pulse.boots import forget_boots, is_forgotten
from pulse.ingest.settings import IngestSettings
from pulse.loader.ledger import Verdict, claim
from pulse.loader.loader import Loader
from pulse.models import AgentBootLedger, Load
from pulse.spool.folder import SpoolFolder
from pulse.spool.frames import FrameHeader
from pulse.store.client import Store
from pulse.store.gate import ask_as_system
from pulse.tables.aside import AsideBatch
from pulse.tables.boots import AgentBootFloor
from pulse.tasks import forget_unused_boots
from qcloud.kernel.clock import now
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import unscoped
from tests.pulse.door import Sender, Somebody, Tokens, door
from tests.pulse.lines import event, lines

TODAY = datetime(2026, 11, 21, 12, tzinfo=UTC)
HORIZON = timedelta(days=90)


def boot_at(moment: datetime) -> UUID:
    """A boot id of that time, with random bits."""
    return UUID(int=first_boot_at(moment).int | new_id().int & ((1 << 80) - 1))


def header(agent: UUID, boot: UUID, sequence: int = 1) -> FrameHeader:
    return FrameHeader(
        agent_id=agent, account_id=agent, environment_id=agent, boot_id=boot,
        sequence=sequence, rows=1, received_at=TODAY,
    )  # fmt: skip


def take(agent: UUID, boot: UUID, sequence: int = 1, *, at: datetime = TODAY) -> Verdict:
    with unscoped("test"):
        (verdict,) = claim([header(agent, boot, sequence)], at)
    return verdict


def rows_of(agent: UUID) -> set[UUID]:
    with unscoped("test"):
        return set(AgentBootLedger.objects.filter(agent_id=agent).values_list("boot_id", flat=True))


SANE = st.integers(0, 300)
"""Days after the first one at which a boot begins, by a clock that is right."""
WRONG = st.sampled_from([-20_000, -900, -400, -200, 500, 4_000])
"""Days by which a clock is wrong: never set, behind, ahead."""
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("start"), st.one_of(st.just(0), st.just(0), WRONG)),
        st.tuples(st.just("send"), st.integers(0, 9)),
        st.tuples(st.just("again"), st.integers(0, 9)),
        st.tuples(st.just("wait"), st.sampled_from([1, 20, 60, 89, 91, 200])),
        st.tuples(st.just("forget"), st.just(0)),
    ),
    max_size=40,
)


@pytest.mark.django_db
@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_whatever_happens_nothing_counts_twice(steps: list[tuple[str, int]]) -> None:
    """Of one agent; ``again`` sends what was sent before, however long ago."""
    agent, today = new_id(), TODAY
    boots: list[tuple[UUID, datetime, bool]] = [(boot_at(today), today, True)]
    sent: list[tuple[UUID, int]] = []
    counted: set[tuple[UUID, int]] = set()
    for step, number in steps:
        if step == "start":
            boots.append((boot_at(today + timedelta(days=number)), today, number == 0))
        elif step == "wait":
            today += timedelta(days=number)
        elif step == "forget":
            forget_boots(today)
        elif step == "send":
            boot, since, right = boots[number % len(boots)]
            sent.append((boot, len(sent) + 1))
            verdict = take(agent, *sent[-1], at=today)
            assert verdict is not Verdict.REPEATED
            if right and today - since < HORIZON:
                assert verdict is Verdict.NEW, "good events of a clock that is right"
            if verdict is Verdict.NEW:
                counted.add(sent[-1])
        elif sent:
            batch = sent[number % len(sent)]
            verdict = take(agent, *batch, at=today)
            assert verdict is not Verdict.NEW or batch not in counted
            if verdict is Verdict.NEW:
                counted.add(batch)


@pytest.mark.django_db
def test_unused_boots_go_and_their_floor_stays() -> None:
    agent, other = new_id(), new_id()
    old, older, young = (boot_at(TODAY - timedelta(days=days)) for days in (100, 200, 10))
    unset = boot_at(datetime(1970, 1, 1, 0, 0, 20, tzinfo=UTC))
    ahead = boot_at(TODAY + timedelta(days=4_000))
    running = boot_at(TODAY - timedelta(days=300))
    before = TODAY - timedelta(days=95)
    for boot in (old, older, unset, ahead):
        assert take(agent, boot, at=before) is Verdict.NEW
    for boot in (young, running):
        assert take(agent, boot, at=TODAY - timedelta(days=9)) is Verdict.NEW
    assert forget_boots(TODAY) == 2
    assert forget_boots(TODAY) == 0
    assert rows_of(agent) == {unset, ahead, young, running}
    with unscoped("test"):
        assert list(AgentBootFloor.objects.values_list("agent_id", "boot_id")) == [(agent, old)]
    assert take(agent, old) is take(agent, older) is Verdict.FORGOTTEN
    # Known ones go on, whatever their age; and an unknown one of a clock that was never set.
    assert take(agent, running) is take(agent, unset) is Verdict.REPEATED
    assert take(agent, running, 2) is Verdict.NEW
    assert take(agent, boot_at(datetime(1970, 1, 1, 0, 0, 19, tzinfo=UTC))) is Verdict.NEW
    # Refused ones leave no row behind; another agent's boots have nothing to do with it.
    assert old not in rows_of(agent)
    assert take(other, old) is Verdict.NEW


@pytest.mark.django_db
def test_a_floor_only_rises() -> None:
    agent = new_id()
    late, early = (boot_at(TODAY - timedelta(days=days)) for days in (100, 150))
    take(agent, late, at=TODAY - timedelta(days=99))
    take(agent, early, at=TODAY - timedelta(days=80))
    assert forget_boots(TODAY) == 1
    assert forget_boots(TODAY + timedelta(days=20)) == 1
    with unscoped("test"):
        assert AgentBootFloor.objects.get(agent_id=agent).boot_id == late


@pytest.mark.django_db
def test_boots_of_wrong_clocks_are_bounded_by_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last few of each, by when they were used; no floor stands for any of them."""
    monkeypatch.setattr("pulse.boots.ODD_KEPT", 3)
    monkeypatch.setattr("pulse.boots._AT_ONCE", 2)
    agent, other = new_id(), new_id()
    unset = [boot_at(datetime(1970, 1, 1, tzinfo=UTC)) for _ in range(5)]
    ahead = boot_at(TODAY + timedelta(days=4_000))
    for place, boot in enumerate([ahead, *unset]):
        take(agent, boot, at=TODAY - timedelta(days=200 - place))
    in_use = [boot_at(datetime(1970, 1, 1, tzinfo=UTC)) for _ in range(5)]
    for boot in in_use:
        take(agent, boot, at=TODAY - timedelta(days=89))
        take(other, boot, at=TODAY - timedelta(days=300))
    assert forget_boots(TODAY) == 3 + 2
    assert forget_boots(TODAY) == 0
    assert rows_of(agent) == {*unset[2:], *in_use}
    assert len(rows_of(other)) == 3
    with unscoped("test"):
        assert not AgentBootFloor.objects.exists()
    assert take(agent, unset[4]) is Verdict.REPEATED
    assert take(agent, boot_at(datetime(1970, 1, 1, tzinfo=UTC))) is Verdict.NEW


def test_the_door_asks_about_old_boots_alone() -> None:
    assert not may_be_forgotten(boot_at(TODAY - timedelta(days=29)), TODAY)
    assert may_be_forgotten(boot_at(TODAY - timedelta(days=31)), TODAY)
    assert not may_be_forgotten(UUID(int=EPOCH.int - 1), TODAY)


@pytest.mark.django_db(transaction=True)
def test_from_the_door_to_the_loader(spool: SpoolFolder, store: Store) -> None:
    owner = Somebody()
    gone, body = boot_at(now() - timedelta(days=120)), lines(event(path="/old"))
    tokens = Tokens(owner=owner)
    take(owner.agent_id, gone, at=now() - timedelta(days=100))
    with door(IngestSettings(spool=spool.path), tokens) as client:
        # It passes the door while the ledger still has the row …
        assert Sender(client, boot_id=gone).send(body).status_code == 200
        assert Sender(client).send(lines(event(path="/new"))).status_code == 200
        assert not is_forgotten(owner.agent_id, gone)
        assert forget_unused_boots() == 1
        assert is_forgotten(owner.agent_id, gone)
        tokens.forgotten.add((owner.agent_id, gone))
        answer = Sender(client, boot_id=gone).send(body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "pulse.boot_forgotten")
    loader = Loader(spool, store, linger=0)
    loader.recover()
    assert loader.step() == 1
    rows = ask_as_system("test", "SELECT path FROM requests", {}, store=store)
    assert [row[0] for row in rows] == ["/new"]
    with unscoped("test"):
        # … and is an operator's to decide: not counted, not lost.
        (batch,) = AsideBatch.objects.all()
        assert (batch.state, batch.rows, batch.agent_id) == ("kept", 1, owner.agent_id)
        assert "ledger has forgotten" in batch.reason
        assert (Path(spool.aside) / batch.file).exists()
        assert Load.objects.get().duplicates == 0
        AsideBatch.objects.update(state="retry")
    assert loader.heed() == 1
    rows = ask_as_system("test", "SELECT path FROM requests", {}, store=store)
    assert sorted(row[0] for row in rows) == ["/new", "/old"]


@pytest.fixture
def migrated_from_before() -> UUID:
    """A row as a loader of the version before writes it: without ``used_at``."""
    agent = new_id()
    with unscoped("test"), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO pulse_agentbootledger (id, agent_id, boot_id, sequences)"
            " VALUES (%s, %s, %s, '{[1,5)}')",
            [new_id(), agent, boot_at(TODAY - timedelta(days=500))],
        )
    return agent


@pytest.mark.django_db
def test_rows_of_older_writers_count_as_used_when_they_were_written(
    migrated_from_before: UUID,
) -> None:
    assert forget_boots() == 0
    assert len(rows_of(migrated_from_before)) == 1
    assert forget_boots(now() + timedelta(days=91)) == 1
