"""What is too old goes, counted; what was counted from it stays; what is held stays whole."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from audit.selectors import EntryFilter, entries
from fleet.services import environment_close, environment_create
from pulse import analytics
from pulse.erasure import erase
from pulse.errors import HeldBack
from pulse.metering import freeze_usage, recompute_usage, usage_freeze, usage_hours
from pulse.models import ErasedAccount, Load, TouchedHour
from pulse.retention import expiring
from pulse.retention.choosing import (
    retention_choose,
    retention_of,
    retention_preview,
    retention_undo,
)
from pulse.retention.expiring import expire_due
from pulse.retention.holds import (
    Extent,
    hold_release,
    hold_release_ask,
    hold_release_cancel,
    hold_set,
    holds,
)
from pulse.retention.keeping import through
from pulse.retention.kinds import KINDS, Kind
from pulse.store.client import ClickHouseError, Store
from pulse.store.filters import TrafficFilter
from pulse.store.gate import ask_as_system
from pulse.store.retention import count_old
from pulse.tables.issues import Issue, IssueHour, IssueState
from pulse.tables.retention import RetentionChoice, RetentionMark, RetentionRun
from pulse.tables.rollups import TouchedSpan
from pulse.tables.taken import EventsTaken
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound, StepUpNeeded
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person
from tests.pulse.aged import count_all, days_ago, load_aged

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The readers that a removal waits for are none here."""
    monkeypatch.setattr(expiring, "PAUSE", timedelta(0))


def proved(person: Person) -> Any:
    return replace(person.actor, proved_at=now())


def rows(store: Store, table: str = "requests", where: str = "1") -> int:
    sql = f"SELECT count() FROM {table} WHERE {where}"  # noqa: S608
    return int(ask_as_system("test", sql, {}, store=store)[0][0])


def defaults(**changes: int) -> dict[Kind, int]:
    return {kind: KINDS[kind].days for kind in Kind} | {Kind(k): v for k, v in changes.items()}


def whole(since_days: float, until_days: float) -> TrafficFilter:
    return TrafficFilter(
        days_ago(since_days).replace(hour=0, minute=0),
        days_ago(until_days).replace(hour=0, minute=0),
    )


def test_old_requests_go_counted_and_their_sums_stay(
    store: Store, customer_owner: Person, other_customer_owner: Person
) -> None:
    account, other = customer_owner.account.id, other_customer_owner.account.id
    prod = new_id()
    load_aged(store, account, prod, {45: 7, 40: 5, 10: 3, 1: 2})
    load_aged(store, other, prod, {45: 4, 1: 1})
    count_all(store)
    before = analytics.totals(customer_owner.scope, whole(60, 30), store=store)
    usage = usage_hours(customer_owner.scope, days_ago(60), now())
    assert (before.requests, sum(row.requests for row in usage)) == (12, 17)
    retention_choose(actor=proved(other_customer_owner), wanted=defaults(requests=90))
    total = rows(store)

    assert expire_due(store=store) == 12 + 3 + 1  # sums of minutes with them, of both
    assert rows(store, where=f"account_id = '{account}'") == 5
    assert rows(store, where=f"account_id = '{other}'") == 5
    with unscoped("test"):
        (run,) = RetentionRun.objects.filter(account_id=account, kind="requests")
        assert (run.rows_before, run.rows_deleted, run.rows_after) == (12, 12, 0)
        assert total == rows(store) + run.rows_deleted
        assert run.through == through(30, now())
        kinds = set(RetentionRun.objects.filter(account_id=other).values_list("kind", flat=True))
        assert kinds == {"minutes"}
    # Pages and books say what they said.
    assert analytics.totals(customer_owner.scope, whole(60, 30), store=store) == before
    assert usage_hours(customer_owner.scope, days_ago(60), now()) == usage
    assert expire_due(store=store) == 0
    assert retention_of(customer_owner.scope).kept[0].gone_before == through(30, now())


def test_other_events_of_who_has_no_request_go_too(
    store: Store, customer_owner: Person, other_customer_owner: Person
) -> None:
    """Lookups alone: neither sums nor spans tell of such an account."""
    for person in (customer_owner, other_customer_owner):
        row = {
            "account_id": str(person.account.id), "environment_id": str(new_id()),
            "agent_id": str(new_id()), "load_id": str(new_id()),
            "timestamp": f"{days_ago(45):%Y-%m-%d %H:%M:%S}",
            "received_at": f"{days_ago(45):%Y-%m-%d %H:%M:%S}",
        }  # fmt: skip
        store.client().raw_insert(
            "dns_lookups", column_names=list(row), insert_block=json.dumps(row) + "\n",
            fmt="JSONEachRow", settings={"wait_end_of_query": 1},
        )  # fmt: skip
        with unscoped("test"):
            EventsTaken.objects.create(account_id=person.account.id, day=now().date(), events=1)
    with unscoped("test"):
        # Of what is being erased nothing new is written down.
        ErasedAccount.objects.create(account_id=other_customer_owner.account.id)
    assert expire_due(store=store) == 1
    assert rows(store, "dns_lookups") == 1
    with unscoped("test"):
        marks = RetentionMark.objects.values_list("account_id", flat=True)
        assert set(marks) == {customer_owner.account.id}


