"""A fixed clock, a provider with wholesale prices and a reseller with retail ones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

from billing import services
from billing.services import runs
from tests.billing.metered import system
from tests.factories.cast import Person

TODAY = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
SINCE = date(2026, 1, 1)


def unit_price(key: str = "requests", amount: str | None = "0.20", **more: Any) -> dict[str, Any]:
    document = {
        "key": key,
        "description": f"Charge {key}",
        "model": "unit",
        "metric": "requests",
        "unit_size": 1_000,
        "amount": amount,
    }
    return document | more


def publish(
    seller: Person, code: str, *prices: dict[str, Any], currency: str = "EUR", since: date = SINCE
) -> None:
    """A version of a book, and the seller's default from then on."""
    services.price_book_publish(
        actor=seller.actor,
        code=code,
        name=code.title(),
        currency=currency,
        effective_from=since,
        prices=prices or [unit_price()],
    )
    services.price_book_assign(actor=seller.actor, buyer_id=None, code=code, effective_from=since)


def run(seller: Person, period: str = "2026-11") -> services.RunReport:
    return services.run_billing(
        actor=system(seller), seller_id=seller.account.id, period=period, wait_seconds=5
    )


def id_of(draft: services.DraftOutcome) -> UUID:
    """The invoice of a draft that was made."""
    assert draft.invoice_id is not None, draft.problem or draft.state
    return draft.invoice_id


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Moves the time that runs and estimates go by; 2026-11-20 12:30 UTC at first."""

    def move(instant: datetime) -> None:
        for module in (runs, "billing.selectors.estimates", "billing.tasks"):
            target = module if isinstance(module, str) else module.__name__
            monkeypatch.setattr(f"{target}.now", lambda: instant)

    move(TODAY)
    return move


@pytest.fixture(autouse=True)
def _today(set_clock: Callable[[datetime], None]) -> None:
    """Every test of this room lives on the same day."""


@pytest.fixture
def shop(
    transactional_db: None,  # noqa: ARG001  before the cast: real transactions
    customer_owner: Person,
    reseller_owner: Person,
    cloud_admin: Person,
) -> Person:
    """The customer ``acme``, with wholesale and retail prices above it."""
    publish(cloud_admin, "wholesale", unit_price(amount="0.10"))
    publish(reseller_owner, "retail", unit_price(amount="0.20"))
    return customer_owner
