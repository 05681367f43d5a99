"""Invoices as their two parties see them."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from billing.errors import bad_cursor, bad_sort, invoice_missing, line_missing
from billing.models import Invoice, InvoiceDrift, InvoiceLine
from billing.rating.prices import PriceTerm, terms_of
from qcloud.kernel.money import quantize
from qcloud.kernel.scope import Scope, scoped

Side = Literal["sales", "purchases"]

SORTS: Final = {
    "period": "period",
    "total": "total",
    "buyer": "buyer_name",
    "seller": "seller_name",
    "computed": "computed_at",
}
"""Names that a list can be sorted by; a minus before the name turns the order round."""

_DIGITS: Final = 38
"""Of a total, see ``Invoice.total``."""


@dataclass(frozen=True, slots=True)
class InvoiceInfo:
    """An invoice in a list. Times are UTC; ``period`` is the month ``2026-11`` of ``zone``."""

    id: UUID
    side: Side
    """``sales`` when the viewer is the seller."""
    state: str
    number: str | None
    seller_id: UUID
    seller_name: str
    buyer_id: UUID
    buyer_name: str
    period: str
    zone: str
    period_start: datetime
    period_end: datetime
    currency: str
    total: Decimal
    lines: int
    revision: int
    computed_at: datetime


@dataclass(frozen=True, slots=True)
class InvoicePage:
    rows: tuple[InvoiceInfo, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class TierInfo:
    """What of a charge fell into one tier. ``price`` is for ``unit_size``; amount unrounded."""

    above: int
    up_to: int | None
    quantity: int
    price: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class LineInfo:
    """A line. ``opens_events`` says whether the viewer may see the events behind it."""

    id: UUID
    invoice_id: UUID
    description: str
    price_key: str
    model: str
    metric: str
    direction: str
    """Empty when every direction counts, else as events spell it."""
    unit: str
    unit_size: int
    unit_price: Decimal | None
    """``None`` for a graduated price; its tiers tell."""
    quantity: int
    currency: str
    amount: Decimal
    charge_quantity: int
    """Of the whole charge, of which this line is its group's part."""
    charge_amount: Decimal
    tiers: tuple[TierInfo, ...]
    subject_account_id: UUID | None
    """Whose traffic it is; ``None`` on a charge that no traffic stands behind."""
    subject_name: str
    environment_id: UUID | None
    environment_label: str
    events_since: datetime
    events_until: datetime
    opens_events: bool


@dataclass(frozen=True, slots=True)
class DriftInfo:
    """Usage that came, or changed, after the hours it belongs to had been counted."""

    detected_at: datetime
    settled_until: datetime
    subject_account_id: UUID
    environment_id: UUID
    counts_before: dict[str, int]
    counts_after: dict[str, int]
    total_before: Decimal
    total_after: Decimal


@dataclass(frozen=True, slots=True)
class InvoiceDetail:
    invoice: InvoiceInfo
    grouped_by_customer: bool
    """A wholesale invoice: a line is a customer of the buyer, not an environment."""
    prices: tuple[PriceTerm, ...]
    book: str
    lines: tuple[LineInfo, ...]
    drifts: tuple[DriftInfo, ...]
    usage_digest: str
    terms_digest: str
    settled_until: datetime


def invoices(
    scope: Scope,
    *,
    side: Side | None = None,
    period: str = "",
    buyer_id: UUID | None = None,
    search: str = "",
    sort: str = "-period",
    cursor: str = "",
    limit: int = 50,
) -> InvoicePage:
    """One page of the account's invoices.

    ``search`` looks into the names of both parties. ``sort`` is a key of ``SORTS``, ``-`` for
    descending; equal values go by id. Raises ``Invalid`` for an unknown sort or cursor.
    """
    name, descending = sort.removeprefix("-"), sort.startswith("-")
    if name not in SORTS:
        raise bad_sort(sort, tuple(SORTS))
    column = SORTS[name]
    with scoped(scope):
        rows = _mine(scope, side).filter(**({"period": period} if period else {}))
        rows = rows.filter(buyer_id=buyer_id) if buyer_id else rows
        if search:
            rows = rows.filter(Q(buyer_name__icontains=search) | Q(seller_name__icontains=search))
        rows = rows.filter(_after(cursor, column, descending=descending))
        order = [f"-{column}", "-id"] if descending else [column, "id"]
        found = list(rows.annotate(line_count=Count("lines")).order_by(*order)[: limit + 1])
    more = len(found) > limit
    next_cursor = _cursor(found[limit - 1], column) if more else None
    return InvoicePage(tuple(_info(row, scope) for row in found[:limit]), next_cursor)


def invoice(scope: Scope, invoice_id: UUID) -> InvoiceDetail:
    """One invoice with its lines. Raises ``NotFound`` for anybody but its two parties."""
    with scoped(scope):
        row = _mine(scope, None).filter(id=invoice_id).annotate(line_count=Count("lines")).first()
        if row is None:
            raise invoice_missing()
        lines = [line_info(line, scope) for line in row.lines.select_related("invoice")]
        drifts = list(InvoiceDrift.objects.filter(invoice_id=row.id))
    terms = terms_of(row.terms)
    return InvoiceDetail(
        invoice=_info(row, scope),
        grouped_by_customer=row.grouped_by_customer,
        prices=terms.prices,
        book=f"{terms.book} v{terms.version}",
        lines=tuple(lines),
        drifts=tuple(_drift(drift, row.currency) for drift in drifts),
        usage_digest=row.usage_digest,
        terms_digest=row.terms_digest,
        settled_until=row.settled_until,
    )


