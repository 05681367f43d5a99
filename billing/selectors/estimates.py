"""Usage so far and what it would cost if the period ended now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from billing.models import Invoice
from billing.periods import Period, month_containing
from billing.rating.prices import Terms, terms_of
from billing.rating.rate import rate
from billing.rating.usage import Counts, Source, gather
from billing.selectors.books import terms_by_buyer
from billing.selectors.invoices import unit_label
from billing.selectors.metering import metered_hours
from identity.selectors import AccountInfo, account
from qcloud.kernel.clock import now
from qcloud.kernel.scope import Scope, scoped


@dataclass(frozen=True, slots=True)
class EstimatedCharge:
    description: str
    unit: str
    quantity: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Estimate:
    """The running period of one buyer. Times are UTC.

    ``currency`` and ``total`` are ``None`` where no prices are known: none are assigned, or
    (for the buyer itself) no draft has been made yet, which is what tells it its prices.
    """

    buyer_id: UUID
    period: str
    zone: str
    since: datetime
    until: datetime
    usage: Counts
    currency: str | None
    total: Decimal | None
    charges: tuple[EstimatedCharge, ...]


def estimate(scope: Scope, *, buyer_id: UUID | None = None) -> Estimate:
    """What the scope's account would pay; with ``buyer_id``, what that buyer would pay it.

    Reads every metered hour of the period: for one customer, not for a reseller with
    thousands of them, whose draft invoice says the same as of the last run. Raises
    ``NotFound`` for a buyer that is not below the scope's account.
    """
    with scoped(scope):
        buyer = account(buyer_id or scope.account_id)
        sale = buyer.id != scope.account_id
        period, terms = _of_sale(scope, buyer) if sale else _of_purchase(buyer)
        gathered = gather(metered_hours(buyer.scope, period))
    counts = {source: part.whole.counts for source, part in gathered.items()}
    return _estimate(buyer, period, terms, counts)


def _of_sale(scope: Scope, buyer: AccountInfo) -> tuple[Period, Terms | None]:
    period = month_containing(now(), account(scope.account_id).timezone)
    found = terms_by_buyer(scope.account_id, [buyer.id], period.first_day)
    return period, found.get(buyer.id)


def _of_purchase(buyer: AccountInfo) -> tuple[Period, Terms | None]:
    drafts = Invoice.objects.filter(buyer_id=buyer.id, revision__gt=0)
    newest = drafts.order_by("-period_start", "-computed_at").first()
    zone = newest.zone if newest else buyer.timezone
    return month_containing(now(), zone), terms_of(newest.terms) if newest else None


def _estimate(
    buyer: AccountInfo, period: Period, terms: Terms | None, counts: Mapping[Source, Counts]
) -> Estimate:
    rated = rate(terms, counts) if terms else None
    charges = (
        EstimatedCharge(
            charge.price.description,
            unit_label(charge.price.metric or "", charge.price.unit_size),
            charge.quantity,
            charge.amount,
        )
        for charge in (rated.charges if rated else ())
    )
    return Estimate(
        buyer_id=buyer.id,
        period=period.key,
        zone=period.zone,
        since=period.start,
        until=now(),
        usage=sum(counts.values(), Counts()),
        currency=terms.currency if terms else None,
        total=rated.total if rated else None,
        charges=tuple(charges),
    )
