"""Prices × quantities = charges, cut into lines that add up.

A price is applied once, to the buyer's whole quantity of the period, and rounded once. The
charge is then shared among the groups that made it up (environments on a retail invoice,
customers on a wholesale one) in proportion to their quantities. So an invoice does not
depend on how a buyer cuts its traffic into environments, a tier is reached by the buyer as
a whole, and the lines add up to the charge to the last cent.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Generic, TypeVar

from billing.rating.exact import context, share, to_money
from billing.rating.prices import Model, PriceTerm, Terms, TierPart
from billing.rating.usage import Counts

Group = TypeVar("Group", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Line(Generic[Group]):
    """One group's part of a charge. A flat charge is a line of no group."""

    group: Group | None
    quantity: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Charge(Generic[Group]):
    """One price applied to everything that it counts in the period."""

    price: PriceTerm
    quantity: int
    exact: Fraction
    amount: Decimal
    tiers: tuple[TierPart, ...]
    lines: tuple[Line[Group], ...]


@dataclass(frozen=True, slots=True)
class Rated(Generic[Group]):
    """A period's charges; ``total`` is the sum of all lines."""

    charges: tuple[Charge[Group], ...]
    total: Decimal


def rate(terms: Terms, usage: Mapping[Group, Counts]) -> Rated[Group]:
    """Charges in the order of the prices, lines in the order of ``usage``.

    A price whose quantity is 0 makes no charge, unless it is flat.
    """
    found = (_charge(price, usage, terms.currency) for price in terms.prices)
    charges = tuple(charge for charge in found if charge is not None)
    with localcontext(context()):
        total = sum((charge.amount for charge in charges), to_money(Fraction(0), terms.currency))
    return Rated(charges, total)


def _charge(price: PriceTerm, usage: Mapping[Group, Counts], currency: str) -> Charge[Group] | None:
    if price.model is Model.FLAT or price.metric is None:
        amount = to_money(price.exact(1), currency)
        return Charge(price, 1, price.exact(1), amount, (), (Line(None, 1, amount),))
    metric = price.metric
    weights = {group: n for group, counts in usage.items() if (n := counts.of(metric))}
    quantity = sum(weights.values())
    if quantity == 0:
        return None
    exact = price.exact(quantity)
    amount = to_money(exact, currency)
    parts = share(amount, weights, currency)
    lines = tuple(Line(group, weights[group], parts[group]) for group in weights)
    return Charge(price, quantity, exact, amount, price.split(quantity), lines)
