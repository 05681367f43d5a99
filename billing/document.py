"""An invoice as a PDF.

The template gets finished strings and escapes them; the renderer may fetch nothing, neither
from the network nor from the disk, so a name that looks like markup or an address is text.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import groupby
from typing import Any, NoReturn
from uuid import UUID
from zoneinfo import ZoneInfo

from django.template.loader import render_to_string
from weasyprint import HTML
from weasyprint.urls import FatalURLFetchingError, URLFetcher

from billing.periods import month_of_key
from billing.selectors.invoices import InvoiceDetail, LineInfo, TierInfo, invoice
from qcloud.kernel.money import format_amount, quantize
from qcloud.kernel.scope import current_scope


class _NoFetcher(URLFetcher):  # type: ignore[misc]  # the library has no types
    """Everything that an invoice shows is in its template."""

    def fetch(self, url: str, headers: object = None) -> NoReturn:  # noqa: ARG002
        raise FatalURLFetchingError(f"an invoice refers to nothing outside itself: {url[:200]}")


@dataclass(frozen=True, slots=True)
class _Row:
    label: str
    quantity: str
    unit: str
    price: str
    amount: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Charge:
    """One price: its lines, and for a graduated one how the tiers add up."""

    title: str
    note: str
    rows: tuple[_Row, ...]
    tiers: tuple[_Row, ...]
    subtotal: str


def invoice_pdf(invoice_id: UUID) -> bytes:
    """The invoice as the open scope may see it. Raises ``NotFound`` for a third account."""
    return render_pdf(invoice(current_scope(), invoice_id))


def render_pdf(detail: InvoiceDetail) -> bytes:
    """A4, one or more pages. Raises for a reference to anything outside the template."""
    html = render_to_string("billing/invoice.html", _context(detail))
    pdf: bytes = HTML(string=html, url_fetcher=_NoFetcher()).write_pdf(
        # The same invoice gives the same document, so two copies can be compared.
        pdf_identifier=detail.invoice.id.bytes,
    )
    return pdf


def _context(detail: InvoiceDetail) -> dict[str, Any]:
    info = detail.invoice
    period = month_of_key(info.period, info.zone)
    return {
        "issuer": info.seller_name,
        "buyer": info.buyer_name,
        "issuer_id": info.seller_id,
        "buyer_id": info.buyer_id,
        "reference": f"{info.period}-{info.id.hex[-8:].upper()}",
        "number": info.number,
        "draft": info.state == "draft",
        "month": f"{period.first_day:%B %Y}",
        "first_day": _day(period.first_day),
        "last_day": _day(period.last_day),
        "zone": info.zone,
        "hours": int((info.period_end - info.period_start).total_seconds() // 3600),
        "currency": info.currency,
        "as_of": _moment(info.computed_at, info.zone),
        "charges": [_charge(list(lines), info.currency) for lines in _by_charge(detail)],
        "total": _plain(info.total, info.currency),
        "total_with_code": format_amount(info.total, info.currency),
        "grouped_by_customer": detail.grouped_by_customer,
        "group_heading": "Customer" if detail.grouped_by_customer else "Environment",
        "book": detail.book,
        "usage_digest": detail.usage_digest,
        "late": len(detail.drifts),
    }


def _by_charge(detail: InvoiceDetail) -> list[list[LineInfo]]:
    return [list(lines) for _, lines in groupby(detail.lines, key=lambda line: line.price_key)]


def _charge(lines: list[LineInfo], currency: str) -> _Charge:
    first = lines[0]
    return _Charge(
        title=first.description,
        note=_note(first),
        rows=tuple(_row(line, currency) for line in lines),
        tiers=tuple(_tier_row(tier, first, currency) for tier in first.tiers),
        subtotal=_plain(first.charge_amount, currency) if len(lines) > 1 else "",
    )


def _note(line: LineInfo) -> str:
    if line.model == "flat":
        return "for the period"
    if line.model == "graduated":
        return f"graduated, priced per {line.unit}"
    return f"per {line.unit}"


def _row(line: LineInfo, currency: str) -> _Row:
    return _Row(
        label=line.environment_label or line.subject_name or "Whole account",
        quantity=f"{line.quantity:,}",
        unit=_counted(line),
        price="see tiers" if line.unit_price is None else _exact(line.unit_price, currency),
        amount=_plain(line.amount, currency),
    )


def _tier_row(tier: TierInfo, line: LineInfo, currency: str) -> _Row:
    bound = f"up to {tier.up_to:,}" if tier.up_to else f"above {tier.above:,}"
    return _Row(
        label=bound
        if tier.above == 0 or not tier.up_to
        else f"{tier.above + 1:,} – {tier.up_to:,}",
        quantity=f"{tier.quantity:,}",
        unit=_counted(line),
        price=_exact(tier.price, currency),
        amount=_exact(tier.amount, currency),
    )


def _counted(line: LineInfo) -> str:
    if not line.metric:
        return "period"
    return "bytes" if line.metric.startswith("bytes") else "requests"


def _plain(amount: Decimal, currency: str) -> str:
    """Digits alone, for a column whose head names the currency."""
    return f"{quantize(amount, currency):,f}"


def _exact(amount: Decimal, currency: str) -> str:
    """Every digit of a price or of a tier's amount, and at least the currency's own."""
    rounded = quantize(amount, currency)
    return f"{rounded:,f}" if rounded == amount else f"{amount.normalize():,f}"


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _moment(instant: datetime, zone: str) -> str:
    local = instant.astimezone(UTC).astimezone(ZoneInfo(zone))
    return f"{_day(local.date())}, {local:%H:%M} ({zone})"
