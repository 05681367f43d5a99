"""One buyer's draft for one period, computed and kept up to date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

from audit.services import record
from billing.models import Invoice, InvoiceDrift, InvoiceLine, InvoiceState, InvoiceUsage
from billing.periods import Period, floor_hour
from billing.rating.grouping import Names, line_fields, rate_sources
from billing.rating.prices import Terms
from billing.rating.usage import NOTHING, Counts, Gathered, Part, Source, digest_of, gather
from billing.selectors.metering import account_names, environment_names, metered_hours
from identity.selectors import AccountInfo
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import Tier, scoped

SETTLING: Final = timedelta(hours=2)
"""Usage of an hour may go on arriving this long after its end: agents spool and send again.
What changes later was counted as complete before and is recorded as drift."""

State = Literal["created", "changed", "unchanged", "no prices", "failed"]
_EMPTY_TERMS: Final[dict[str, Any]] = {"book": "", "version": 0, "currency": "", "prices": []}


@dataclass(frozen=True, slots=True)
class DraftOutcome:
    """What a run did for one buyer. ``drifts``: environments whose settled usage changed."""

    buyer_id: UUID
    state: State
    invoice_id: UUID | None = None
    currency: str = ""
    total: Decimal = Decimal(0)
    lines: int = 0
    drifts: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that one draft is computed from, but the usage."""

    actor: Actor
    seller: AccountInfo
    buyer: AccountInfo
    period: Period
    terms: Terms
    at: datetime

    @property
    def by_customer(self) -> bool:
        return self.buyer.tier is Tier.RESELLER


@dataclass(frozen=True, slots=True)
class _Draft:
    """A draft's columns and rows as they should be."""

    columns: dict[str, Any]
    lines: list[dict[str, Any]]
    usage: dict[Source, Gathered]


def refresh_draft(job: Job) -> DraftOutcome:
    """Compute the buyer's draft in a transaction of its own and write what changed.

    Safe to run again at any point, also beside another run: the row is found by its unique
    key and locked, and the same usage and terms give the same draft.
    """
    with scoped(job.seller.scope):
        row = _locked(job)
        draft = _compute(job, row)
        late = _late(row, job.period, draft.usage)
        replaced = _drop_other_currencies(job)
        outcome = _outcome(job, row, draft, len(late))
        if outcome.state == "unchanged" and not replaced:
            Invoice.objects.filter(id=row.id).update(
                settled_until=draft.columns["settled_until"], computed_at=job.at
            )
            _write_usage(row, draft.usage)
            return outcome
        total_before, row.revision = row.total, row.revision + 1
        _write(row, draft)
        _write_drifts(job, row, late, total_before)
        _record(job, outcome, replaced)
        return outcome


def _locked(job: Job) -> Invoice:
    """The draft's row, made empty at first use (revision 0 is shown to nobody), locked."""
    key = {
        "seller_id": job.seller.id,
        "buyer_id": job.buyer.id,
        "period": job.period.key,
        "currency": job.terms.currency,
    }
    empty = Invoice(
        **key,
        zone=job.period.zone,
        period_start=job.period.start,
        period_end=job.period.end,
        total=Decimal(0),
        seller_name=job.seller.name,
        buyer_name=job.buyer.name,
        terms=_EMPTY_TERMS,
        settled_until=job.period.usage_since,
        created_at=job.at,
        computed_at=job.at,
    )
    Invoice.objects.bulk_create([empty], ignore_conflicts=True)
    row: Invoice = Invoice.objects.select_for_update().get(**key)
    return row


def _compute(job: Job, row: Invoice) -> _Draft:
    period = job.period
    settled_until = min(period.usage_until, floor_hour(job.at - SETTLING))
    hours = metered_hours(job.buyer.scope, period)
    usage = gather(hours, (row.settled_until, settled_until))
    counts = {source: part.whole.counts for source, part in usage.items()}
    names = _names(job)
    rated = rate_sources(job.terms, counts, names, by_customer=job.by_customer)
    columns = {
        "zone": period.zone,
        "period_start": period.start,
        "period_end": period.end,
        "total": rated.total,
        "seller_name": job.seller.name,
        "buyer_name": job.buyer.name,
        "grouped_by_customer": job.by_customer,
        "terms": job.terms.document(),
        "terms_digest": job.terms.digest(),
        "usage_digest": digest_of(usage.values()),
        "settled_until": settled_until,
        "computed_at": job.at,
    }
    lines = list(line_fields(rated, names, period.usage_since, period.usage_until))
    return _Draft(columns, lines, usage)


def _names(job: Job) -> Names:
    accounts = {job.buyer.id: job.buyer.name}
    if job.by_customer:
        return Names(accounts | account_names(job.buyer.scope), {})
    return Names(accounts, environment_names(job.buyer.scope))


_COMPARED: Final = (
    "zone",
    "period_start",
    "period_end",
    "total",
    "seller_name",
    "buyer_name",
    "grouped_by_customer",
    "terms_digest",
    "usage_digest",
)
_LABELS: Final = ("price_key", "subject_name", "environment_label", "amount")


