"""What this room does about accounts that end.

Invoices, with their lines and the usage they froze, are rows of two parties and stay with the
seller, and so do the prices that they were computed by.
"""

from __future__ import annotations

from typing import Final

from qcloud.kernel import erasure

_PRICES: Final = "published prices never change, and a seller's invoices were computed by them"

ERASURE: Final = erasure.step("billing", order=30)
erasure.keep("billing_price_book", _PRICES)
erasure.keep("billing_price", _PRICES)
erasure.keep("billing_price_book_assignment", _PRICES)
