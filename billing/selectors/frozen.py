"""From an invoice to the frozen hours it was computed from, and the proof that they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing.errors import invoice_missing
from billing.models import Invoice, InvoiceUsage
from billing.rating.frozen import hours_of, reference_of
from billing.rating.usage import HourRow, gather
from pulse.metering import FrozenUsage, broken_freezes, usage_freeze
from qcloud.kernel.errors import NotFound
from qcloud.kernel.scope import Scope, scoped


@dataclass(frozen=True, slots=True)
class FrozenPart:
    """The freeze of one account's usage that an invoice rests on."""

    account_id: UUID
    number: int
    """In the account's chain."""
    frozen_at: datetime
    digest: str
    hours: tuple[HourRow, ...]
    unbroken: bool
    """It and every freeze before it is as it was when it was made."""
    as_billed: bool
    """Its hours are those that the invoice counted, by their digests."""

    @property
    def proven(self) -> bool:
        return self.unbroken and self.as_billed


@dataclass(frozen=True, slots=True)
class FrozenInvoice:
    parts: tuple[FrozenPart, ...]
    missing: tuple[UUID, ...]
    """Accounts whose usage is not frozen yet: the period is not over, or not settled."""

    @property
    def is_frozen(self) -> bool:
        return bool(self.parts) and not self.missing

    @property
    def proven(self) -> bool:
        return self.is_frozen and all(part.proven for part in self.parts)


def frozen_invoice(scope: Scope, invoice_id: UUID) -> FrozenInvoice:
    """What either party may see of the usage behind an invoice. Needs no event: they may have
    expired long ago. Raises ``NotFound`` for others.
    """
    with scoped(scope):
        row = Invoice.objects.filter(id=invoice_id, revision__gt=0).first()
        if row is None:
            raise invoice_missing()
        usage = list(row.usage.all())
    parts, missing = [], []
    for account_id in sorted({kept.subject_account_id for kept in usage}):
        try:
            found = usage_freeze(scope, reference_of(row.id, row.revision), account_id=account_id)
        except NotFound:
            missing.append(account_id)
            continue
        parts.append(_part(scope, found, [u for u in usage if u.subject_account_id == account_id]))
    return FrozenInvoice(tuple(parts), tuple(missing))


def _part(scope: Scope, found: FrozenUsage, usage: list[InvoiceUsage]) -> FrozenPart:
    broken = broken_freezes(scope, found.account_id)
    hours = tuple(hours_of(found))
    digests = {source.environment_id: part.whole.digest for source, part in gather(hours).items()}
    return FrozenPart(
        found.account_id,
        found.number,
        found.created_at,
        found.digest,
        hours,
        unbroken=not any(number <= found.number for number in broken),
        as_billed=digests == {kept.environment_id: kept.digest for kept in usage},
    )
