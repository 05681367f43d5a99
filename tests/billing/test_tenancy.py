"""Who sees which prices and invoices, and who may write them: in the database itself."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import Model
from psycopg import sql

from billing import selectors, services
from billing.models import (
    Invoice,
    InvoiceDrift,
    InvoiceLine,
    InvoiceUsage,
    Price,
    PriceBook,
    PriceBookAssignment,
)
from qcloud.kernel.errors import NotFound, ScopeMissing
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import scoped, unscoped
from tests.billing.conftest import publish, run, unit_price
from tests.billing.metered import environment, meter
from tests.factories.cast import Person

OWN = (PriceBook, Price, PriceBookAssignment)
PAIRS = (Invoice, InvoiceLine, InvoiceUsage, InvoiceDrift)
TABLES = (*OWN, *PAIRS)

Trade = dict[str, UUID]


@pytest.fixture
def trade(
    shop: Person,
    other_customer_owner: Person,
    other_reseller_owner: Person,
    reseller_owner: Person,
    cloud_admin: Person,
) -> Trade:
    """A retail and a wholesale invoice with late usage, for each of two resellers."""
    publish(other_reseller_owner, "south-retail", unit_price(amount="0.30"))
    places = [(shop, environment(shop)), (other_customer_owner, environment(other_customer_owner))]
    for count in (1_000, 2_000):
        for person, where in places:
            meter(person, where, count)
        north, south, top = (
            run(seller) for seller in (reseller_owner, other_reseller_owner, cloud_admin)
        )
    wholesale = {draft.buyer_id: draft.invoice_id for draft in top.drafts}
    found = {
        "north retail": north.drafts[0].invoice_id,
        "south retail": south.drafts[0].invoice_id,
        "north wholesale": wholesale[reseller_owner.account.id],
        "south wholesale": wholesale[other_reseller_owner.account.id],
    }
    return {name: invoice_id for name, invoice_id in found.items() if invoice_id}


def _visible(person: Person) -> set[UUID]:
    with scoped(person.scope):
        return set(Invoice.objects.values_list("id", flat=True))


@pytest.fixture
def people(
    shop: Person,
    other_customer_owner: Person,
    reseller_owner: Person,
    other_reseller_owner: Person,
    cloud_admin: Person,
) -> list[Person]:
    return [shop, other_customer_owner, reseller_owner, other_reseller_owner, cloud_admin]


def test_each_account_sees_the_invoices_that_it_is_a_party_of(
    trade: Trade, people: list[Person]
) -> None:
    seen = {
        "acme": {"north retail"},
        "birch": {"south retail"},
        "north": {"north retail", "north wholesale"},
        "south": {"south retail", "south wholesale"},
        "provider": {"north wholesale", "south wholesale"},
    }
    assert {person.slug for person in people} == set(seen)
    for person in people:
        expected = {trade[name] for name in seen[person.slug]}
        assert _visible(person) == expected
        assert {row.id for row in selectors.invoices(person.scope).rows} == expected
        with scoped(person.scope):
            for table in (InvoiceLine, InvoiceUsage, InvoiceDrift):
                found = set(table.objects.values_list("invoice_id", flat=True))
                assert found == expected, table.__name__
        for invoice_id in set(trade.values()) - expected:
            with pytest.raises(NotFound):
                selectors.invoice(person.scope, invoice_id)
            with pytest.raises(NotFound):
                selectors.recomputed_equal(person.scope, invoice_id)
            with scoped(person.scope), pytest.raises(NotFound):
                services.invoice_pdf(invoice_id)


def test_prices_are_the_sellers_alone(
    trade: Trade, shop: Person, reseller_owner: Person, cloud_admin: Person
) -> None:
    books = {
        person.slug: [book.code for book in selectors.price_books(person.scope)]
        for person in (shop, reseller_owner, cloud_admin)
    }
    assert books == {"acme": [], "north": ["retail"], "provider": ["wholesale"]}
    assert len(trade) == 4
    with scoped(shop.scope):
        assert [table.objects.count() for table in OWN] == [0, 0, 0]


def test_a_customer_finds_no_trace_of_wholesale(trade: Trade, shop: Person) -> None:
    """Not in any row of any table that it can read."""
    with scoped(shop.scope), connection.cursor() as cursor:
        for table in TABLES:
            name = sql.Identifier(table._meta.db_table)
            cursor.execute(sql.SQL("SELECT t::text FROM {} t").format(name))
            text = "\n".join(row[0] for row in cursor.fetchall())
            assert "wholesale" not in text.lower()
            assert "Provider" not in text
            assert "South" not in text
    assert selectors.invoice(shop.scope, trade["north retail"]).book == "retail v1"


@pytest.mark.parametrize("table", PAIRS, ids=lambda table: table.__name__)
def test_the_buyer_writes_nothing(trade: Trade, shop: Person, table: type[Model]) -> None:
    """Updates and deletes find no row; an insert in the seller's name is refused."""
    assert trade
    with scoped(shop.scope):
        before = list(table._default_manager.order_by("id").values())
    assert before
    if table is not InvoiceDrift:
        with scoped(shop.scope):
            assert table._default_manager.update(buyer_id=shop.account.id) == 0
            assert table._default_manager.all()._raw_delete("default") == 0
    copy = before[0] | {"id": new_id(), "invoice_id": new_id(), "period": "2026-09"}
    names = {field.attname for field in table._meta.concrete_fields}
    with pytest.raises(DatabaseError), scoped(shop.scope), transaction.atomic():
        table._default_manager.create(**{name: copy[name] for name in names})
    with scoped(shop.scope):
        assert list(table._default_manager.order_by("id").values()) == before


