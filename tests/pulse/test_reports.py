"""Reports of agents' rules, in the store: grouped, late ones too, bounded, taken along."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.cache import cache

from pulse import takeout, watching
from pulse.inventory.looking import _day_of
from pulse.issues import observing
from pulse.issues.reported import reported
from pulse.issues.scan import scan
from pulse.issues.selectors import IssueFilter, IssueInfo, issues, reports
from pulse.issues.services import issue_ignore, issue_resolve
from pulse.store import client as store_client
from pulse.store.artifacts import artifacts_of
from pulse.store.client import Store
from pulse.store.kinds import KINDS
from pulse.store.reports import reporting_accounts, reports_of
from qcloud.kernel.clock import now
from qcloud.kernel.ids import new_id
from tests.factories.cast import Person

PROD = UUID(int=10)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def put(store: Store, person: Person, table: str = "reported_issues", **columns: Any) -> UUID:
    """One event, by default a report of now; its request's id."""
    moment = now()
    plain: dict[str, Any] = {
        "account_id": person.account.id, "environment_id": PROD, "agent_id": UUID(int=7),
        "timestamp": moment, "request_id": uuid4(), "connection_id": uuid4(),
        "direction": "egress-external", "scheme": "https", "method": "GET",
        "host": "api.example.com", "path": "/pay", "route": "/pay", "status": 503,
        "load_id": new_id(), "received_at": moment,
    }  # fmt: skip
    if table == "reported_issues":
        plain |= {"rule": "Broken", "reasons": "the status is 503"}
    row = plain | columns
    store.client().raw_insert(
        table,
        column_names=list(row),
        insert_block=json.dumps(row, default=_text) + "\n",
        fmt="JSONEachRow",
        settings={"wait_end_of_query": 1},
    )
    return UUID(str(row["request_id"]))


def _text(value: object) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S.%f}" if isinstance(value, datetime) else str(value)


def listed(person: Person) -> list[IssueInfo]:
    return issues(person.scope, IssueFilter())[0]


def test_reports_are_grouped_by_place_and_rule(
    store: Store, customer_owner: Person, other_customer_owner: Person
) -> None:
    mine = put(store, customer_owner)
    put(store, customer_owner, rule="Slow", reasons="took 900 ms")
    put(store, customer_owner, request_id=mine)
    put(store, customer_owner, host="other.example")
    put(store, other_customer_owner)
    assert scan(customer_owner.scope, now(), store=store) == 3
    found = {(i.host, i.rule): (i.count, i.kind, i.state) for i in listed(customer_owner)}
    # The same request reported twice is one request.
    assert found == {
        ("api.example.com", "Broken"): (1, "reported", "open"),
        ("api.example.com", "Slow"): (1, "reported", "open"),
        ("other.example", "Broken"): (1, "reported", "open"),
    }
    slow = next(i for i in listed(customer_owner) if i.rule == "Slow")
    assert slow.title == "“Slow” on api.example.com/pay"
    assert slow.cause == "1 request; of the last one took 900 ms."
    assert [r.reasons for r in reports(customer_owner.scope, slow, store=store)] == ["took 900 ms"]
    assert {r.rule for r in reports_of(customer_owner.scope, mine, store=store)} == {"Broken"}
    assert reports_of(other_customer_owner.scope, mine, store=store) == []


def test_a_late_report_counts_in_its_own_hour_and_wakes_nobody(
    store: Store, customer_owner: Person
) -> None:
    put(store, customer_owner)
    scan(customer_owner.scope, now(), store=store)
    (found,) = listed(customer_owner)
    issue_resolve(actor=customer_owner.actor, issue_id=found.id)
    early = now() - 30 * HOUR
    put(store, customer_owner, timestamp=early)
    scan(customer_owner.scope, now(), store=store)
    (late,) = listed(customer_owner)
    assert (late.state, late.count, late.first_seen) == ("resolved", 2, early)
    put(store, customer_owner)
    scan(customer_owner.scope, now(), store=store)
    (back,) = listed(customer_owner)
    assert (back.state, back.count, back.regressions) == ("open", 3, 1)


