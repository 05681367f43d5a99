"""Publishing prices and saying who pays them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import Max

from audit.services import record
from billing.errors import bad_book, book_missing, buyer_missing
from billing.models import Price, PriceBook, PriceBookAssignment
from billing.rating.prices import PriceTerm, price_of
from billing.selectors.books import PriceBookInfo, price_book
from billing.selectors.metering import direct_buyers
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Denied
from qcloud.kernel.permissions import Actor, Permission, require
from qcloud.kernel.scope import Scope, scoped

_CODE: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")


def price_book_publish(
    *,
    actor: Actor,
    code: str,
    name: str,
    currency: str,
    effective_from: date,
    prices: Sequence[dict[str, Any]],
) -> PriceBookInfo:
    """Publish a new version of the account's book ``code``, made if it is the first.

    ``prices`` are documents as ``billing.rating.prices.price_of`` reads them, amounts as
    text. The version counts for periods that begin on or after ``effective_from``, the first
    of a month. Raises ``Invalid`` for anything that could not be rated later.
    """
    require(actor, Permission.BILLING_BOOK_WRITE)
    scope = seller_scope(actor)
    terms = [price_of(document) for document in prices]
    _check_book(code, name, currency, effective_from, terms)
    with scoped(scope):
        _one_at_a_time(scope, code)
        version = _next_version(scope, code, currency, effective_from)
        book = PriceBook.objects.create(
            account_id=scope.account_id,
            code=code,
            version=version,
            name=name.strip(),
            currency=currency,
            effective_from=effective_from,
            published_at=now(),
            published_by=actor.label,
        )
        Price.objects.bulk_create(_rows(book, terms))
        record(
            actor=actor,
            action="billing.book.publish",
            object_kind="price_book",
            object_id=book.id,
            scope=scope,
            data={"code": code, "version": version, "currency": currency, "prices": len(terms)},
        )
        return next(info for info in price_book(scope, code) if info.version == version)


def price_book_assign(
    *, actor: Actor, buyer_id: UUID | None, code: str, effective_from: date
) -> None:
    """Charge a buyer (none: every buyer without a book of its own) by book ``code``.

    Counts for periods that begin on or after ``effective_from``, the first of a month. Raises
    ``NotFound`` for a book that was never published and for an account that is not one step
    below.
    """
    require(actor, Permission.BILLING_BOOK_WRITE)
    scope = seller_scope(actor)
    _check_day(effective_from)
    with scoped(scope):
        if buyer_id and buyer_id not in {buyer.id for buyer in direct_buyers(scope)}:
            raise buyer_missing(buyer_id)
        if not PriceBook.objects.filter(account_id=scope.account_id, code=code).exists():
            raise book_missing(code)
        row = PriceBookAssignment.objects.create(
            account_id=scope.account_id,
            buyer_id=buyer_id,
            book_code=code,
            effective_from=effective_from,
            assigned_at=now(),
            assigned_by=actor.label,
        )
        record(
            actor=actor,
            action="billing.book.assign",
            object_kind="price_book_assignment",
            object_id=row.id,
            scope=scope,
            data={
                "code": code,
                "buyer": str(buyer_id or "default"),
                "effective_from": effective_from.isoformat(),
            },
        )


def seller_scope(actor: Actor) -> Scope:
    """The account that the actor sells for. Raises ``Denied`` for the system with none."""
    if actor.scope is None:
        raise Denied("Prices belong to an account; act for one.")
    return actor.scope


def _one_at_a_time(scope: Scope, code: str) -> None:
    """Until this transaction ends nobody else numbers a version of this book."""
    with connection.cursor() as cursor:
        key = f"price book {code} of {scope.account_id}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])


def _next_version(scope: Scope, code: str, currency: str, effective_from: date) -> int:
    last = PriceBook.objects.filter(account_id=scope.account_id, code=code)
    if last.exclude(currency=currency).exists():
        raise bad_book(
            f"“{code}” is kept in another currency; a book keeps its currency. Publish"
            f" the {currency} prices as a book of their own.",
            currency="A book keeps its currency.",
        )
    newest = last.aggregate(version=Max("version"), day=Max("effective_from"))
    if newest["day"] and effective_from < newest["day"]:
        raise bad_book(
            f"A version from {newest['day']} on is published; a later version cannot begin"
            " before it.",
            effective_from="Not before the version that it replaces.",
        )
    return int(newest["version"] or 0) + 1


def _check_book(
    code: str, name: str, currency: str, effective_from: date, terms: list[PriceTerm]
) -> None:
    if not _CODE.fullmatch(code) or len(code) > 60:
        raise bad_book("A book's code is up to 60 of a–z, 0–9 and dashes.", code="Mend the code.")
    if not 1 <= len(name.strip()) <= 120:
        raise bad_book("A book needs a name of up to 120 characters.", name="Give a name.")
    if not _CURRENCY.fullmatch(currency):
        raise bad_book("The currency is an ISO 4217 code such as EUR.", currency="Use ISO 4217.")
    if not terms:
        raise bad_book("A book needs at least one price.", prices="Add a price.")
    if len({term.key for term in terms}) != len(terms):
        raise bad_book("Two prices have the same key.", prices="Keys are unique in a book.")
    if any(not _CODE.fullmatch(t.key) or len(t.key) > 60 for t in terms):
        raise bad_book("A price's key is up to 60 of a–z, 0–9 and dashes.", prices="Mend keys.")
    if any(len(term.description) > 200 for term in terms):
        raise bad_book("A price's description has at most 200 characters.", prices="Shorten it.")
    _check_day(effective_from)


def _check_day(day: date) -> None:
    if day.day != 1:
        raise bad_book(
            "Prices change with a billing period: choose the first day of a month.",
            effective_from="The first of a month.",
        )


def _rows(book: PriceBook, terms: list[PriceTerm]) -> list[Price]:
    return [
        Price(
            account_id=book.account_id,
            book=book,
            position=position,
            key=term.key,
            description=term.description,
            model=term.model,
            metric=term.metric or "",
            unit_size=term.unit_size,
            amount=term.amount,
            tiers=[{"up_to": tier.up_to, "price": str(tier.price)} for tier in term.tiers],
        )
        for position, term in enumerate(terms)
    ]
