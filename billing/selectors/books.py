"""Price books: which there are, and which one counts for whom and when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from django.db.models import Q

from billing.models import Price, PriceBook, PriceBookAssignment
from billing.rating.exact import to_decimal
from billing.rating.prices import Model, PriceTerm, Terms, Tier
from billing.rating.usage import Metric
from qcloud.kernel.scope import Scope, scoped, unscoped


@dataclass(frozen=True, slots=True)
class PriceBookInfo:
    """One version of a book. ``effective_until`` is the day its successor takes over."""

    id: UUID
    code: str
    version: int
    name: str
    currency: str
    effective_from: date
    effective_until: date | None
    published_at: datetime
    published_by: str
    prices: tuple[PriceTerm, ...]


@dataclass(frozen=True, slots=True)
class AssignmentInfo:
    """``buyer_id`` is none for the seller's default."""

    buyer_id: UUID | None
    book_code: str
    effective_from: date
    assigned_at: datetime
    assigned_by: str


def price_books(scope: Scope) -> list[PriceBookInfo]:
    """The account's own books, all versions, by code and newest version first."""
    with scoped(scope):
        rows = list(
            PriceBook.objects.filter(account_id=scope.account_id)
            .prefetch_related("prices")
            .order_by("code", "-version")
        )
        return [_info(row, rows) for row in rows]


def price_book(scope: Scope, code: str) -> list[PriceBookInfo]:
    """All versions of one book, newest first; empty when there is none."""
    return [book for book in price_books(scope) if book.code == code]


def assignments(scope: Scope) -> list[AssignmentInfo]:
    """Every assignment that the account made, newest first."""
    with scoped(scope):
        rows = list(
            PriceBookAssignment.objects.filter(account_id=scope.account_id).order_by(
                "-effective_from", "-id"
            )
        )
    return [
        AssignmentInfo(
            row.buyer_id, row.book_code, row.effective_from, row.assigned_at, row.assigned_by
        )
        for row in rows
    ]


def sellers() -> list[UUID]:
    """In system mode: every account that has assigned a book and so has something to bill."""
    with unscoped("billing cron"):
        ids = PriceBookAssignment.objects.values_list("account_id", flat=True)
        return sorted(set(ids))


def terms_by_buyer(seller_id: UUID, buyers: Iterable[UUID], day: date) -> dict[UUID, Terms]:
    """What each buyer is charged in a period that begins on ``day``; in the seller's scope.

    An assignment that names the buyer goes before the seller's default. A buyer for whom
    neither holds a book in force is left out.
    """
    codes: dict[UUID | None, str] = {}
    rows = PriceBookAssignment.objects.filter(account_id=seller_id, effective_from__lte=day)
    for row in rows.order_by("effective_from", "id"):
        codes[row.buyer_id] = row.book_code
    books = _in_force(seller_id, set(codes.values()), day)
    found = {buyer: codes.get(buyer) or codes.get(None) for buyer in buyers}
    return {buyer: books[code] for buyer, code in found.items() if code in books}


def _in_force(seller_id: UUID, codes: set[str], day: date) -> dict[str, Terms]:
    rows = PriceBook.objects.filter(
        Q(code__in=codes), account_id=seller_id, effective_from__lte=day
    ).prefetch_related("prices")
    return {row.code: _terms(row) for row in rows.order_by("version")}


def _info(row: PriceBook, rows: list[PriceBook]) -> PriceBookInfo:
    later = [r.effective_from for r in rows if r.code == row.code and r.version > row.version]
    return PriceBookInfo(
        id=row.id,
        code=row.code,
        version=row.version,
        name=row.name,
        currency=row.currency,
        effective_from=row.effective_from,
        effective_until=min(later, default=None),
        published_at=row.published_at,
        published_by=row.published_by,
        prices=tuple(_term(price) for price in row.prices.all()),
    )


def _terms(row: PriceBook) -> Terms:
    prices = tuple(_term(price) for price in row.prices.all())
    return Terms(row.code, row.version, row.currency, prices)


def _term(row: Price) -> PriceTerm:
    return PriceTerm(
        key=row.key,
        description=row.description,
        model=Model(row.model),
        metric=Metric(row.metric) if row.metric else None,
        unit_size=row.unit_size,
        amount=None if row.amount is None else to_decimal(Fraction(row.amount)),
        tiers=tuple(Tier(t["up_to"], Decimal(t["price"])) for t in row.tiers),
    )