def test_a_reseller_cannot_sell_in_the_providers_name(
    trade: Trade, reseller_owner: Person, cloud_admin: Person
) -> None:
    invoice_id = trade["north wholesale"]
    with scoped(reseller_owner.scope):
        assert Invoice.objects.filter(id=invoice_id).update(total=0) == 0
        assert Invoice.objects.filter(id=invoice_id)._raw_delete("default") == 0
    with pytest.raises(DatabaseError), scoped(reseller_owner.scope), transaction.atomic():
        Invoice.objects.filter(id=trade["north retail"]).update(seller_id=cloud_admin.account.id)
    assert selectors.invoice(cloud_admin.scope, invoice_id).invoice.total > 0


def test_without_a_scope_every_table_raises(trade: Trade) -> None:
    assert trade
    for table in TABLES:
        with pytest.raises(ScopeMissing):
            table.objects.count()
        with connection.cursor() as cursor:
            name = sql.Identifier(table._meta.db_table)
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(name))
            assert cursor.fetchone() == (0,)


@pytest.mark.django_db
def test_every_table_is_under_a_forced_policy_of_its_class() -> None:
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(
                "SELECT relforcerowsecurity, obj_description(oid) FROM pg_class WHERE relname = %s",
                [table._meta.db_table],
            )
            assert cursor.fetchone() == (True, f"row class: {table.row_class.value}")


def test_only_the_account_whose_traffic_it_is_opens_events(
    trade: Trade, shop: Person, reseller_owner: Person, cloud_admin: Person
) -> None:
    opens: Callable[[Person, str], list[bool]] = lambda person, name: [  # noqa: E731
        selectors.line_events_filter(line, person.scope) is not None
        for line in selectors.invoice(person.scope, trade[name]).lines
    ]
    assert opens(shop, "north retail") == [True]
    assert opens(reseller_owner, "north retail") == [False]
    assert opens(reseller_owner, "north wholesale") == [False]
    assert opens(cloud_admin, "north wholesale") == [False]


def test_system_mode_sees_all(trade: Trade) -> None:
    with unscoped("test"):
        assert set(Invoice.objects.values_list("id", flat=True)) == set(trade.values())


def _hang(person: Person, model: type[Model], whose: str, column: str, target: UUID) -> None:
    """A copy of one of the person's rows under another parent, with the checks done at once."""
    with scoped(person.scope), connection.cursor() as cursor:
        row = model.objects.filter(**{whose: person.account.id})[0]  # type: ignore[attr-defined]
        row.pk = new_id()
        setattr(row, column, target)
        row.save(force_insert=True)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize(
    ("model", "column", "whose"),
    [
        (InvoiceLine, "invoice_id", "seller_id"),
        (InvoiceUsage, "invoice_id", "seller_id"),
        (Price, "book_id", "account_id"),
    ],
)
def test_no_row_hangs_on_somebody_elses(
    trade: Trade,
    reseller_owner: Person,
    other_reseller_owner: Person,
    model: type[Model],
    column: str,
    whose: str,
) -> None:
    """Keys are checked past the policies: one that is foreign is refused like one that is not."""
    assert trade
    south = other_reseller_owner.account.id
    parent = Invoice if column == "invoice_id" else PriceBook
    with unscoped("test"):
        foreign = parent.objects.filter(**{whose: south}).values_list("id", flat=True)[0]
    said = []
    for target in (foreign, new_id()):
        with pytest.raises(DatabaseError) as caught:
            _hang(reseller_owner, model, whose, column, target)
        said.append(type(caught.value))
    assert said[0] is said[1]
    with unscoped("test"):
        assert not model.objects.filter(**{column: foreign}).exclude(**{whose: south}).exists()  # type: ignore[attr-defined]
