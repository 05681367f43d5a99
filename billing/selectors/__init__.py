"""What other rooms may ask of billing; each function takes the viewer's scope first."""

from __future__ import annotations

from billing.selectors.books import (
    AssignmentInfo,
    PriceBookInfo,
    assignments,
    price_book,
    price_books,
    sellers,
)
from billing.selectors.estimates import Estimate, EstimatedCharge, estimate
from billing.selectors.events import line_events_filter
from billing.selectors.frozen import FrozenInvoice, FrozenPart, frozen_invoice
from billing.selectors.invoices import (
    SORTS,
    DriftInfo,
    InvoiceDetail,
    InvoiceInfo,
    InvoicePage,
    LineInfo,
    TierInfo,
    invoice,
    invoices,
    line,
    periods_billed,
    unit_label,
)
from billing.selectors.recompute import Recomputed, recomputed_equal

__all__ = [
    "SORTS",
    "AssignmentInfo",
    "DriftInfo",
    "Estimate",
    "EstimatedCharge",
    "FrozenInvoice",
    "FrozenPart",
    "InvoiceDetail",
    "InvoiceInfo",
    "InvoicePage",
    "LineInfo",
    "PriceBookInfo",
    "Recomputed",
    "TierInfo",
    "assignments",
    "estimate",
    "frozen_invoice",
    "invoice",
    "invoices",
    "line",
    "line_events_filter",
    "periods_billed",
    "price_book",
    "price_books",
    "recomputed_equal",
    "sellers",
    "unit_label",
]
