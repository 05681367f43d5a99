"""What billing refuses, each with its code and what to do about it."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from qcloud.kernel.errors import Conflict, Invalid, NotFound

RUN_BUSY: Final = "billing.run_busy"


def bad_zone(name: str) -> Invalid:
    return Invalid(
        f"“{name[:60]}” is not a time zone that this system knows; use an IANA name such as"
        " Europe/Berlin.",
        code="billing.zone_unknown",
    )


def bad_period(key: str) -> Invalid:
    return Invalid(
        f"“{key[:20]}” is not a billing period; write the month as 2026-11.",
        code="billing.period_malformed",
    )


def period_ahead(key: str) -> Invalid:
    return Invalid(
        f"The period {key} has not begun; there is nothing to bill yet.",
        code="billing.period_ahead",
    )


def bad_price(message: str, **fields: str) -> Invalid:
    return Invalid(message, code="billing.price_invalid", fields=fields)


def bad_book(message: str, **fields: str) -> Invalid:
    return Invalid(message, code="billing.book_invalid", fields=fields)


def book_missing(code: str) -> NotFound:
    return NotFound(
        f"There is no published price book “{code[:60]}”; publish it before assigning it.",
        code="billing.book_missing",
    )


def buyer_missing(buyer_id: UUID) -> NotFound:
    return NotFound(
        f"Account {buyer_id} is not a direct customer of this account; prices are assigned to"
        " accounts one step below.",
        code="billing.buyer_missing",
    )


def invoice_missing() -> NotFound:
    return NotFound("There is no such invoice.", code="billing.invoice_missing")


def line_missing() -> NotFound:
    return NotFound("There is no such invoice line.", code="billing.line_missing")


def run_busy(seller_id: UUID) -> Conflict:
    return Conflict(
        "A billing run for this account is still going on; it covers this request. Try again"
        " when it is done.",
        code=RUN_BUSY,
        seller_id=str(seller_id),
    )


def contradicting_usage(account_id: UUID, environment_id: UUID, hour: str) -> Conflict:
    return Conflict(
        f"Usage of environment {environment_id} for the hour {hour} was given twice with"
        " different counts; recompute that hour's usage, then run billing again.",
        code="billing.usage_contradicts",
        account_id=str(account_id),
    )


def bad_sort(sort: str, choices: tuple[str, ...]) -> Invalid:
    return Invalid(
        f"Invoices cannot be sorted by “{sort[:40]}”; use one of {', '.join(choices)}.",
        code="billing.sort_unknown",
    )


def bad_cursor() -> Invalid:
    return Invalid(
        "This page mark is broken; start again from the first page.",
        code="billing.cursor_malformed",
    )