def test_what_the_store_refuses_of_one_keeps_no_others(
    store: Store,
    customer_owner: Person,
    other_customer_owner: Person,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = sorted((customer_owner.account.id, other_customer_owner.account.id))
    for account in (first, second):
        load_aged(store, account, new_id(), {45: 2})
    count_all(store)
    whole_mark, whole_count = expiring.mark_account, count_old

    def refuse(account_id: UUID, **more: Any) -> None:
        if account_id == first:
            raise ClickHouseError("Code: 1. DB::Exception: x")
        whole_mark(account_id, **more)

    def refuse_count(old: Any, **more: Any) -> Any:
        if old.account_id == first:
            raise ClickHouseError("Code: 1. DB::Exception: x")
        return whole_count(old, **more)

    with monkeypatch.context() as patch:
        patch.setattr(expiring, "mark_account", refuse)
        assert expire_due(store=store) > 0
    assert rows(store, where=f"account_id = '{first}'") == 2
    assert rows(store, where=f"account_id = '{second}'") == 0
    with monkeypatch.context() as patch:
        patch.setattr(expiring, "count_old", refuse_count)
        assert expire_due(store=store) == 0
    assert rows(store, where=f"account_id = '{first}'") == 2
    assert expire_due(store=store) > 0
    assert rows(store) == 0


def test_what_comes_after_its_retention_changes_no_book(
    store: Store, customer_owner: Person
) -> None:
    account, prod = customer_owner.account.id, new_id()
    load_aged(store, account, prod, {45: 7, 1: 2})
    count_all(store)
    frozen = freeze_usage(account, days_ago(60), now(), reference="june", store=store)
    before = analytics.totals(customer_owner.scope, whole(60, 30), store=store)
    expire_due(store=store)
    load_aged(store, account, prod, {45: 1, 2: 4})
    # Before it is counted, and after: a quarter is never what came late alone.
    for _ in range(2):
        assert analytics.totals(customer_owner.scope, whole(60, 30), store=store) == before
        count_all(store)
    usage = usage_hours(customer_owner.scope, days_ago(60), now())
    assert [row.requests for row in usage] == [7, 4, 2]
    recompute_usage(account, days_ago(60).replace(minute=0), now().replace(minute=0), store=store)
    assert [row.requests for row in usage_hours(customer_owner.scope, days_ago(60), now())] == [
        7, 4, 2,
    ]  # fmt: skip
    assert usage_freeze(customer_owner.scope, "june", account_id=account) == frozen
    with unscoped("test"):
        assert not TouchedHour.objects.exists()
        assert not TouchedSpan.objects.exists()
        RetentionMark.objects.filter(kind="requests").update(through=through(31, now()))
    expire_due(store=store)
    assert rows(store) == 6
    assert analytics.totals(customer_owner.scope, whole(60, 30), store=store) == before


def test_nothing_goes_before_it_was_counted(store: Store, customer_owner: Person) -> None:
    account = customer_owner.account.id
    load_aged(store, account, new_id(), {45: 7})
    with unscoped("test"):
        # A load that is claimed and not in the store yet.
        TouchedSpan.objects.create(
            account_id=account, load_id=(pending := new_id()),
            since=days_ago(40), until=days_ago(40) + timedelta(minutes=15),
        )  # fmt: skip
        Load.objects.create(id=pending, spool_id=new_id(), segments=[], frames=[], rows=1)
    expire_due(store=store)
    with unscoped("test"):
        mark = RetentionMark.objects.get(kind="requests")
        assert mark.through == days_ago(40).replace(hour=0, minute=0)
        Load.objects.update(state="done")
    assert sum(row.requests for row in usage_hours(customer_owner.scope, days_ago(60), now())) == 7
    expire_due(store=store)
    expire_due(store=store)
    with unscoped("test"):
        assert RetentionMark.objects.get(kind="requests").through == through(30, now())


def test_a_killed_removal_is_finished_by_the_next(
    store: Store, customer_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_aged(store, customer_owner.account.id, new_id(), {45: 7, 1: 2})
    count_all(store)

    class Killed(BaseException):
        pass

    def die(*_args: object, **_more: object) -> None:
        raise Killed

    for step in ("count_old", "delete_old", "_finish"):
        with monkeypatch.context() as patch:
            patch.setattr(expiring, step, die)
            with pytest.raises(Killed):
                expire_due(store=store)
    expire_due(store=store)
    assert rows(store) == 2
    with unscoped("test"):
        assert {r.state for r in RetentionRun.objects.all()} == {"done"}
        # Killed behind the removal, it is told all the same how much went.
        (run,) = RetentionRun.objects.filter(kind="requests")
        assert (run.rows_before, run.rows_deleted, run.rows_after) == (7, 7, 0)
        count = RetentionRun.objects.update(finished_at=now() - timedelta(days=399))
    expire_due(store=store)
    with unscoped("test"):
        assert RetentionRun.objects.count() == count > 0
        RetentionRun.objects.update(finished_at=now() - timedelta(days=401))
    expire_due(store=store)
    with unscoped("test"):
        assert not RetentionRun.objects.exists()
        assert (
            sum(row.requests for row in usage_hours(customer_owner.scope, days_ago(60), now())) == 9
        )


def test_sums_go_by_level_the_coarsest_last(store: Store, customer_owner: Person) -> None:
    account = customer_owner.account.id
    load_aged(store, account, new_id(), {390: 4, 120: 3, 45: 2, 1: 1})
    count_all(store)
    levels = {60: 4, 900: 4, 3_600: 4, 86_400: 4}

    def buckets() -> dict[int, int]:
        sql = "SELECT level, uniqExact(bucket) FROM rollups GROUP BY level"
        return {row[0]: row[1] for row in ask_as_system("test", sql, {}, store=store)}

    assert buckets() == levels
    expire_due(store=store)
    assert buckets() == {60: 1, 900: 2, 3_600: 4, 86_400: 4}
    everything = whole(510, 0)
    assert analytics.totals(customer_owner.scope, everything, store=store).requests == 10
    expire_due(store=store)
    assert buckets() == {60: 1, 900: 2, 3_600: 4, 86_400: 4}
    retention_choose(
        actor=proved(customer_owner),
        wanted=defaults(requests=10, minutes=10, quarters=10, hours=10, days=200),
    )
    with unscoped("test"):
        RetentionChoice.objects.update(holds_from=now() - timedelta(seconds=1))
    expire_due(store=store)
    assert buckets() == {60: 1, 900: 1, 3_600: 1, 86_400: 3}
    assert analytics.totals(customer_owner.scope, everything, store=store).requests == 6


def test_a_hold_keeps_its_environment_and_time(store: Store, customer_owner: Person) -> None:
    account = customer_owner.account.id
    place = environment_create(actor=customer_owner.actor, name="Prod", slug="prod")
    prod, test = place.id, new_id()
    load_aged(store, account, prod, {60: 1, 45: 7})
    load_aged(store, account, test, {45: 5})
    count_all(store)
    hold = hold_set(
        actor=proved(customer_owner),
        extent=Extent(prod, days_ago(50), days_ago(40)),
        reason="Court of Examples, 7 C 12/26",
    )
    (effect, minutes, *_) = retention_preview(customer_owner.scope, defaults(), store=store)
    assert (effect.kind, effect.rows, effect.held) == (Kind.REQUESTS, 6, 7)
    assert (minutes.kind, minutes.rows, minutes.held) == (Kind.MINUTES, 1, 3)
    expire_due(store=store)
    assert rows(store, where=f"environment_id = '{prod}'") == 7
    assert rows(store, where=f"environment_id = '{test}'") == 0
    with unscoped("test"):
        run = RetentionRun.objects.get(kind="requests")
        assert (run.rows_before, run.rows_deleted, run.rows_after) == (13, 6, 7)
    with pytest.raises(HeldBack, match="1 legal holds"):
        erase(account, store=store)
    with unscoped("test"):
        assert not ErasedAccount.objects.exists()
    # Lifted in two steps, and gone with the next run.
    with pytest.raises(Conflict, match="two steps"):
        hold_release(actor=proved(customer_owner), hold_id=hold.id)
    hold_release_ask(actor=proved(customer_owner), hold_id=hold.id, reason="settled")
    hold_release_cancel(actor=proved(customer_owner), hold_id=hold.id)
    with pytest.raises(Conflict, match="two steps"):
        hold_release(actor=proved(customer_owner), hold_id=hold.id)
    hold_release_ask(actor=proved(customer_owner), hold_id=hold.id, reason="settled")
    hold_release(actor=proved(customer_owner), hold_id=hold.id)
    assert [one.state for one in holds(customer_owner.scope)] == ["lifted"]
    with unscoped("test"):
        RetentionMark.objects.update(through=through(31, now()))
    expire_due(store=store)
    assert rows(store) == 0
    assert erase(account, store=store).complete
    actions = [e.action for e in entries(customer_owner.scope, EntryFilter(), limit=20).entries]
    assert [a for a in reversed(actions) if a.startswith("pulse.hold")] == [
        "pulse.hold.set", "pulse.hold.release_ask", "pulse.hold.release_cancel",
        "pulse.hold.release_ask", "pulse.hold.release",
    ]  # fmt: skip


def test_a_closed_environment_is_held_alone(
    store: Store, customer_owner: Person, other_customer_owner: Person
) -> None:
    """Its traffic is still there, and may be what somebody asks for."""
    made = environment_create(actor=customer_owner.actor, name="Prod", slug="prod")
    foreign = environment_create(actor=other_customer_owner.actor, name="Prod", slug="prod")
    load_aged(store, customer_owner.account.id, made.id, {40: 2, 1: 2})
    count_all(store)
    environment_close(actor=customer_owner.actor, environment_id=made.id)
    hold = hold_set(actor=proved(customer_owner), extent=Extent(made.id), reason="Case 7")
    assert hold.environment_id == made.id
    with pytest.raises(Invalid):
        hold_set(actor=proved(customer_owner), extent=Extent(foreign.id), reason="Case 7")
    expire_due(store=store)
    assert rows(store) == 4


def test_who_may_hold_and_choose(
    customer_owner: Person, customer_teammate: Person, other_customer_owner: Person
) -> None:
    with pytest.raises(StepUpNeeded):
        hold_set(actor=customer_owner.actor, extent=Extent(), reason="x")
    with pytest.raises(Denied):
        hold_set(actor=proved(customer_teammate), extent=Extent(), reason="x")
    with pytest.raises(Invalid) as refused:
        hold_set(
            actor=proved(customer_owner),
            extent=Extent(new_id(), days_ago(1), days_ago(2)),
            reason=" ",
        )
    assert set(refused.value.data["fields"]) == {"reason", "environment", "until"}
    hold = hold_set(actor=proved(customer_owner), extent=Extent(), reason="x")
    with pytest.raises(NotFound):
        hold_release_ask(actor=proved(other_customer_owner), hold_id=hold.id, reason="mine")
    with pytest.raises(Denied):
        retention_choose(actor=proved(customer_teammate), wanted=defaults())
    with pytest.raises(StepUpNeeded):
        retention_choose(actor=customer_owner.actor, wanted=defaults(requests=7))


def test_a_choice_is_bounded_holds_later_and_is_taken_back(customer_owner: Person) -> None:
    scope = customer_owner.scope
    with pytest.raises(Invalid) as refused:
        retention_choose(actor=proved(customer_owner), wanted=defaults(requests=100, days=9_999))
    assert set(refused.value.data["fields"]) == {"requests", "days"}
    shorter = retention_choose(
        actor=proved(customer_owner), wanted=defaults(requests=7, quarters=120)
    )
    found = {one.kind: (one.days, one.wanted) for one in shorter.kept}
    assert found[Kind.REQUESTS] == (30, 7)
    assert found[Kind.QUARTERS] == (120, 120)
    assert shorter.holds_from is not None
    assert timedelta(minutes=59) < shorter.holds_from - now() < timedelta(hours=25, minutes=1)
    undone = retention_undo(actor=customer_owner.actor)
    assert {one.kind: one.days for one in undone.kept}[Kind.REQUESTS] == 30
    with pytest.raises(Conflict):
        retention_undo(actor=customer_owner.actor)
    assert retention_of(scope).holds_from is None


def test_issues_that_are_over_go_with_their_hours(store: Store, customer_owner: Person) -> None:
    account = customer_owner.account.id

    def issue(state: str, seen: datetime) -> UUID:
        row = Issue.objects.create(
            account_id=account, fingerprint=new_id().hex, kind="errors", environment_id=new_id(),
            cause="x", state=state, first_seen=seen, last_seen=seen, opened_at=seen,
        )  # fmt: skip
        IssueHour.objects.create(
            account_id=account, issue_id=row.id, environment_id=row.environment_id,
            hour=seen.replace(minute=0), count=1,
        )  # fmt: skip
        found: UUID = row.id
        return found

    with unscoped("test"):
        issue(IssueState.RESOLVED, days_ago(500))
        left = {issue(IssueState.OPEN, days_ago(500)), issue(IssueState.RESOLVED, days_ago(300))}
    assert expire_due(store=store) == 1
    with unscoped("test"):
        assert set(Issue.objects.values_list("id", flat=True)) == left
        assert IssueHour.objects.count() == 2
