"""Lists, estimates, and the proof that an invoice computes to the same again."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Model

from billing import selectors
from billing.models import Invoice, InvoiceLine, InvoiceUsage
from qcloud.kernel.errors import Invalid, NotFound
from qcloud.kernel.scope import Tier, unscoped
from tests.billing.conftest import id_of, publish, run, unit_price
from tests.billing.metered import environment, meter
from tests.factories.cast import Person, found, hire


@pytest.fixture
def market(shop: Person, reseller_owner: Person) -> list[Person]:
    """Customers acme, beech, cedar, dogwood of reseller north, billed 4, 3, 2, 1."""
    people = [shop]
    for slug in ("beech", "cedar", "dogwood"):
        account = found(reseller_owner.actor, Tier.CUSTOMER, slug)
        people.append(hire(account, "owner", f"o@{slug}.example", reseller_owner.actor))
    for number, person in enumerate(people):
        meter(person, environment(person), (4 - number) * 5_000)
    run(reseller_owner)
    return people


def _names(page: selectors.InvoicePage) -> list[str]:
    return [row.buyer_name for row in page.rows]


def test_lists_are_sorted_filtered_and_searched(
    market: list[Person], reseller_owner: Person, cloud_admin: Person
) -> None:
    run(cloud_admin)
    scope = reseller_owner.scope
    assert _names(selectors.invoices(scope, side="sales", sort="buyer")) == [
        "Acme",
        "Beech",
        "Cedar",
        "Dogwood",
    ]
    assert _names(selectors.invoices(scope, side="sales", sort="total"))[0] == "Dogwood"
    assert _names(selectors.invoices(scope, side="purchases")) == ["North"]
    assert _names(selectors.invoices(scope, search="EDA")) == ["Cedar"]
    assert _names(selectors.invoices(scope, search="provider")) == ["North"]
    assert _names(selectors.invoices(scope, buyer_id=market[1].account.id)) == ["Beech"]
    assert _names(selectors.invoices(scope, period="2026-10")) == []
    assert selectors.periods_billed(scope) == ["2026-11"]


@pytest.mark.parametrize("sort", ["total", "-total", "buyer", "-period", "computed", "-seller"])
def test_pages_show_every_invoice_once(
    market: list[Person], reseller_owner: Person, sort: str
) -> None:
    names, cursor = [], ""
    for _ in range(len(market)):
        page = selectors.invoices(reseller_owner.scope, sort=sort, cursor=cursor, limit=1)
        names += _names(page)
        cursor = page.next_cursor or ""
    assert page.next_cursor is None
    assert names == _names(selectors.invoices(reseller_owner.scope, sort=sort))
    assert sorted(names) == ["Acme", "Beech", "Cedar", "Dogwood"]


@pytest.mark.parametrize("cursor", ["x", "%%%", "bm90IGEgdXVpZA==", "AAAA"])
def test_a_broken_page_mark_is_refused(reseller_owner: Person, cursor: str) -> None:
    with pytest.raises(Invalid) as refused:
        selectors.invoices(reseller_owner.scope, cursor=cursor)
    assert refused.value.code == "billing.cursor_malformed"


def test_an_unknown_sort_is_refused(reseller_owner: Person) -> None:
    with pytest.raises(Invalid) as refused:
        selectors.invoices(reseller_owner.scope, sort="terms")
    assert refused.value.code == "billing.sort_unknown"


def test_one_line_is_found_by_its_parties(market: list[Person], reseller_owner: Person) -> None:
    page = selectors.invoices(market[0].scope)
    (line,) = selectors.invoice(market[0].scope, page.rows[0].id).lines
    assert selectors.line(market[0].scope, line.id) == line
    assert selectors.line(reseller_owner.scope, line.id).opens_events is False
    with pytest.raises(NotFound):
        selectors.line(market[1].scope, line.id)


def test_an_estimate_is_what_the_draft_will_say(shop: Person, reseller_owner: Person) -> None:
    where = environment(shop)
    meter(shop, where, 5_000)
    unknown = selectors.estimate(shop.scope)
    assert (unknown.usage.requests, unknown.total, unknown.currency) == (5_000, None, None)
    sale = selectors.estimate(reseller_owner.scope, buyer_id=shop.account.id)
    assert (sale.total, sale.currency) == (Decimal("1.00"), "EUR")
    run(reseller_owner)
    meter(shop, where, 7_500)
    known = selectors.estimate(shop.scope)
    assert (known.period, known.zone) == ("2026-11", "Europe/Berlin")
    assert (str(known.total), known.currency) == ("1.50", "EUR")
    (charge,) = known.charges
    assert (charge.unit, charge.quantity, str(charge.amount)) == ("1,000 requests", 7_500, "1.50")
    assert run(reseller_owner).drafts[0].total == known.total


def test_a_reseller_estimates_what_it_will_pay(
    shop: Person, reseller_owner: Person, cloud_admin: Person
) -> None:
    meter(shop, environment(shop), 5_000)
    run(cloud_admin)
    assert str(selectors.estimate(reseller_owner.scope).total) == "0.50"


def test_no_estimate_of_somebody_elses_buyer(shop: Person, other_reseller_owner: Person) -> None:
    with pytest.raises(NotFound):
        selectors.estimate(other_reseller_owner.scope, buyer_id=shop.account.id)


def test_an_invoice_computes_to_the_same_again(
    shop: Person, reseller_owner: Person, cloud_admin: Person
) -> None:
    tiers = [{"up_to": 1_000, "price": "0.333"}, {"up_to": None, "price": "0.111"}]
    steps = unit_price("steps", model="graduated", amount=None, tiers=tiers, metric="bytes")
    flat = unit_price("flat", model="flat", amount="3.00", metric=None)
    publish(reseller_owner, "many", unit_price(), steps, flat)
    for number in range(7):
        where = environment(shop, f"env-{number}", f"Env {number}")
        meter(shop, where, 1_111 * number, sent=997 * number)
    retail = id_of(run(reseller_owner).drafts[0])
    wholesale = id_of(run(cloud_admin).drafts[0])
    for person, invoice_id in (
        (shop, retail),
        (reseller_owner, retail),
        (reseller_owner, wholesale),
        (cloud_admin, wholesale),
    ):
        again = selectors.recomputed_equal(person.scope, invoice_id)
        assert (again.equal, again.differences) == (True, ())


def test_later_usage_shows_as_a_difference(shop: Person, reseller_owner: Person) -> None:
    where = environment(shop)
    meter(shop, where, 1_000)
    invoice_id = id_of(run(reseller_owner).drafts[0])
    meter(shop, where, 1_001)
    again = selectors.recomputed_equal(shop.scope, invoice_id)
    assert (again.equal, again.amounts_equal, again.usage_equal) == (False, True, False)
    assert again.differences == (f"Usage of environment {where} is not what was counted.",)
    run(reseller_owner)
    assert selectors.recomputed_equal(shop.scope, invoice_id).equal


def test_a_tampered_invoice_does_not_compute(shop: Person, reseller_owner: Person) -> None:
    """Changed past every service: one cent moved between lines, the total, the counts."""
    meter(shop, environment(shop), 1_000)
    meter(shop, environment(shop, "dev", "Dev"), 1_000)
    invoice_id = id_of(run(reseller_owner).drafts[0])
    cent = {"Dev": Decimal("0.21"), "Production": Decimal("0.19")}
    tamperings: list[tuple[type[Model], Callable[[Any], object], bool]] = [
        (InvoiceLine, lambda line: setattr(line, "amount", cent[line.environment_label]), True),
        (Invoice, lambda row: setattr(row, "total", Decimal("0.39")), True),
        (InvoiceUsage, lambda kept: kept.counts.update(requests=999), True),
        (InvoiceUsage, lambda kept: setattr(kept, "digest", "0" * 64), False),
    ]
    for table, change, of_amounts in tamperings:
        with unscoped("test"):
            before = {row.pk: row for row in table._default_manager.all()}
            for row in table._default_manager.all():
                change(row)
                row.save()
        again = selectors.recomputed_equal(shop.scope, invoice_id)
        assert (again.amounts_equal, again.usage_equal) == (not of_amounts, of_amounts)
        with unscoped("test"):
            for row in before.values():
                row.save()
        assert selectors.recomputed_equal(shop.scope, invoice_id).equal


@pytest.mark.parametrize(
    ("metric", "size", "unit"),
    [
        ("", 1, "period"),
        ("requests", 1, "request"),
        ("requests_ingress", 1_000, "1,000 requests"),
        ("bytes", 1, "byte"),
        ("bytes_sent", 2**30, "GiB"),
        ("bytes", 10**9, "GB"),
        ("bytes", 500, "500 bytes"),
        ("requests", 10**6, "1,000,000 requests"),
    ],
)
def test_units_are_named(metric: str, size: int, unit: str) -> None:
    assert selectors.unit_label(metric, size) == unit