def test_a_clock_ahead_is_not_seen_in_the_future(store: Store, customer_owner: Person) -> None:
    put(store, customer_owner, timestamp=now() + 20 * HOUR)
    moment = now()
    scan(customer_owner.scope, moment, store=store)
    (found,) = listed(customer_owner)
    assert found.first_seen == found.last_seen == moment
    issue_ignore(actor=customer_owner.actor, issue_id=found.id, until=None)
    scan(customer_owner.scope, now(), store=store)
    assert [i.state for i in listed(customer_owner)] == ["ignored"]


def test_hostile_texts_and_numbers_are_bounded(
    store: Store, customer_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observing, "MOST_OPEN", 3)
    for number in range(5):
        put(store, customer_owner, rule=f"r{number}\0", host="h" * 1_024, reasons="\0" * 4_096)
    scan(customer_owner.scope, now(), store=store)
    found = listed(customer_owner)
    assert sorted(i.kind for i in found) == ["overflow", "reported", "reported", "reported"]
    assert all("\0" not in i.cause + i.rule and len(i.cause) <= 300 for i in found)


def test_who_reports_nothing_is_looked_at_once_an_hour(
    store: Store, customer_owner: Person
) -> None:
    """The first look of each hour, which begins at a minute of the account's own, is a long one."""
    scope, moment = customer_owner.scope, now()
    put(store, customer_owner, received_at=moment - HOUR)
    found, _ = reported(scope, moment, lately=False, store=store)
    assert [one.rule for one in found] == ["Broken"]
    put(store, customer_owner, rule="Slow", received_at=moment)
    begins = (scope.account_id.int - moment.minute) % 60 or 60
    same, later = moment + MINUTE, moment + begins * MINUTE
    if begins > 1:
        assert reported(scope, same, lately=False, store=store) == ([], {})
        assert [one.rule for one in reported(scope, same, store=store)[0]] == ["Slow"]
    found, _ = reported(scope, later, lately=False, store=store)
    assert sorted(one.rule for one in found) == ["Broken", "Slow"]


def test_days_of_accounts_begin_at_different_minutes(
    customer_owner: Person, other_customer_owner: Person
) -> None:
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    for person in (customer_owner, other_customer_owner):
        begins = midnight + person.account.id.int % 1_440 * MINUTE
        assert _day_of(person.scope, begins) == midnight
        assert _day_of(person.scope, begins - MINUTE).date() < midnight.date()


def test_accounts_that_only_report_are_looked_at(
    store: Store, customer_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_client, "_default", store)
    asked: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        watching.find_issues_of,
        "delay",
        lambda account, *, reports: asked.append((account, reports)),
    )
    put(store, customer_owner, timestamp=now() - 30 * HOUR)
    assert reporting_accounts(0, store=store) == [customer_owner.account.id]
    assert watching.find_issues() == 1
    assert asked == [(str(customer_owner.account.id), True)]


def test_other_events_are_taken_along(
    store: Store, customer_owner: Person, other_customer_owner: Person,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(store_client, "_default", store)
    mine = put(store, customer_owner)
    put(store, other_customer_owner)
    kept = {"artifact_type": "res-body", "digest": "a" * 40, "size_bytes": 9}
    put(store, customer_owner, "artifacts", request_id=mine, **kept)
    files = {name: b"".join(some).decode() for name, some in takeout._others(customer_owner.scope)}
    assert set(files) == {f"events/{kind}.csv" for kind in KINDS if kind != "request"}
    for kind in ("issue", "artifact_record"):
        text = files[f"events/{kind}.csv"]
        assert len(text.strip().splitlines()) == 2
        assert str(mine) in text
    (part,) = artifacts_of(customer_owner.scope, mine, store=store)
    assert (part.artifact_type, part.digest, part.size_bytes) == ("res-body", "a" * 40, 9)
