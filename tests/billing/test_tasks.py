"""The hourly refresh: every seller, the running month and the one before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from billing import selectors, tasks
from billing.services import RunReport
from qcloud.celery import app
from qcloud.kernel.errors import Conflict
from tests.billing.metered import environment, meter
from tests.factories.cast import Person


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would be sent to the workers."""
    sent: list[str] = []
    monkeypatch.setattr(tasks.refresh_drafts_of, "delay", sent.append)
    return sent


def test_every_seller_gets_a_task_of_its_own(
    shop: Person, reseller_owner: Person, cloud_admin: Person, queued: list[str]
) -> None:
    tasks.refresh_drafts()
    assert sorted(queued) == sorted([str(reseller_owner.account.id), str(cloud_admin.account.id)])
    assert str(shop.account.id) not in queued


def test_refreshes_the_running_month_and_the_one_before(
    shop: Person, reseller_owner: Person
) -> None:
    where = environment(shop)
    meter(shop, where, 1_000)
    meter(shop, where, 2_000, datetime(2026, 10, 31, 22, tzinfo=UTC))
    meter(shop, where, 4_000, datetime(2026, 9, 30, 21, tzinfo=UTC))
    for _ in range(2):
        tasks.refresh_drafts_of(str(reseller_owner.account.id))
    rows = selectors.invoices(shop.scope, sort="period").rows
    assert [(row.period, str(row.total), row.revision) for row in rows] == [
        ("2026-10", "0.40", 1),
        ("2026-11", "0.20", 1),
    ]


def test_months_turn_over_in_the_sellers_zone(
    shop: Person, reseller_owner: Person, set_clock: Callable[[datetime], None]
) -> None:
    """At 23:30 UTC of 30 November it is December in Berlin."""
    set_clock(datetime(2026, 11, 30, 23, 30, tzinfo=UTC))
    tasks.refresh_drafts_of(str(reseller_owner.account.id))
    assert selectors.periods_billed(shop.scope) == ["2026-12", "2026-11"]


def test_leaves_the_work_to_a_run_that_is_going_on(
    shop: Person, reseller_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(**_arguments: object) -> RunReport:
        raise Conflict("going on", code="billing.run_busy")

    monkeypatch.setattr(tasks, "run_billing", busy)
    tasks.refresh_drafts_of(str(reseller_owner.account.id))
    assert selectors.invoices(shop.scope).rows == ()

    def broken(**_arguments: object) -> RunReport:
        raise Conflict("something else")

    monkeypatch.setattr(tasks, "run_billing", broken)
    with pytest.raises(Conflict):
        tasks.refresh_drafts_of(str(reseller_owner.account.id))


def test_the_beat_knows_the_task() -> None:
    scheduled = app.conf.beat_schedule["billing-drafts"]
    assert scheduled["task"] == tasks.refresh_drafts.name
    assert scheduled["schedule"].is_due(datetime(2026, 1, 1, tzinfo=UTC)).next <= 3_600