def _outcome(job: Job, row: Invoice, draft: _Draft, drifts: int) -> DraftOutcome:
    same = all(getattr(row, name) == draft.columns[name] for name in _COMPARED)
    state: State = "created"
    if row.revision:
        state = "unchanged" if same and _same_labels(row, draft) else "changed"
    return DraftOutcome(
        buyer_id=job.buyer.id,
        state=state,
        invoice_id=row.id,
        currency=job.terms.currency,
        total=draft.columns["total"],
        lines=len(draft.lines),
        drifts=drifts,
    )


def _same_labels(row: Invoice, draft: _Draft) -> bool:
    """An environment that was renamed changes nothing but its line's label."""
    stored = list(row.lines.order_by("position").values_list(*_LABELS))
    return stored == [tuple(line[name] for name in _LABELS) for line in draft.lines]


def _late(row: Invoice, period: Period, usage: Mapping[Source, Gathered]) -> dict[Source, Any]:
    """Environments whose hours before the draft's mark are not what was counted then."""
    if not row.revision or (row.period_start, row.period_end) != (period.start, period.end):
        return {}
    before = {
        Source(kept.subject_account_id, kept.environment_id): kept for kept in row.usage.all()
    }
    late = {}
    for source in sorted(before.keys() | usage.keys()):
        part: Part = usage[source].before[0] if source in usage else NOTHING
        kept = before.get(source)
        if part.digest != (kept.settled_digest if kept else NOTHING.digest):
            counted = kept.settled_counts if kept else asdict(Counts())
            late[source] = (counted, asdict(part.counts))
    return late


def _write(row: Invoice, draft: _Draft) -> None:
    for name, value in draft.columns.items():
        setattr(row, name, value)
    row.save(update_fields=["revision", *draft.columns])
    _write_lines(row, draft.lines)
    _write_usage(row, draft.usage)


def _write_lines(row: Invoice, lines: list[dict[str, Any]]) -> None:
    """Lines keep their ids from run to run, so that a link to one stays good."""
    pair = {"seller_id": row.seller_id, "buyer_id": row.buyer_id, "revision": row.revision}
    found = {
        (line.price_key, line.subject_account_id, line.environment_id): line.id
        for line in row.lines.all()
    }
    rows = []
    for fields in lines:
        line = InvoiceLine(invoice=row, **pair, **fields)
        key = (line.price_key, line.subject_account_id, line.environment_id)
        line.id = found.get(key, line.id)
        rows.append(line)
    InvoiceLine.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["revision", *lines[0]] if lines else ["revision"],
    )
    row.lines.exclude(revision=row.revision).delete()


def _write_usage(row: Invoice, usage: Mapping[Source, Gathered]) -> None:
    pair = {"seller_id": row.seller_id, "buyer_id": row.buyer_id, "revision": row.revision}
    columns = ["revision", "hours", "counts", "digest", "settled_counts", "settled_digest"]
    rows = [
        InvoiceUsage(
            invoice=row,
            **pair,
            subject_account_id=source.account_id,
            environment_id=source.environment_id,
            hours=part.whole.hours,
            counts=asdict(part.whole.counts),
            digest=part.whole.digest,
            settled_counts=asdict(part.before[1].counts),
            settled_digest=part.before[1].digest,
        )
        for source, part in usage.items()
    ]
    InvoiceUsage.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["invoice", "subject_account_id", "environment_id"],
        update_fields=columns,
    )
    row.usage.exclude(revision=row.revision).delete()


def _write_drifts(job: Job, row: Invoice, late: dict[Source, Any], total_before: Decimal) -> None:
    InvoiceDrift.objects.bulk_create(
        InvoiceDrift(
            seller_id=row.seller_id,
            buyer_id=row.buyer_id,
            invoice_id=row.id,
            revision=row.revision,
            detected_at=job.at,
            settled_until=row.settled_until,
            subject_account_id=source.account_id,
            environment_id=source.environment_id,
            counts_before=before,
            counts_after=after,
            total_before=total_before,
            total_after=row.total,
        )
        for source, (before, after) in late.items()
    )


def _drop_other_currencies(job: Job) -> list[str]:
    """Drafts in the currency of a book that no longer counts would charge the period twice."""
    others = Invoice.objects.filter(
        state=InvoiceState.DRAFT,
        seller_id=job.seller.id,
        buyer_id=job.buyer.id,
        period=job.period.key,
    ).exclude(currency=job.terms.currency)
    dropped = [str(row.id) for row in others]
    if dropped:
        others.delete()
    return dropped


def _record(job: Job, outcome: DraftOutcome, replaced: list[str]) -> None:
    record(
        actor=job.actor,
        action="billing.invoice.draft",
        object_kind="invoice",
        object_id=outcome.invoice_id,
        scope=job.seller.scope,
        data={
            "state": outcome.state,
            "period": job.period.key,
            "buyer": str(job.buyer.id),
            "total": str(outcome.total),
            "currency": outcome.currency,
            "late_environments": outcome.drifts,
            "replaced": replaced,
        },
    )


def failed(buyer: AccountInfo, problem: str) -> DraftOutcome:
    return DraftOutcome(buyer_id=buyer.id, state="failed", problem=problem)


def no_prices(buyer: AccountInfo) -> DraftOutcome:
    return DraftOutcome(buyer_id=buyer.id, state="no prices")


__all__ = ["SETTLING", "DraftOutcome", "Job", "failed", "no_prices", "refresh_draft"]
