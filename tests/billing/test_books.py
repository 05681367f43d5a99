"""Publishing and assigning: versions, who may, and what is refused."""

from __future__ import annotations

import threading
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction

from billing import demo, selectors, services
from billing.models import Price, PriceBook, PriceBookAssignment
from qcloud.kernel.errors import Denied, Invalid, NotFound
from qcloud.kernel.scope import scoped
from tests.billing.conftest import SINCE, publish, run, unit_price
from tests.billing.metered import environment, meter
from tests.factories.cast import Person, hire


def _publish(seller: Person, **changes: Any) -> selectors.PriceBookInfo:
    arguments: dict[str, Any] = {
        "code": "retail",
        "name": "Retail",
        "currency": "EUR",
        "effective_from": SINCE,
        "prices": [unit_price()],
    }
    return services.price_book_publish(actor=seller.actor, **(arguments | changes))


@pytest.mark.django_db
def test_versions_follow_each_other(reseller_owner: Person) -> None:
    _publish(reseller_owner)
    _publish(reseller_owner, effective_from=date(2026, 6, 1), prices=[unit_price(amount="1")])
    newest, oldest = selectors.price_book(reseller_owner.scope, "retail")
    assert (newest.version, newest.effective_from, newest.effective_until) == (
        2,
        date(2026, 6, 1),
        None,
    )
    assert (oldest.version, oldest.effective_until) == (1, date(2026, 6, 1))
    assert oldest.prices[0].amount == Decimal("0.2")
    assert newest.published_by == reseller_owner.email


@pytest.mark.django_db(transaction=True)
def test_versions_published_at_once_get_numbers_of_their_own(reseller_owner: Person) -> None:
    def one() -> None:
        _publish(reseller_owner)
        connection.close()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    books = selectors.price_books(reseller_owner.scope)
    assert [book.version for book in books] == [4, 3, 2, 1]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "changes",
    [
        {"code": "Bad Code"},
        {"code": "x" * 61},
        {"name": " "},
        {"currency": "eur"},
        {"currency": "EURO"},
        {"effective_from": date(2026, 1, 2)},
        {"prices": []},
        {"prices": [unit_price(), unit_price()]},
        {"prices": [unit_price("Bad Key")]},
        {"prices": [unit_price(description="x" * 201)]},
        {"prices": [unit_price(amount="-1")]},
    ],
)
def test_refuses_a_book_that_could_not_be_used(
    reseller_owner: Person, changes: dict[str, Any]
) -> None:
    with pytest.raises(Invalid) as refused:
        _publish(reseller_owner, **changes)
    assert refused.value.http_status == 422
    assert refused.value.data["fields"]
    assert selectors.price_books(reseller_owner.scope) == []


@pytest.mark.django_db
@pytest.mark.parametrize("changes", [{"currency": "USD"}, {"effective_from": date(2025, 12, 1)}])
def test_a_version_keeps_the_currency_and_the_order(
    reseller_owner: Person, changes: dict[str, Any]
) -> None:
    _publish(reseller_owner)
    with pytest.raises(Invalid):
        _publish(reseller_owner, **changes)
    assert len(selectors.price_books(reseller_owner.scope)) == 1


@pytest.mark.django_db
def test_only_who_may_write_prices_publishes_and_assigns(
    customer_owner: Person, reseller_owner: Person
) -> None:
    support = hire(reseller_owner.account, "support", "sven@north.example", reseller_owner.actor)
    _publish(reseller_owner)
    for person in (customer_owner, support):
        with pytest.raises(Denied):
            _publish(person)
        with pytest.raises(Denied):
            services.price_book_assign(
                actor=person.actor, buyer_id=None, code="retail", effective_from=SINCE
            )
    assert selectors.assignments(reseller_owner.scope) == []


@pytest.mark.django_db
def test_assigns_only_to_direct_buyers_and_only_what_is_published(
    customer_owner: Person,
    other_customer_owner: Person,
    reseller_owner: Person,
    cloud_admin: Person,
) -> None:
    _publish(reseller_owner)
    _publish(cloud_admin, code="wholesale")
    wrong = [
        (reseller_owner, other_customer_owner.account.id, "retail"),
        (reseller_owner, cloud_admin.account.id, "retail"),
        (reseller_owner, reseller_owner.account.id, "retail"),
        (reseller_owner, uuid4(), "retail"),
        (reseller_owner, customer_owner.account.id, "wholesale"),
        (cloud_admin, customer_owner.account.id, "wholesale"),
    ]
    for seller, buyer_id, code in wrong:
        with pytest.raises(NotFound):
            services.price_book_assign(
                actor=seller.actor, buyer_id=buyer_id, code=code, effective_from=SINCE
            )
        assert selectors.assignments(seller.scope) == []
    services.price_book_assign(
        actor=reseller_owner.actor,
        buyer_id=customer_owner.account.id,
        code="retail",
        effective_from=SINCE,
    )
    (made,) = selectors.assignments(reseller_owner.scope)
    assert (made.buyer_id, made.book_code) == (customer_owner.account.id, "retail")


@pytest.mark.django_db(transaction=True)
def test_the_database_refuses_to_change_what_is_published(reseller_owner: Person) -> None:
    publish(reseller_owner, "retail")
    for model, change in (
        (Price, {"amount": Decimal(0)}),
        (PriceBook, {"effective_from": date(2020, 1, 1)}),
        (PriceBookAssignment, {"book_code": "other"}),
    ):
        with pytest.raises(DatabaseError), scoped(reseller_owner.scope), transaction.atomic():
            model.objects.update(**change)
        with pytest.raises(DatabaseError), scoped(reseller_owner.scope), transaction.atomic():
            model.objects.all().delete()
    (book,) = selectors.price_books(reseller_owner.scope)
    assert book.prices[0].amount == Decimal("0.2")


@pytest.mark.django_db(transaction=True)
def test_the_demo_is_made_once_and_prices_a_small_run(
    customer_owner: Person, reseller_owner: Person, cloud_admin: Person
) -> None:
    demo.make()
    demo.make()
    assert [book.code for book in selectors.price_books(cloud_admin.scope)] == ["wholesale"]
    assert [book.code for book in selectors.price_books(reseller_owner.scope)] == ["retail"]
    assert len(selectors.assignments(reseller_owner.scope)) == 1
    meter(customer_owner, environment(customer_owner), 250)
    # 250 × 0.50 / 1,000 = 0.125 → 0.12, third parties 250 × 0.10 / 1,000 = 0.025 → 0.02
    assert run(reseller_owner).drafts[0].total == Decimal("0.14")
    assert run(cloud_admin).drafts[0].total == Decimal("0.05")


@pytest.mark.django_db
def test_the_demo_without_accounts_makes_nothing() -> None:
    demo.make()
    assert selectors.sellers() == []
