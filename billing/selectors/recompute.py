"""Computing an invoice again, from what it froze and from what is metered now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from billing.errors import invoice_missing
from billing.models import Invoice, InvoiceLine
from billing.periods import month_of_key
from billing.rating.grouping import Group, Names, rate_sources
from billing.rating.prices import terms_of
from billing.rating.rate import Rated
from billing.rating.usage import Counts, Source, gather
from billing.selectors.metering import metered_hours
from identity.selectors import account
from qcloud.kernel.scope import Scope, scoped

_Key = tuple[str, UUID | None, UUID | None, int, Decimal]


@dataclass(frozen=True, slots=True)
class Recomputed:
    """``equal`` when nothing differs; otherwise ``differences`` are sentences."""

    equal: bool
    amounts_equal: bool
    """The frozen usage at the frozen prices gives these lines and this total."""
    usage_equal: bool
    """What is metered now is what was frozen, hour by hour."""
    differences: tuple[str, ...]


def recomputed_equal(scope: Scope, invoice_id: UUID) -> Recomputed:
    """Compute an invoice again. Either party may ask; raises ``NotFound`` for others."""
    with scoped(scope):
        row = Invoice.objects.filter(id=invoice_id, revision__gt=0).first()
        if row is None:
            raise invoice_missing()
        amounts = _amounts(row)
        usage = _usage(scope, row)
    return Recomputed(
        equal=not amounts and not usage,
        amounts_equal=not amounts,
        usage_equal=not usage,
        differences=(*amounts, *usage),
    )


def _amounts(row: Invoice) -> list[str]:
    counts = {
        Source(kept.subject_account_id, kept.environment_id): Counts(**kept.counts)
        for kept in row.usage.all()
    }
    lines = list(row.lines.all())
    again = rate_sources(
        terms_of(row.terms), counts, _names(lines), by_customer=row.grouped_by_customer
    )
    problems = []
    if Counter(_stored(line) for line in lines) != Counter(_rated(again)):
        problems.append("Its lines are not what its frozen usage comes to at its prices.")
    if again.total != row.total:
        problems.append(f"Its total is {row.total}, its frozen usage gives {again.total}.")
    return problems


def _names(lines: list[InvoiceLine]) -> Names:
    """The printed names again: their order decides who gets the last cent of a charge."""
    return Names(
        {line.subject_account_id: line.subject_name for line in lines if line.subject_account_id},
        {line.environment_id: line.environment_label for line in lines if line.environment_id},
    )


def _stored(line: InvoiceLine) -> _Key:
    place = (line.price_key, line.subject_account_id, line.environment_id)
    return (*place, int(line.quantity), line.amount)


def _rated(rated: Rated[Group]) -> Iterator[_Key]:
    for charge in rated.charges:
        for line in charge.lines:
            account_id = line.group.account_id if line.group else None
            environment_id = line.group.environment_id if line.group else None
            yield charge.price.key, account_id, environment_id, line.quantity, line.amount


def _usage(scope: Scope, row: Invoice) -> list[str]:
    frozen = {
        Source(kept.subject_account_id, kept.environment_id): kept.digest
        for kept in row.usage.all()
    }
    buyer = account(row.buyer_id) if row.buyer_id != scope.account_id else None
    hours = metered_hours(buyer.scope if buyer else scope, month_of_key(row.period, row.zone))
    metered = {source: part.whole.digest for source, part in gather(hours).items()}
    changed = [s for s in frozen.keys() | metered.keys() if frozen.get(s) != metered.get(s)]
    return [
        f"Usage of environment {source.environment_id} is not what was counted."
        for source in sorted(changed)
    ]
