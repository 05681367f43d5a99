"""Invoices and price books, as each side of a sale may see them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render

from billing.document import invoice_pdf
from billing.selectors import (
    SORTS,
    InvoiceInfo,
    LineInfo,
    PriceBookInfo,
    assignments,
    invoice,
    invoices,
    line_events_filter,
    periods_billed,
    price_books,
    recomputed_equal,
    unit_label,
)
from fleet.selectors import environments
from portal.door import page
from portal.here import Here
from portal.kit import formats
from portal.kit.accounts import learn
from portal.kit.tables import Cell, Choice, Column, Page, Query, TableSpec, fetch_from, table
from qcloud.kernel.errors import NotFound
from qcloud.kernel.money import exponent, format_amount
from qcloud.kernel.permissions import Permission

SIDES: Final = (("sales", "issued"), ("purchases", "received"))


def _spec(here: Here) -> TableSpec[InvoiceInfo]:
    is_customer = here.portal == "c"
    periods = tuple((p, p) for p in periods_billed(here.scope))
    return TableSpec(
        name="invoices",
        noun="invoices",
        sort="-period",
        searchable=not is_customer,
        placeholder="Filter by party",
        choices=(
            Choice("period", "Month", periods),
            *(() if is_customer else (Choice("side", "Direction", SIDES),)),
        ),
        columns=(
            Column(
                "period",
                "Month",
                lambda i: i.period,
                lambda i: Cell(i.period, href=here.url("invoice", i.id), rel="invoice"),
            ),
            Column(
                "number",
                "Number",
                lambda i: i.number or "",
                lambda i: Cell(i.number or formats.NONE),
                sort=False,
            ),
            Column("state", "State", lambda i: i.state, _state, sort=False),
            Column(
                "side",
                "Direction",
                lambda i: dict(SIDES)[i.side],
                sort=False,
                shown=not is_customer,
            ),
            Column("seller", "From", lambda i: i.seller_name),
            Column("buyer", "To", lambda i: i.buyer_name, shown=not is_customer),
            Column("lines", "Lines", lambda i: i.lines, number=True, sort=False),
            Column("currency", "Currency", lambda i: i.currency, sort=False, shown=False),
            Column(
                "total",
                "Total",
                lambda i: i.total,
                lambda i: Cell(format_amount(i.total, i.currency)),
                number=True,
            ),
            Column(
                "computed",
                "Computed",
                lambda i: i.computed_at,
                lambda i: Cell("", time=i.computed_at),
                shown=False,
            ),
        ),
    )


def _state(info: InvoiceInfo) -> Cell:
    if info.state == "draft":
        return Cell("draft", tone="info", icon="clock")
    return Cell(info.state, tone="ok", icon="check")


@page(Permission.BILLING_INVOICE_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    shown = table(
        request, _spec(here), lambda query, cursor, limit: _fetch(here, query, cursor, limit)
    )
    if isinstance(shown, HttpResponseBase):
        return shown
    return render(request, "pages/invoices.html", {"table": shown})


def _fetch(here: Here, query: Query, cursor: str, limit: int) -> Page[InvoiceInfo]:
    side = "purchases" if here.portal == "c" else query.filters.get("side")
    sort = query.sort if query.sort in SORTS else "period"
    found = invoices(
        here.scope,
        side=side,  # type: ignore[arg-type]  # one of SIDES
        period=query.filters.get("period", ""),
        search=query.text,
        sort=f"{'-' if query.descending else ''}{sort}",
        cursor=cursor,
        limit=limit,
    )
    return Page(found.rows, found.next_cursor or "")


@page(Permission.BILLING_INVOICE_READ)
def detail(request: HttpRequest, here: Here, invoice_id: UUID) -> HttpResponseBase:
    found = invoice(here.scope, invoice_id)
    slugs = {}
    if here.portal == "c" and here.may(Permission.PULSE_REQUEST_READ):
        slugs = {place.id: place.slug for place in environments(here.scope)}
    spec = _line_spec(here, found.invoice, slugs)
    shown = table(request, spec, fetch_from(found.lines, spec))
    if isinstance(shown, HttpResponseBase):
        return shown
    context = {
        "detail": found,
        "invoice": found.invoice,
        "total": format_amount(found.invoice.total, found.invoice.currency),
        "state": _state(found.invoice),
        "table": shown,
        # Reads every metered hour behind the invoice: minutes for a large reseller's.
        "check": recomputed_equal(here.scope, invoice_id) if "verify" in request.GET else None,
        "crumbs": [("Invoices", here.url("invoices"))],
        "opens_events": bool(slugs),
    }
    return render(request, "pages/invoice.html", context)


def _line_spec(here: Here, info: InvoiceInfo, slugs: dict[UUID, str]) -> TableSpec[LineInfo]:
    return TableSpec(
        name="lines",
        noun="lines",
        page_size=500,
        columns=(
            Column("description", "Item", lambda n: n.description, lambda n: _item(here, n, slugs)),
            Column(
                "subject",
                "Customer",
                lambda n: n.subject_name,
                shown=info.side == "sales" or here.portal != "c",
            ),
            Column("environment", "Environment", lambda n: n.environment_label, shown=any(slugs)),
            Column(
                "quantity",
                "Quantity",
                lambda n: n.quantity,
                lambda n: Cell(_quantity(n)),
                number=True,
            ),
            Column("unit", "Per", lambda n: n.unit),
            Column(
                "unit_price",
                "Price",
                lambda n: n.unit_price,
                lambda n: Cell(price_words(n.unit_price, info.currency)),
                number=True,
            ),
            Column(
                "amount",
                "Amount",
                lambda n: n.amount,
                lambda n: Cell(format_amount(n.amount, info.currency), field="invoice-line-amount"),
                number=True,
            ),
        ),
    )


def _quantity(line: LineInfo) -> str:
    unit = " B" if line.metric.startswith("bytes") else ""
    return f"{formats.count(line.quantity)}{unit}"


def price_words(price: Decimal | None, currency: str) -> str:
    """Every digit of a price, and at least those of the currency; a graduated one has tiers."""
    if price is None:
        return "by tier"
    plain = price.normalize()
    digits = max(exponent(currency), -int(plain.as_tuple().exponent))
    return f"{currency} {plain:.{digits}f}"


def _item(here: Here, line: LineInfo, slugs: dict[UUID, str]) -> Cell:
    wanted = line_events_filter(line, here.scope)
    if wanted is None or line.environment_id not in slugs:
        return Cell(line.description)
    query = {
        "from": formats.iso(wanted.since),
        "to": formats.iso(wanted.until),
        "f.env": slugs[line.environment_id],
    }
    if wanted.direction:
        query["f.direction"] = wanted.direction
    href = f"{here.url('requests')}?{urlencode(query, safe=':')}"
    return Cell(line.description, href=href, title="The requests that this line counts")


@page(Permission.BILLING_INVOICE_READ)
def pdf(request: HttpRequest, here: Here, invoice_id: UUID) -> HttpResponseBase:
    del request
    info = invoice(here.scope, invoice_id).invoice
    response = HttpResponse(invoice_pdf(invoice_id), content_type="application/pdf")
    name = f"invoice-{info.number or info.period}-{info.state}"
    response["Content-Disposition"] = f'attachment; filename="{name}.pdf"'
    response["Cache-Control"] = "private, no-store"
    return response


def _book_spec(here: Here) -> TableSpec[PriceBookInfo]:
    return TableSpec(
        name="books",
        noun="versions",
        sort="",
        placeholder="Filter by name",
        columns=(
            Column(
                "name",
                "Book",
                lambda b: b.name,
                lambda b: Cell(b.name, href=here.url("book", b.code, b.version)),
            ),
            Column("code", "Code", lambda b: b.code, lambda b: Cell(b.code, code=True)),
            Column("version", "Version", lambda b: b.version, number=True),
            Column("from", "In force from", lambda b: b.effective_from.isoformat()),
            Column(
                "until",
                "Until",
                lambda b: b.effective_until.isoformat() if b.effective_until else "",
            ),
            Column("prices", "Prices", lambda b: len(b.prices), number=True),
            Column("currency", "Currency", lambda b: b.currency),
            Column(
                "published",
                "Published",
                lambda b: b.published_at,
                lambda b: Cell("", time=b.published_at),
            ),
            Column("by", "By", lambda b: b.published_by, shown=False),
        ),
    )


@page(Permission.BILLING_BOOK_READ)
def books(request: HttpRequest, here: Here) -> HttpResponseBase:
    spec = _book_spec(here)
    shown = table(request, spec, fetch_from(price_books(here.scope), spec))
    if isinstance(shown, HttpResponseBase):
        return shown
    assigned = assignments(here.scope)
    names: dict[UUID, str] = {}
    learn(here, names, (a.buyer_id for a in assigned if a.buyer_id))
    context = {
        "table": shown,
        "assigned": [
            (names.get(a.buyer_id, str(a.buyer_id)) if a.buyer_id else "Everybody else", a)
            for a in assigned
        ],
    }
    return render(request, "pages/books.html", context)


@page(Permission.BILLING_BOOK_READ)
def book(request: HttpRequest, here: Here, code: str, version: int) -> HttpResponseBase:
    found = next(
        (b for b in price_books(here.scope) if b.code == code and b.version == version), None
    )
    if found is None:
        raise NotFound("There is no such price book in this account.")
    context = {
        "book": found,
        "prices": list(_prices(found)),
        "crumbs": [("Price books", here.url("books"))],
    }
    return render(request, "pages/book.html", context)


@dataclass(frozen=True)
class PriceLine:
    """One price of a book, or one tier of it."""

    item: str
    kind: str
    counts: str
    unit: str
    price: str


def _prices(found: PriceBookInfo) -> Iterator[PriceLine]:
    for term in found.prices:
        unit = unit_label(term.metric or "", term.unit_size)
        kind, counts = term.model.value, str(term.metric or formats.NONE).replace("_", " ")
        if not term.tiers:
            price = price_words(term.amount, found.currency)
            yield PriceLine(term.description, kind, counts, unit, price)
        for i, tier in enumerate(term.tiers):
            bound = "beyond" if tier.up_to is None else f"up to {formats.count(tier.up_to)}"
            first = i == 0
            yield PriceLine(
                term.description if first else "",
                kind if first else "",
                f"{counts}, {bound}" if first else bound,
                unit,
                price_words(tier.price, found.currency),
            )