def line(scope: Scope, line_id: UUID) -> LineInfo:
    """One line. Raises ``NotFound`` for anybody but the two parties of its invoice."""
    with scoped(scope):
        row = (
            _parties(InvoiceLine.objects.select_related("invoice"), scope)
            .filter(id=line_id)
            .first()
        )
        if row is None:
            raise line_missing()
        return line_info(row, scope)


def periods_billed(scope: Scope) -> list[str]:
    """Months for which the account has invoices, newest first: choices for a filter."""
    with scoped(scope):
        return sorted(set(_mine(scope, None).values_list("period", flat=True)), reverse=True)


def line_info(row: InvoiceLine, scope: Scope) -> LineInfo:
    charge = row.breakdown
    return LineInfo(
        id=row.id,
        invoice_id=row.invoice_id,
        description=row.description,
        price_key=row.price_key,
        model=row.model,
        metric=row.metric,
        direction=row.direction,
        unit=unit_label(row.metric, row.unit_size),
        unit_size=row.unit_size,
        unit_price=row.unit_price,
        quantity=int(row.quantity),
        currency=row.invoice.currency,
        amount=quantize(row.amount, row.invoice.currency),
        charge_quantity=charge["quantity"],
        charge_amount=Decimal(charge["amount"]),
        tiers=tuple(_tier(tier) for tier in charge["tiers"]),
        subject_account_id=row.subject_account_id,
        subject_name=row.subject_name,
        environment_id=row.environment_id,
        environment_label=row.environment_label,
        events_since=row.events_since,
        events_until=row.events_until,
        opens_events=row.subject_account_id == scope.account_id,
    )


def unit_label(metric: str, unit_size: int) -> str:
    """``1,000 requests``, ``GiB``, ``period``: what a unit price is the price of."""
    if not metric:
        return "period"
    noun = "bytes" if metric.startswith("bytes") else "requests"
    named = {10**6: "MB", 2**20: "MiB", 10**9: "GB", 2**30: "GiB", 10**12: "TB"}
    if noun == "bytes" and unit_size in named:
        return named[unit_size]
    return noun.removesuffix("s") if unit_size == 1 else f"{unit_size:,} {noun}"


def _mine(scope: Scope, side: Side | None) -> QuerySet[Any]:
    """The policies say the same; this also holds when the provider's system mode is open."""
    rows: QuerySet[Any] = Invoice.objects.filter(revision__gt=0)
    if side == "sales":
        return rows.filter(seller_id=scope.account_id)
    if side == "purchases":
        return rows.filter(buyer_id=scope.account_id)
    return _parties(rows, scope)


def _parties(rows: QuerySet[Any], scope: Scope) -> QuerySet[Any]:
    return rows.filter(Q(seller_id=scope.account_id) | Q(buyer_id=scope.account_id))


def _info(row: Any, scope: Scope) -> InvoiceInfo:
    return InvoiceInfo(
        id=row.id,
        side="sales" if row.seller_id == scope.account_id else "purchases",
        state=row.state,
        number=row.number,
        seller_id=row.seller_id,
        seller_name=row.seller_name,
        buyer_id=row.buyer_id,
        buyer_name=row.buyer_name,
        period=row.period,
        zone=row.zone,
        period_start=row.period_start,
        period_end=row.period_end,
        currency=row.currency,
        total=quantize(row.total, row.currency),
        lines=row.line_count,
        revision=row.revision,
        computed_at=row.computed_at,
    )


def _tier(document: dict[str, Any]) -> TierInfo:
    return TierInfo(
        above=document["above"],
        up_to=document["up_to"],
        quantity=document["quantity"],
        price=Decimal(document["price"]),
        amount=Decimal(document["amount"]),
    )


def _drift(row: InvoiceDrift, currency: str) -> DriftInfo:
    return DriftInfo(
        detected_at=row.detected_at,
        settled_until=row.settled_until,
        subject_account_id=row.subject_account_id,
        environment_id=row.environment_id,
        counts_before=row.counts_before,
        counts_after=row.counts_after,
        total_before=quantize(row.total_before, currency),
        total_after=quantize(row.total_after, currency),
    )


def _cursor(row: Any, column: str) -> str:
    value = getattr(row, column)
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return urlsafe_b64encode(f"{row.id} {text}".encode()).decode()


def _after(cursor: str, column: str, *, descending: bool) -> Q:
    if not cursor:
        return Q()
    try:
        id_text, _, text = urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        row_id, value = UUID(id_text), _typed(text, column)
    except (ValueError, ArithmeticError) as error:
        raise bad_cursor() from error
    step = "lt" if descending else "gt"
    return Q(**{f"{column}__{step}": value}) | Q(**{column: value, f"id__{step}": row_id})


def _typed(text: str, column: str) -> object:
    """Raises ``ValueError`` or ``ArithmeticError`` for what no row of the column can hold."""
    if column == "total":
        total = Decimal(text)
        if not total.is_finite() or abs(total.adjusted()) > _DIGITS:
            raise ValueError(text)
        return total
    if column == "computed_at":
        return datetime.fromisoformat(text).astimezone(UTC)
    if "\0" in text:
        raise ValueError(text)
    return text
