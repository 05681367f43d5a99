"""Price books for a first start: the provider's wholesale, each reseller's retail."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from billing.selectors.books import assignments, price_book
from billing.services.books import price_book_assign, price_book_publish
from identity.selectors import AccountInfo, children, root_account
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import Tier

SINCE: Final = date(2026, 1, 1)
"""Before any usage that a demo can have, so that its first month is priced."""

WHOLESALE: Final[list[dict[str, Any]]] = [
    {
        "key": "requests",
        "description": "Observed requests",
        "model": "graduated",
        "metric": "requests",
        "unit_size": 1_000,
        "tiers": [
            {"up_to": 1_000_000, "price": "0.20"},
            {"up_to": 10_000_000, "price": "0.15"},
            {"up_to": None, "price": "0.10"},
        ],
    },
    {
        "key": "traffic",
        "description": "Observed traffic",
        "model": "unit",
        "metric": "bytes",
        "unit_size": 10**9,
        "amount": "0.02",
    },
]
RETAIL: Final[list[dict[str, Any]]] = [
    {
        "key": "requests",
        "description": "Observed requests",
        "model": "graduated",
        "metric": "requests",
        "unit_size": 1_000,
        "tiers": [
            {"up_to": 100_000, "price": "0.50"},
            {"up_to": 1_000_000, "price": "0.40"},
            {"up_to": None, "price": "0.30"},
        ],
    },
    {
        "key": "external",
        "description": "Requests to third parties",
        "model": "unit",
        "metric": "requests_egress_external",
        "unit_size": 1_000,
        "amount": "0.10",
    },
    {
        "key": "traffic",
        "description": "Observed traffic",
        "model": "unit",
        "metric": "bytes",
        "unit_size": 10**9,
        "amount": "0.05",
    },
]


def make() -> None:
    """Publish and assign what is missing. To be run in no scope; running it again is safe.

    A seller who has a book of that name, or has assigned a default, keeps it.
    """
    root = root_account()
    if root is None:
        return
    _ensure(root, "wholesale", "Wholesale", WHOLESALE)
    for below in children(root.scope):
        if below.tier is Tier.RESELLER:
            _ensure(below, "retail", "Retail", RETAIL)


def _ensure(seller: AccountInfo, code: str, name: str, prices: list[dict[str, Any]]) -> None:
    actor = Actor.system("demo", seller.scope)
    if not price_book(seller.scope, code):
        price_book_publish(
            actor=actor,
            code=code,
            name=name,
            currency=seller.currency,
            effective_from=SINCE,
            prices=prices,
        )
    if not any(row.buyer_id is None for row in assignments(seller.scope)):
        price_book_assign(actor=actor, buyer_id=None, code=code, effective_from=SINCE)
