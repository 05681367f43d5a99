"""What changes billing: publish prices, assign them, run."""

from __future__ import annotations

from billing.document import invoice_pdf
from billing.services.books import price_book_assign, price_book_publish
from billing.services.drafts import DraftOutcome
from billing.services.runs import RunReport, run_billing

__all__ = [
    "DraftOutcome",
    "RunReport",
    "invoice_pdf",
    "price_book_assign",
    "price_book_publish",
    "run_billing",
]
