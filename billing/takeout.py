"""What an account takes with it of this room: its invoices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from billing.document import render_pdf
from billing.selectors import invoice, invoices
from billing.selectors.invoices import InvoiceInfo
from qcloud.kernel.scope import Scope, scoped
from qcloud.kernel.takeout import File, offer, table

_INVOICES: Final = (
    "id", "side", "number", "state", "seller_name", "buyer_name", "period", "period_start",
    "period_end", "currency", "total", "lines", "revision", "computed_at",
)  # fmt: skip
_LINES: Final = (
    "invoice_id", "description", "metric", "direction", "unit", "unit_size", "unit_price",
    "quantity", "currency", "amount", "subject_name", "environment_label", "events_since",
    "events_until",
)  # fmt: skip
_PAGE: Final = 500
_PRINTED: Final = 120
"""Ten years of months as PDF; what is older, and all of it, is in the tables."""


def register() -> None:
    offer("Invoices", _files, order=50)


def _files(scope: Scope) -> Iterator[File]:
    found = list(_invoices(scope))
    yield table("invoices.csv", _INVOICES, found)
    lines = (line for one in found for line in invoice(scope, one.id).lines)
    yield table("invoice-lines.csv", _LINES, lines)
    received = [one for one in found if one.buyer_id == scope.account_id]
    for one in received[:_PRINTED]:
        yield f"invoices/{one.period}-{one.id}.pdf", [_pdf(scope, one)]


def _pdf(scope: Scope, one: InvoiceInfo) -> bytes:
    with scoped(scope):
        return render_pdf(invoice(scope, one.id))


def _invoices(scope: Scope) -> Iterator[InvoiceInfo]:
    cursor = ""
    while True:
        page = invoices(scope, cursor=cursor, limit=_PAGE)
        yield from page.rows
        if page.next_cursor is None:
            return
        cursor = page.next_cursor
