"""Charts of times whose finest sums are gone: coarser, not empty; and told where nothing is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pulse import analytics
from pulse.analytics.steps import steps_for
from pulse.retention import expiring
from pulse.retention.expiring import expire_due
from pulse.retention.keeping import through
from pulse.store.client import Store
from pulse.store.filters import TrafficFilter
from pulse.tables.retention import RetentionMark
from qcloud.kernel.clock import now
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person
from tests.pulse.aged import count_all, days_ago, load_aged

HOST: Any = {"host": "api.example.com"}


def of_day(age: int, **fields: Any) -> TrafficFilter:
    start = days_ago(age).replace(hour=0, minute=0)
    return TrafficFilter(start, start + timedelta(days=1), **fields)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("age", "fields", "minutes", "requests"),
    [(1, {}, 10, 1), (45, {}, 15, 2), (45, HOST, 15, 2), (120, {}, 60, 3), (120, HOST, 60, 3)],
)
def test_a_day_is_shown_in_the_finest_steps_that_are_kept(
    store: Store,
    customer_owner: Person,
    monkeypatch: pytest.MonkeyPatch,
    age: int,
    fields: dict[str, Any],
    minutes: int,
    requests: int,
) -> None:
    monkeypatch.setattr(expiring, "PAUSE", timedelta(0))
    load_aged(store, customer_owner.account.id, new_id(), {120: 3, 45: 2, 1: 1})
    count_all(store)
    expire_due(store=store)
    page = analytics.traffic_page(customer_owner.scope, of_day(age, **fields), store=store)
    assert page.requests.step >= timedelta(minutes=minutes)
    counts = [value or 0 for one in page.requests.series for value in one.values]
    assert sum(counts) == requests
    assert page.totals.requests == requests
    assert page.kept_since is None


@pytest.mark.django_db(transaction=True)
def test_what_single_requests_alone_could_tell_is_said_to_be_gone(
    store: Store, customer_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiring, "PAUSE", timedelta(0))
    load_aged(store, customer_owner.account.id, new_id(), {45: 2, 1: 1})
    count_all(store)
    expire_due(store=store)
    by_path = of_day(45, path="/")
    page = analytics.traffic_page(customer_owner.scope, by_path, store=store)
    assert page.totals.requests == 0
    assert page.kept_since == through(30, now())


@pytest.mark.django_db(transaction=True)
def test_minutes_that_go_before_the_requests_are_not_missed(
    store: Store, customer_owner: Person
) -> None:
    """Sums by minute may be kept for a shorter time than what they were counted from."""
    load_aged(store, customer_owner.account.id, new_id(), {45: 7})
    count_all(store)
    with unscoped("test"):
        RetentionMark.objects.create(
            account_id=customer_owner.account.id, kind="minutes", through=through(30, now())
        )
    store.client().command(
        "ALTER TABLE rollups DELETE WHERE level = 60 SETTINGS mutations_sync = 2"
    )
    start = days_ago(45).replace(minute=0)
    found = analytics.totals(
        customer_owner.scope, TrafficFilter(start, start + timedelta(hours=1)), store=store
    )
    assert found.requests == 7


@pytest.mark.parametrize("least", [1, 60, 900, 3_600, 86_400])
def test_steps_are_multiples_of_the_least(least: int) -> None:
    since = days_ago(3)
    for span in (timedelta(minutes=1), timedelta(hours=5), timedelta(days=400)):
        steps = steps_for(since, since + span, least=least)
        assert steps.step_us % (least * 1_000_000) == 0
        assert steps.step_us >= least * 1_000_000
        assert len(steps.numbers) <= 150
