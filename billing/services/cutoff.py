"""The cut-off of a period: the usage behind every invoice is frozen, hour by hour.

Once a period is over and settled, each run freezes what its drafts were computed from, under
the invoice's id and revision: the same again is the same freeze, so that a run may die anywhere
and be run again. A revision that late usage makes gets a freeze of its own; the older ones
stay in the chain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final
from uuid import UUID

import structlog

from billing.models import Invoice
from billing.rating.frozen import hours_of, reference_of
from billing.rating.usage import gather
from billing.services.drafts import SETTLING, DraftOutcome, Job
from pulse.errors import StoreUnavailable
from pulse.metering import FrozenUsage, freeze_usage
from qcloud.kernel.scope import scoped

log = structlog.get_logger("billing.cutoff")

_ROUNDS: Final = 3


def freeze_draft(
    job: Job, outcome: DraftOutcome, refresh: Callable[[Job], DraftOutcome]
) -> DraftOutcome:
    """Freeze the usage of the draft if its period is over and settled.

    Freezing counts what is still to be counted; where that changes the draft's usage the draft
    is computed again, so that both say the same to the hour. While the event store is away the
    draft stands and the next run freezes.
    """
    if job.at < job.period.usage_until + SETTLING:
        return outcome
    for _ in range(_ROUNDS):
        if outcome.invoice_id is None:
            return outcome
        try:
            if _freeze(job, outcome.invoice_id):
                return outcome
        except StoreUnavailable as error:
            log.warning("usage not frozen yet", buyer=str(job.buyer.id), reason=error.message)
            return replace(outcome, problem="Its usage is not frozen yet: the next run does it.")
        outcome = refresh(job)
    log.warning("usage goes on changing while it is frozen", invoice=str(outcome.invoice_id))
    return replace(outcome, problem="Its usage went on changing: the next run freezes it.")


def _freeze(job: Job, invoice_id: UUID) -> bool:
    """Whether what was frozen is what the draft counted."""
    with scoped(job.seller.scope):
        row = Invoice.objects.get(id=invoice_id)
        counted = {
            (kept.subject_account_id, kept.environment_id): kept.digest for kept in row.usage.all()
        }
    since, until = job.period.usage_since, job.period.usage_until
    reference = reference_of(invoice_id, row.revision)
    found: dict[tuple[UUID, UUID], str] = {}
    for account_id in sorted({subject for subject, _ in counted}):
        frozen: FrozenUsage = freeze_usage(account_id, since, until, reference=reference)
        found |= {
            (source.account_id, source.environment_id): part.whole.digest
            for source, part in gather(hours_of(frozen)).items()
        }
    return found == counted
