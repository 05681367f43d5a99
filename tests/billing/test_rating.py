"""Rating: what must hold for every price book and every usage."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rating.exact import share, to_decimal, to_money
from billing.rating.prices import Model, PriceTerm, Terms, Tier, price_of, terms_of
from billing.rating.rate import Rated, rate
from billing.rating.usage import Counts, Metric
from qcloud.kernel.errors import Invalid
from qcloud.kernel.money import exponent
from tests.billing.strategies import (
    CURRENCIES,
    QUANTITIES,
    USAGE,
    graduated,
    per_unit,
    terms,
)


def _terms(*prices: PriceTerm, currency: str = "EUR") -> Terms:
    return Terms("book", 1, currency, prices)


def _amounts(rated: Rated[str]) -> list[tuple[str | None, int, str]]:
    return [
        (line.group, line.quantity, str(line.amount))
        for charge in rated.charges
        for line in charge.lines
    ]


PER_THOUSAND = PriceTerm(
    "requests", "Requests", Model.UNIT, Metric.REQUESTS, 1_000, Decimal("0.20")
)
TIERED = PriceTerm(
    "requests",
    "Requests",
    Model.GRADUATED,
    Metric.REQUESTS,
    1_000,
    None,
    (Tier(10_000, Decimal("2.00")), Tier(50_000, Decimal("1.00")), Tier(None, Decimal("0.50"))),
)


@given(terms=terms(), usage=USAGE)
def test_lines_add_up_to_charges_and_charges_to_the_total(
    terms: Terms, usage: dict[str, Counts]
) -> None:
    rated = rate(terms, usage)
    unit = Decimal(1).scaleb(-exponent(terms.currency))
    for charge in rated.charges:
        assert sum(Fraction(line.amount) for line in charge.lines) == Fraction(charge.amount)
        assert sum(line.quantity for line in charge.lines) == charge.quantity
        assert abs(Fraction(charge.amount) - charge.exact) <= Fraction(unit) / 2
        assert sum((part.exact for part in charge.tiers), Fraction(0)) in (charge.exact, 0)
    assert sum(Fraction(charge.amount) for charge in rated.charges) == Fraction(rated.total)


@given(terms=terms(), usage=USAGE)
def test_each_line_is_its_share_to_less_than_a_unit(terms: Terms, usage: dict[str, Counts]) -> None:
    unit = Fraction(Decimal(1).scaleb(-exponent(terms.currency)))
    for charge in rate(terms, usage).charges:
        for line in charge.lines:
            fair = Fraction(charge.amount) * line.quantity / charge.quantity
            assert abs(Fraction(line.amount) - fair) < unit
            assert line.amount >= 0


@given(terms=terms(), usage=USAGE, data=st.data())
def test_order_does_not_matter(terms: Terms, usage: dict[str, Counts], data: st.DataObject) -> None:
    """Not of the usage, and not of the prices: charges are the same, in another order."""
    shuffled = dict(data.draw(st.permutations(list(usage.items()))))
    other = replace(terms, prices=tuple(data.draw(st.permutations(terms.prices))))
    first, second = rate(terms, usage), rate(other, shuffled)
    assert first.total == second.total
    assert {c.price.key: c.amount for c in first.charges} == {
        c.price.key: c.amount for c in second.charges
    }


@given(terms=terms(), usage=USAGE, counts=st.lists(QUANTITIES, min_size=2, max_size=5))
def test_how_traffic_is_cut_into_environments_does_not_matter(
    terms: Terms, usage: dict[str, Counts], counts: list[int]
) -> None:
    pieces = {f"{number}": Counts(requests=n, bytes_sent=n) for number, n in enumerate(counts)}
    whole = {"whole": sum(pieces.values(), Counts())}
    assert rate(terms, usage | pieces).total == rate(terms, usage | whole).total


@given(price=per_unit(), parts=st.lists(QUANTITIES, max_size=6))
def test_split_periods_sum_to_the_whole_at_a_unit_price(price: PriceTerm, parts: list[int]) -> None:
    assert sum((price.exact(part) for part in parts), Fraction(0)) == price.exact(sum(parts))


@given(price=graduated(), parts=st.lists(QUANTITIES, max_size=6))
def test_split_periods_sum_to_the_whole_where_tiers_go_on(
    price: PriceTerm, parts: list[int]
) -> None:
    """Tiers start anew in each period, so parts add up when each goes on where one stopped."""
    running, total = 0, Fraction(0)
    for part in parts:
        total += price.exact(running + part) - price.exact(running)
        running += part
    assert total == price.exact(running)


@given(price=graduated())
def test_tiers_are_continuous_and_never_fall(price: PriceTerm) -> None:
    for number, tier in enumerate(price.tiers[:-1]):
        assert tier.up_to is not None
        below, at, above = (price.exact(tier.up_to + step) for step in (-1, 0, 1))
        assert at - below == Fraction(tier.price) / price.unit_size
        assert above - at == Fraction(price.tiers[number + 1].price) / price.unit_size
        assert below <= at <= above


@given(price=st.one_of(graduated(), per_unit()), quantity=QUANTITIES)
def test_the_parts_of_a_quantity_are_the_quantity(price: PriceTerm, quantity: int) -> None:
    parts = price.split(quantity)
    assert sum(part.quantity for part in parts) == quantity
    assert sum((part.exact for part in parts), Fraction(0)) == price.exact(quantity)


@given(terms=terms())
def test_no_usage_costs_nothing_but_what_is_flat(terms: Terms) -> None:
    for usage in ({}, {"idle": Counts()}):
        rated = rate(terms, usage)
        assert [charge.price.model for charge in rated.charges] == [
            price.model for price in terms.prices if price.model is Model.FLAT
        ]
        assert all(line.group is None for c in rated.charges for line in c.lines)


@given(terms=terms())
def test_terms_survive_being_stored(terms: Terms) -> None:
    again = terms_of(terms.document())
    assert again == terms
    assert again.digest() == terms.digest()


@given(amount=st.integers(0, 10**30), currency=CURRENCIES)
def test_rounding_follows_iso_4217(amount: int, currency: str) -> None:
    exact = Fraction(amount, 7**9)
    money = to_money(exact, currency)
    assert money.as_tuple().exponent == -exponent(currency)
    unit = Fraction(Decimal(1).scaleb(-exponent(currency)))
    assert abs(Fraction(money) - exact) <= unit / 2


@pytest.mark.parametrize(
    ("exact", "currency", "money"),
    [
        (Fraction(5, 2), "JPY", "2"),
        (Fraction(7, 2), "JPY", "4"),
        (Fraction(25, 10_000), "BHD", "0.002"),
        (Fraction(1, 3), "BHD", "0.333"),
        (Fraction(5, 1_000), "EUR", "0.00"),
        (Fraction(15, 1_000), "EUR", "0.02"),
        (Fraction(5_000_001, 10**9), "EUR", "0.01"),
        (Fraction(12_345, 10**6), "CLF", "0.0123"),
    ],
)
def test_halves_go_to_even(exact: Fraction, currency: str, money: str) -> None:
    assert str(to_money(exact, currency)) == money


def test_broken_units_are_charged_in_proportion() -> None:
    rated = rate(_terms(PER_THOUSAND), {"prod": Counts(requests=250)})
    assert _amounts(rated) == [("prod", 250, "0.05")]


def test_tiers_are_reached_by_all_environments_together() -> None:
    usage = {"a": Counts(requests=30_000), "b": Counts(requests=30_000)}
    rated = rate(_terms(TIERED), usage)
    # 10 × 2.00 + 40 × 1.00 + 10 × 0.50
    assert rated.total == Decimal("65.00")
    assert _amounts(rated) == [("a", 30_000, "32.50"), ("b", 30_000, "32.50")]
    assert [(p.above, p.up_to, p.quantity) for p in rated.charges[0].tiers] == [
        (0, 10_000, 10_000),
        (10_000, 50_000, 40_000),
        (50_000, None, 10_000),
    ]


def test_a_thousand_tiny_shares_lose_nothing() -> None:
    """20 requests are 0.004 each: rounded one by one they would all be free."""
    usage = {f"{number:04}": Counts(requests=20) for number in range(1_000)}
    rated = rate(_terms(PER_THOUSAND), usage)
    assert rated.total == Decimal("4.00")
    assert [amount for _, _, amount in _amounts(rated)].count("0.01") == 400


def test_the_left_over_cent_goes_to_the_largest_remainder_then_by_order() -> None:
    assert share(Decimal("1.00"), {"a": 1, "b": 1, "c": 1}, "EUR") == {
        "a": Decimal("0.34"),
        "b": Decimal("0.33"),
        "c": Decimal("0.33"),
    }
    assert share(Decimal(10), {"a": 1, "b": 2}, "JPY") == {"a": Decimal(3), "b": Decimal(7)}


def test_huge_quantities_keep_every_digit() -> None:
    price = PriceTerm(
        "b", "Bytes", Model.UNIT, Metric.BYTES_SENT, 1, Decimal("999999999.999999999999")
    )
    rated = rate(_terms(price, currency="BHD"), {"a": Counts(bytes_sent=2**63 - 1)})
    assert str(rated.total) == "9223372036854775806990776627.963"


def test_a_price_per_gibibyte_is_exact() -> None:
    price = PriceTerm("b", "Bytes", Model.UNIT, Metric.BYTES, 2**30, Decimal("0.10"))
    rated = rate(_terms(price), {"a": Counts(bytes_sent=2**29, bytes_received=2**29)})
    assert rated.total == Decimal("0.10")
    assert price.exact(1) == Fraction(1, 10) / 2**30


def test_exact_decimals_are_shown_without_noise() -> None:
    assert [str(to_decimal(Fraction(n, 1_000))) for n in (0, 500, 12_000, 1)] == [
        "0",
        "0.5",
        "12",
        "0.001",
    ]


FLAT = {"key": "base", "description": "Base fee", "model": "flat", "amount": "5.00"}
UNIT = {"key": "u", "description": "U", "model": "unit", "metric": "requests", "amount": "1"}
STEPS = {"key": "g", "description": "G", "model": "graduated", "metric": "requests"}


def test_prices_are_read_from_documents() -> None:
    assert price_of(FLAT).amount == Decimal("5.00")
    assert price_of(UNIT | {"unit_size": 1_000}).unit_size == 1_000
    tiers = [{"up_to": 5, "price": "2"}, {"up_to": None, "price": "1"}]
    assert price_of(STEPS | {"tiers": tiers}).exact(7) == 12


@pytest.mark.parametrize(
    "document",
    [
        UNIT | {"amount": 0.2},
        UNIT | {"amount": "-1"},
        UNIT | {"amount": "NaN"},
        UNIT | {"amount": "Infinity"},
        UNIT | {"amount": "1e15"},
        UNIT | {"amount": "0.0000000000001"},
        UNIT | {"amount": "ten"},
        UNIT | {"amount": None},
        UNIT | {"metric": None},
        UNIT | {"metric": "phase of the moon"},
        UNIT | {"model": "gratis"},
        UNIT | {"unit_size": 0},
        UNIT | {"unit_size": "1000"},
        UNIT | {"unit_size": True},
        UNIT | {"description": "  "},
        UNIT | {"key": ""},
        UNIT | {"tiers": [{"up_to": None, "price": "1"}]},
        STEPS,
        STEPS | {"tiers": [{"up_to": 5, "price": "1"}]},
        STEPS | {"tiers": [{"up_to": None, "price": "1"}, {"up_to": None, "price": "1"}]},
        STEPS
        | {
            "tiers": [
                {"up_to": 5, "price": "1"},
                {"up_to": 5, "price": "1"},
                {"up_to": None, "price": "1"},
            ]
        },
        STEPS | {"tiers": [{"up_to": 0, "price": "1"}, {"up_to": None, "price": "1"}]},
        STEPS | {"tiers": [{"up_to": 1.5, "price": "1"}, {"up_to": None, "price": "1"}]},
        STEPS | {"amount": "1", "tiers": [{"up_to": None, "price": "1"}]},
    ],
)
def test_refuses_a_price_that_cannot_be_rated(document: dict[str, object]) -> None:
    with pytest.raises(Invalid) as refused:
        price_of(document)
    assert refused.value.code == "billing.price_invalid"
    assert refused.value.data["fields"]
