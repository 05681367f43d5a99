"""Exact fractions to decimals, and sharing an amount without losing a cent."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from decimal import ROUND_FLOOR, Context, Decimal, localcontext
from fractions import Fraction
from typing import Final, TypeVar

from qcloud.kernel.money import exponent, quantize

DIGITS: Final = 120
"""Enough for any 64-bit quantity times a price, divided by a unit of 2^30 or 10^12."""

Key = TypeVar("Key", bound=Hashable)


def context() -> Context:
    return Context(prec=DIGITS)


def to_money(exact: Fraction, currency: str) -> Decimal:
    """The amount in the currency's smallest unit, halves to even.

    A half of the smallest unit always terminates and is therefore exact here; everything
    else is cut after 120 digits, on the side of the half where it lies.
    """
    with localcontext(context()):
        return quantize(Decimal(exact.numerator) / Decimal(exact.denominator), currency)


def to_decimal(exact: Fraction, places: int = 12) -> Decimal:
    """For showing: at most ``places`` digits after the point, no trailing zeros."""
    with localcontext(context()):
        value = Decimal(exact.numerator) / Decimal(exact.denominator)
        rounded = value.quantize(Decimal(1).scaleb(-places)).normalize()
        return rounded.quantize(Decimal(1)) if rounded == rounded.to_integral() else rounded


def share(amount: Decimal, weights: Mapping[Key, int], currency: str) -> dict[Key, Decimal]:
    """Cut a rounded amount in proportion to whole weights; the parts add up to it exactly.

    Largest remainder (Hamilton): each part is its exact proportion rounded down to the
    currency's smallest unit, and the units left over go one each to the largest remainders.
    Ties go by the order of ``weights``. No part is off by a whole unit.
    """
    total = sum(weights.values())
    unit = Decimal(1).scaleb(-exponent(currency))
    with localcontext(context()):
        units = int((amount / unit).to_integral_value(ROUND_FLOOR))
        floors = {key: units * weight // total for key, weight in weights.items()}
        left = units - sum(floors.values())
        by_remainder = sorted(weights, key=lambda key: (units * weights[key]) % total, reverse=True)
        for key in by_remainder[:left]:
            floors[key] += 1
        return {key: count * unit for key, count in floors.items()}
