"""Prices as immutable terms, and the document form in which they are stored and shown."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final, TypeVar

from billing.errors import bad_price
from billing.rating.usage import Metric

PLACES: Final = 12
"""Digits after the point in a price: EUR 0.000000000001 a byte is EUR 1 a terabyte."""
CEILING: Final = Decimal(10) ** 15

E = TypeVar("E", bound=StrEnum)


class Model(StrEnum):
    FLAT = "flat"
    """An amount for each period, whatever the usage."""
    UNIT = "unit"
    """The same price for each unit."""
    GRADUATED = "graduated"
    """Each unit at the price of the tier that it falls into."""


@dataclass(frozen=True, slots=True)
class Tier:
    """Units up to and including ``up_to`` (none: without end) beyond the tier before."""

    up_to: int | None
    price: Decimal


@dataclass(frozen=True, slots=True)
class PriceTerm:
    """One price of a book.

    ``amount`` is what a period (flat) or ``unit_size`` of the metric (unit) costs; tiers hold
    the price for ``unit_size`` of the metric, and their bounds count single units. Broken
    units are charged in proportion: 250 requests at 0.20 per 1,000 are 0.05.
    """

    key: str
    description: str
    model: Model
    metric: Metric | None = None
    unit_size: int = 1
    amount: Decimal | None = None
    tiers: tuple[Tier, ...] = ()

    def exact(self, quantity: int) -> Fraction:
        """The unrounded price of a whole quantity. 0 for a quantity of 0, unless flat."""
        if self.model is Model.FLAT:
            return Fraction(self.amount or 0)
        return sum((part.exact for part in self.split(quantity)), Fraction(0))

    def split(self, quantity: int) -> tuple[TierPart, ...]:
        """A quantity cut along the tiers; a unit price is one tier without end."""
        parts, below = [], 0
        for tier in self.tiers or (Tier(None, self.amount or Decimal(0)),):
            inside = min(quantity, tier.up_to or quantity) - below
            if inside > 0:
                exact = Fraction(tier.price) * inside / self.unit_size
                parts.append(TierPart(below, tier.up_to, inside, tier.price, exact))
            below = tier.up_to or below
        return tuple(parts)


@dataclass(frozen=True, slots=True)
class TierPart:
    """What of a quantity falls into one tier. ``above`` is the bound of the tier before."""

    above: int
    up_to: int | None
    quantity: int
    price: Decimal
    exact: Fraction


@dataclass(frozen=True, slots=True)
class Terms:
    """Everything that a rating needs beside the usage."""

    book: str
    version: int
    currency: str
    prices: tuple[PriceTerm, ...]

    def document(self) -> dict[str, Any]:
        """A JSON form that keeps every digit."""
        return {
            "book": self.book,
            "version": self.version,
            "currency": self.currency,
            "prices": [_price_document(price) for price in self.prices],
        }

    def digest(self) -> str:
        """SHA-256 of the document with sorted keys."""
        text = json.dumps(self.document(), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


def terms_of(document: dict[str, Any]) -> Terms:
    """The terms in a document that ``Terms.document`` made."""
    return Terms(
        book=document["book"],
        version=document["version"],
        currency=document["currency"],
        prices=tuple(price_of(price) for price in document["prices"]),
    )


def price_of(document: dict[str, Any]) -> PriceTerm:
    """A checked price. Raises ``Invalid`` naming the field that is wrong."""
    metric, amount = document.get("metric"), document.get("amount")
    price = PriceTerm(
        key=str(document.get("key", "")),
        description=str(document.get("description", "")).strip(),
        model=_member(Model, document.get("model"), "model"),
        metric=None if metric is None else _member(Metric, metric, "metric"),
        unit_size=document.get("unit_size", 1),
        amount=None if amount is None else _decimal(amount, "amount"),
        tiers=tuple(
            Tier(tier.get("up_to"), _decimal(tier.get("price"), "tiers"))
            for tier in document.get("tiers", ())
        ),
    )
    check(price)
    return price


def check(price: PriceTerm) -> None:
    """Raises ``Invalid`` unless the price can be rated."""
    name = price.description or price.key
    if not price.key or not price.description:
        raise bad_price("A price needs a key and a description.", description="Describe it.")
    if price.model is not Model.FLAT and price.metric is None:
        raise bad_price(f"“{name}” must say what it counts.", metric="Choose what is counted.")
    if type(price.unit_size) is not int or not 1 <= price.unit_size <= 10**12:
        raise bad_price(f"“{name}”: a unit is 1 to 10^12 of its metric.", unit_size="Out of range.")
    if price.model is Model.GRADUATED:
        _check_tiers(name, price)
    elif price.amount is None or price.tiers:
        raise bad_price(f"“{name}” needs one price and no tiers.", amount="Give one price.")
    for value in (price.amount, *(tier.price for tier in price.tiers)):
        _check_value(name, value)


def _check_tiers(name: str, price: PriceTerm) -> None:
    bounds = [tier.up_to for tier in price.tiers]
    ends = bounds[:-1]
    if price.amount is not None or not bounds or bounds[-1] is not None or None in ends:
        raise bad_price(f"“{name}”: only the last tier is without end.", tiers="Mend the tiers.")
    if any(type(end) is not int for end in ends):
        raise bad_price(f"“{name}”: tier bounds are whole numbers.", tiers="Mend the tiers.")
    steps = [0, *(end for end in ends if end is not None)]
    if any(low >= high for low, high in itertools.pairwise(steps)):
        raise bad_price(f"“{name}”: each tier ends above the one before.", tiers="Mend the tiers.")


def _check_value(name: str, value: Decimal | None) -> None:
    if value is None:
        return
    exponent = value.as_tuple().exponent
    if not value.is_finite() or not 0 <= value < CEILING:
        raise bad_price(f"“{name}”: a price is 0 or more and below 10^15.", amount="Out of range.")
    if isinstance(exponent, int) and exponent < -PLACES:
        raise bad_price(f"“{name}”: a price has at most 12 decimals.", amount="Too many digits.")


def _price_document(price: PriceTerm) -> dict[str, Any]:
    return {
        "key": price.key,
        "description": price.description,
        "model": price.model.value,
        "metric": price.metric.value if price.metric else None,
        "unit_size": price.unit_size,
        "amount": None if price.amount is None else str(price.amount),
        "tiers": [{"up_to": tier.up_to, "price": str(tier.price)} for tier in price.tiers],
    }


def _decimal(value: object, field: str) -> Decimal:
    if isinstance(value, float):
        raise bad_price("A price is written as text, never as a float.", **{field: "Write text."})
    try:
        return Decimal(str(value))
    except InvalidOperation as error:
        raise bad_price(
            f"“{str(value)[:40]}” is not a price; write a number such as 0.20.",
            **{field: "Not a number."},
        ) from error


def _member(kind: type[E], value: object, field: str) -> E:
    try:
        return kind(str(value))
    except ValueError as error:
        choices = ", ".join(member.value for member in kind)
        raise bad_price(
            f"“{str(value)[:40]}” is not a {field}; choose one of {choices}.",
            **{field: "Not a choice."},
        ) from error
