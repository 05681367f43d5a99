"""Random price books and usage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from hypothesis import strategies as st

from billing.rating.prices import Model, PriceTerm, Terms, Tier
from billing.rating.usage import COUNTED, Counts, HourRow, Metric, Source

CURRENCIES = st.sampled_from(["EUR", "USD", "JPY", "BHD", "CLF"])
QUANTITIES = st.one_of(st.integers(0, 5), st.integers(0, 10**6), st.integers(0, 2**63 - 1))
AMOUNTS = st.decimals(0, 10**6, allow_nan=False, places=12).map(lambda d: d.normalize())
UNITS = st.sampled_from([1, 3, 7, 1_000, 10**6, 2**20, 2**30, 10**12])
METRICS = st.sampled_from(list(Metric))
START = datetime(2026, 11, 1, tzinfo=UTC)


@st.composite
def graduated(draw: st.DrawFn, key: str = "graduated") -> PriceTerm:
    ends = sorted(draw(st.sets(st.integers(1, 10**7), max_size=4)))
    tiers = tuple(Tier(end, draw(AMOUNTS)) for end in [*ends, None])
    return PriceTerm(key, key, Model.GRADUATED, draw(METRICS), draw(UNITS), None, tiers)


@st.composite
def per_unit(draw: st.DrawFn, key: str = "unit") -> PriceTerm:
    return PriceTerm(key, key, Model.UNIT, draw(METRICS), draw(UNITS), draw(AMOUNTS))


@st.composite
def terms(draw: st.DrawFn) -> Terms:
    prices = [draw(per_unit()), draw(graduated())]
    if draw(st.booleans()):
        prices.append(PriceTerm("flat", "flat", Model.FLAT, amount=draw(AMOUNTS)))
    return Terms("book", 1, draw(CURRENCIES), tuple(draw(st.permutations(prices))))


COUNTS = st.builds(Counts, *([QUANTITIES] * len(COUNTED)))
USAGE = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), COUNTS, max_size=6)
SOURCES = st.builds(
    Source,
    st.integers(1, 2).map(lambda n: UUID(int=n)),
    st.integers(1, 3).map(lambda n: UUID(int=n)),
)


@st.composite
def hour_rows(draw: st.DrawFn) -> list[HourRow]:
    places = draw(st.sets(st.tuples(SOURCES, st.integers(0, 743)), max_size=25))
    return [
        HourRow(source, START + timedelta(hours=hour), draw(COUNTS))
        for source, hour in sorted(places)
    ]


def price(amount: str) -> Decimal:
    return Decimal(amount)
