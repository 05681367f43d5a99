"""Amounts of money: ``Decimal`` and an ISO 4217 code, never floats."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

_WIDE: Final = Context(prec=120)
_NO_MINOR_UNIT: Final = frozenset(
    "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split()  # noqa: SIM905
)
_THREE_DIGITS: Final = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])
_FOUR_DIGITS: Final = frozenset(["CLF", "UYW"])


def exponent(currency: str) -> int:
    """Digits after the point by ISO 4217: EUR 2, JPY 0, BHD 3."""
    if currency in _NO_MINOR_UNIT:
        return 0
    if currency in _THREE_DIGITS:
        return 3
    return 4 if currency in _FOUR_DIGITS else 2


def quantize(amount: Decimal, currency: str) -> Decimal:
    """The amount in the currency's smallest unit, halves to even.

    Half-even is what banks and IEEE 754 use: many rounded lines do not drift upward.
    """
    unit = Decimal(1).scaleb(-exponent(currency))
    # The default context stops at 28 digits, which is less than a column of money holds.
    return amount.quantize(unit, rounding=ROUND_HALF_EVEN, context=_WIDE)


def format_amount(amount: Decimal, currency: str) -> str:
    """``EUR 1,234.50``: code first, every digit, so that a column of them can be compared."""
    return f"{currency} {quantize(amount, currency):,f}"
