"""Runs: the same draft however often, whoever else runs, whenever it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from psycopg import sql
from psycopg.types.json import Jsonb

from audit import selectors as audit_selectors
from billing import selectors, services
from billing.models import Invoice, InvoiceLine
from billing.services import drafts
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import Tier, unscoped
from tests.billing.conftest import TODAY, id_of, publish, run, unit_price
from tests.billing.metered import NOON, environment, forget, meter, system
from tests.factories.cast import Person, found
from tests.services.plugin import database_name, superuser

ROOT = Path(__file__).resolve().parents[2]


def _rows() -> list[tuple[object, ...]]:
    """Everything of every invoice but the time of its computation."""
    columns = ("id", "buyer_id", "period", "currency", "total", "usage_digest", "revision")
    with unscoped("test"):
        invoices = list(Invoice.objects.order_by("id").values_list(*columns))
        lines = list(
            InvoiceLine.objects.order_by("id").values_list("id", "invoice_id", "quantity", "amount")
        )
    return invoices + lines


def test_one_usage_record_is_rated_twice(
    shop: Person, reseller_owner: Person, cloud_admin: Person
) -> None:
    meter(shop, environment(shop), 12_345)
    retail, wholesale = run(reseller_owner).drafts[0], run(cloud_admin).drafts[0]
    assert (retail.state, retail.total, retail.lines) == ("created", Decimal("2.47"), 1)
    assert (wholesale.state, wholesale.total, wholesale.lines) == ("created", Decimal("1.23"), 1)
    assert retail.buyer_id == shop.account.id
    assert wholesale.buyer_id == reseller_owner.account.id


def test_a_second_run_changes_nothing(shop: Person, reseller_owner: Person) -> None:
    meter(shop, environment(shop), 250)
    run(reseller_owner)
    before = _rows()
    assert [draft.state for draft in run(reseller_owner).drafts] == ["unchanged"]
    assert _rows() == before


def test_the_draft_follows_the_usage_and_lines_keep_their_ids(
    shop: Person, reseller_owner: Person
) -> None:
    where = environment(shop)
    meter(shop, where, 5_000)
    first = run(reseller_owner).drafts[0]
    before = selectors.invoice(shop.scope, id_of(first))
    meter(shop, where, 10_000, TODAY.replace(minute=0))
    meter(shop, environment(shop, "aux", "Aux"), 1_000)
    second = run(reseller_owner).drafts[0]
    after = selectors.invoice(shop.scope, id_of(first))
    assert (second.state, second.invoice_id) == ("changed", first.invoice_id)
    assert [(li.environment_label, li.quantity, str(li.amount)) for li in after.lines] == [
        ("Aux", 1_000, "0.20"),
        ("Production", 15_000, "3.00"),
    ]
    assert after.lines[1].id == before.lines[0].id
    assert after.invoice.total == Decimal("3.20")


def test_a_line_whose_usage_is_gone_is_gone(shop: Person, reseller_owner: Person) -> None:
    where = environment(shop)
    meter(shop, where, 5_000)
    run(reseller_owner)
    forget(where)
    draft = run(reseller_owner).drafts[0]
    assert (draft.state, draft.lines, draft.total) == ("changed", 0, Decimal("0.00"))
    assert selectors.invoice(shop.scope, id_of(draft)).lines == ()


def test_late_usage_is_taken_up_and_shown(
    shop: Person, reseller_owner: Person, set_clock: Callable[[datetime], None]
) -> None:
    where = environment(shop)
    meter(shop, where, 5_000)
    run(reseller_owner)
    meter(shop, where, 6_000)
    set_clock(TODAY + timedelta(hours=1))
    draft = run(reseller_owner).drafts[0]
    assert (draft.state, draft.drifts, draft.total) == ("changed", 1, Decimal("1.20"))
    (drift,) = selectors.invoice(shop.scope, id_of(draft)).drifts
    assert drift.environment_id == where
    assert (drift.counts_before["requests"], drift.counts_after["requests"]) == (5_000, 6_000)
    assert (drift.total_before, drift.total_after) == (Decimal("1.00"), Decimal("1.20"))
    assert drift.detected_at == TODAY + timedelta(hours=1)
    assert run(reseller_owner).drafts[0].drifts == 0


def test_usage_that_still_arrives_is_no_drift(
    shop: Person, reseller_owner: Person, set_clock: Callable[[datetime], None]
) -> None:
    where, hour = environment(shop), TODAY.replace(minute=0)
    for number in range(1, 4):
        set_clock(TODAY + timedelta(minutes=20 * number))
        meter(shop, where, number, hour)
        assert run(reseller_owner).drafts[0].drifts == 0
    set_clock(hour + timedelta(hours=1) + drafts.SETTLING)
    assert run(reseller_owner).drafts[0].state == "unchanged"
    meter(shop, where, 99, hour)
    assert run(reseller_owner).drafts[0].drifts == 1


def test_usage_of_an_hour_never_seen_before_is_late_too(
    shop: Person, reseller_owner: Person
) -> None:
    run(reseller_owner)
    meter(shop, environment(shop), 10)
    assert run(reseller_owner).drafts[0].drifts == 1


def test_hours_outside_the_sellers_month_are_left_out(shop: Person, reseller_owner: Person) -> None:
    """November begins in Berlin at 23:00 UTC of 31 October and ends a half-open month later."""
    where = environment(shop)
    meter(shop, where, 1_000, datetime(2026, 10, 31, 22, tzinfo=UTC))
    meter(shop, where, 10_000, datetime(2026, 10, 31, 23, tzinfo=UTC))
    meter(shop, where, 100_000, datetime(2026, 11, 30, 22, tzinfo=UTC))
    meter(shop, where, 1_000_000, datetime(2026, 11, 30, 23, tzinfo=UTC))
    draft = run(reseller_owner).drafts[0]
    (line,) = selectors.invoice(shop.scope, id_of(draft)).lines
    assert line.quantity == 110_000
    assert line.events_since == datetime(2026, 10, 31, 23, tzinfo=UTC)
    assert line.events_until == datetime(2026, 11, 30, 23, tzinfo=UTC)
    assert run(reseller_owner, "2026-10").drafts[0].total == Decimal("0.20")


def test_a_buyers_own_book_goes_before_the_default(shop: Person, reseller_owner: Person) -> None:
    meter(shop, environment(shop), 1_000)
    publish(reseller_owner, "special", unit_price(amount="9.00"), since=date(2026, 12, 1))
    services.price_book_publish(
        actor=reseller_owner.actor,
        code="gold",
        name="Gold",
        currency="EUR",
        effective_from=date(2026, 11, 1),
        prices=[unit_price(amount="5.00")],
    )
    services.price_book_assign(
        actor=reseller_owner.actor,
        buyer_id=shop.account.id,
        code="gold",
        effective_from=date(2026, 11, 1),
    )
    assert run(reseller_owner).drafts[0].total == Decimal("5.00")
    assert run(reseller_owner, "2026-10").drafts[0].total == Decimal("0.00")


def test_a_new_version_counts_from_its_period_on(shop: Person, reseller_owner: Person) -> None:
    where = environment(shop)
    meter(shop, where, 1_000, NOON - timedelta(days=30))
    meter(shop, where, 1_000)
    publish(reseller_owner, "retail", unit_price(amount="7.00"), since=date(2026, 11, 1))
    assert run(reseller_owner, "2026-10").drafts[0].total == Decimal("0.20")
    assert run(reseller_owner).drafts[0].total == Decimal("7.00")


def test_prices_in_another_currency_replace_the_draft(shop: Person, reseller_owner: Person) -> None:
    meter(shop, environment(shop), 1_000)
    old = run(reseller_owner).drafts[0]
    publish(reseller_owner, "retail-jpy", unit_price(amount="30.5"), currency="JPY")
    new = run(reseller_owner).drafts[0]
    assert (new.currency, str(new.total)) == ("JPY", "30")
    assert new.invoice_id != old.invoice_id
    assert [row.currency for row in selectors.invoices(shop.scope).rows] == ["JPY"]


@pytest.mark.django_db(transaction=True)
def test_without_prices_there_is_no_invoice(customer_owner: Person, reseller_owner: Person) -> None:
    assert [draft.state for draft in run(reseller_owner).drafts] == ["no prices"]
    assert selectors.invoices(customer_owner.scope).rows == ()


def test_wholesale_lines_are_sums_by_customer(
    shop: Person, reseller_owner: Person, cloud_admin: Person
) -> None:
    meter(shop, environment(shop), 1_000)
    meter(shop, environment(shop, "dev", "Development"), 2_000)
    second = found(reseller_owner.actor, Tier.CUSTOMER, "beech")
    draft = run(cloud_admin).drafts[0]
    detail = selectors.invoice(reseller_owner.scope, id_of(draft))
    assert detail.grouped_by_customer
    assert [(li.subject_name, li.environment_id, li.quantity) for li in detail.lines] == [
        ("Acme", None, 3_000)
    ]
    assert second.id not in {li.subject_account_id for li in detail.lines}


def test_one_buyer_that_cannot_be_billed_does_not_stop_the_rest(
    shop: Person, reseller_owner: Person
) -> None:
    """More than a column holds; real, because a unit price may be anything below 10^15."""
    other = found(reseller_owner.actor, Tier.CUSTOMER, "beech")
    services.price_book_publish(
        actor=reseller_owner.actor,
        code="absurd",
        name="Absurd",
        currency="EUR",
        effective_from=date(2026, 1, 1),
        prices=[
            unit_price(f"a{number}", "999999999999999", metric="bytes_sent", unit_size=1)
            for number in range(9)
        ]
        + [unit_price("b", "999999999999999", metric="bytes", unit_size=1)],
    )
    services.price_book_assign(
        actor=reseller_owner.actor,
        buyer_id=shop.account.id,
        code="absurd",
        effective_from=date(2026, 1, 1),
    )
    where = environment(shop)
    for hour in range(24):
        meter(shop, where, 1, NOON + timedelta(hours=hour), sent=2**63 - 1)
    report = run(reseller_owner)
    states = {draft.buyer_id: draft.state for draft in report.drafts}
    assert states == {shop.account.id: "failed", other.id: "created"}
    assert report.drafts[0].problem
    assert selectors.invoices(shop.scope).rows == ()


@pytest.mark.parametrize(
    ("period", "code"),
    [("2026-12", "billing.period_ahead"), ("November", "billing.period_malformed")],
)
def test_refuses_a_period_that_cannot_be_billed(
    shop: Person, reseller_owner: Person, period: str, code: str
) -> None:
    with pytest.raises(Invalid) as refused:
        run(reseller_owner, period)
    assert refused.value.code == code
    assert _rows() == []
    assert shop.account.id


def test_only_the_seller_runs_and_only_with_the_right(
    shop: Person, reseller_owner: Person, other_reseller_owner: Person, cloud_admin: Person
) -> None:
    seller = reseller_owner.account.id
    for person, error in (
        (shop, Denied),
        (other_reseller_owner, NotFound),
        (cloud_admin, NotFound),
    ):
        with pytest.raises(error):
            services.run_billing(actor=person.actor, seller_id=seller, period="2026-11")
    assert _rows() == []
    report = services.run_billing(actor=reseller_owner.actor, seller_id=seller, period="2026-11")
    assert report.count("created") == 1


def test_every_run_and_every_change_is_in_the_journal(shop: Person, reseller_owner: Person) -> None:
    meter(shop, environment(shop), 1_000)
    run(reseller_owner)
    run(reseller_owner)
    page = audit_selectors.entries(reseller_owner.scope)
    actions = [entry.action for entry in page.entries if entry.action.startswith("billing.")]
    assert sorted(actions) == [
        "billing.book.assign",
        "billing.book.publish",
        "billing.invoice.draft",
        "billing.run.finish",
        "billing.run.finish",
    ]


def test_a_run_beside_a_run_gives_the_same_drafts(shop: Person, reseller_owner: Person) -> None:
    meter(shop, environment(shop), 1_000)
    reports: list[services.RunReport] = []

    def one() -> None:
        try:
            reports.append(run(reseller_owner))
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    states = sorted(report.drafts[0].state for report in reports)
    assert states == ["created", "unchanged", "unchanged", "unchanged"]
    assert len(_rows()) == 2


def test_a_run_that_finds_another_going_on_says_so(shop: Person, reseller_owner: Person) -> None:
    holding, done = threading.Event(), threading.Event()

    def hold() -> None:
        with connection.cursor() as cursor:
            key = f"billing run of {reseller_owner.account.id}"
            cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [key])
            holding.set()
            done.wait(10)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait(10)
    try:
        with pytest.raises(Conflict) as refused:
            services.run_billing(
                actor=system(reseller_owner),
                seller_id=reseller_owner.account.id,
                period="2026-11",
                wait_seconds=0.2,
            )
    finally:
        done.set()
        thread.join()
    assert refused.value.code == "billing.run_busy"
    assert run(reseller_owner).count("created") == 1
    assert shop.account.id


_RUN = """
import sys, uuid, django
django.setup()
from billing.services import run_billing
from qcloud.kernel.permissions import Actor
run_billing(actor=Actor.system("kill test"), seller_id=uuid.UUID(sys.argv[1]), period=sys.argv[2])
"""


def _spawn(seller_id: UUID, period: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _RUN, str(seller_id), period],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": os.environ["DJANGO_SETTINGS_MODULE"]},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("done", [0, 3, 7])
def test_a_run_killed_midway_is_finished_by_the_next(
    shop: Person, reseller_owner: Person, done: int
) -> None:
    """Killed inside the transaction of a draft: those before it stay, no lock is left behind."""
    buyers = [found(reseller_owner.actor, Tier.CUSTOMER, f"buyer-{n}") for n in range(7)]
    buyers.insert(0, shop.account)
    meter(shop, environment(shop), 1_000)
    with superuser(database_name()) as blocker:
        blocker.autocommit = False
        _block_draft(blocker, reseller_owner.account.id, buyers[done].id)
        # The child goes by the real clock, for which this month has begun.
        child = _spawn(reseller_owner.account.id, "2026-11")
        _wait_until_blocked(blocker)
        child.send_signal(signal.SIGKILL)
        child.wait()
        blocker.rollback()
    assert _drafts() == done
    states = [draft.state for draft in run(reseller_owner).drafts]
    assert states == ["unchanged"] * done + ["created"] * (8 - done)
    assert run(reseller_owner).count("unchanged") == 8


def _block_draft(blocker: Any, seller_id: UUID, buyer_id: UUID) -> None:
    """A row with the draft's unique key that is not committed: whoever inserts it waits."""
    columns = [str(field.column) for field in Invoice._meta.concrete_fields]
    row = Invoice(
        seller_id=seller_id,
        buyer_id=buyer_id,
        period="2026-11",
        currency="EUR",
        zone="UTC",
        period_start=NOON,
        period_end=TODAY,
        total=Decimal(0),
        terms={},
        settled_until=NOON,
        created_at=NOON,
        computed_at=NOON,
    )
    values = [Jsonb(value) if value == {} else value for value in _values(row, columns)]
    names = sql.SQL(", ").join([sql.Identifier(column) for column in columns])
    marks = sql.SQL(", ").join(sql.Placeholder() * len(columns))
    blocker.execute(
        sql.SQL("INSERT INTO billing_invoice ({}) VALUES ({})").format(names, marks), values
    )


def _values(row: Invoice, columns: list[str]) -> list[Any]:
    return [getattr(row, column) for column in columns]


def _wait_until_blocked(blocker: Any) -> None:
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND datname = current_database() AND query LIKE '%billing_invoice%'"
    )
    deadline = time.monotonic() + 30
    while blocker.execute(waiting).fetchone() != (1,):
        assert time.monotonic() < deadline, "the run never came to the blocked draft"
        blocker.execute("SELECT pg_stat_clear_snapshot()")
        time.sleep(0.01)


def _drafts() -> int:
    with unscoped("test"):
        assert not Invoice.objects.filter(revision=0).exists()
        return int(Invoice.objects.count())


def test_the_system_may_run_for_any_seller(shop: Person, reseller_owner: Person) -> None:
    report = services.run_billing(
        actor=Actor.system("cron"), seller_id=reseller_owner.account.id, period="2026-11"
    )
    assert report.count("created") == 1
    assert shop.account.id
