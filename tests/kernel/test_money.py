"""Amounts: exponents, rounding, how they are written."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcloud.kernel.money import exponent, format_amount, quantize

amounts = st.decimals(min_value=-(10**12), max_value=10**12, places=9, allow_nan=False)


@pytest.mark.parametrize(("currency", "digits"), [("EUR", 2), ("JPY", 0), ("BHD", 3), ("CLF", 4)])
def test_exponents_of_iso_4217(currency: str, digits: int) -> None:
    assert exponent(currency) == digits


@pytest.mark.parametrize(
    ("amount", "rounded"), [("0.005", "0.00"), ("0.015", "0.02"), ("0.025", "0.02")]
)
def test_halves_go_to_even(amount: str, rounded: str) -> None:
    assert quantize(Decimal(amount), "EUR") == Decimal(rounded)


@given(amounts, st.sampled_from(["EUR", "JPY", "BHD"]))
def test_rounding_moves_by_at_most_half_a_unit_and_once(amount: Decimal, currency: str) -> None:
    rounded = quantize(amount, currency)
    assert abs(rounded - amount) <= Decimal(1).scaleb(-exponent(currency)) / 2
    assert quantize(rounded, currency) == rounded


def test_amounts_are_written_whole() -> None:
    assert format_amount(Decimal("1234567.5"), "EUR") == "EUR 1,234,567.50"
    assert format_amount(Decimal(-3), "JPY") == "JPY -3"


@pytest.mark.parametrize(
    ("currency", "written"),
    [
        ("EUR", "EUR 1,234,567,890,123,456,789,012,345,678,901,234.57"),
        ("JPY", "JPY 1,234,567,890,123,456,789,012,345,678,901,235"),
        ("BHD", "BHD 1,234,567,890,123,456,789,012,345,678,901,234.568"),
    ],
)
def test_an_amount_as_long_as_its_column_keeps_every_digit(currency: str, written: str) -> None:
    """38 digits, ten more than Python's decimals have unless they are told."""
    amount = Decimal("1234567890123456789012345678901234.5678")
    assert format_amount(amount, currency) == written
