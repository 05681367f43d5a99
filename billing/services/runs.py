"""A billing run: every buyer's draft of one seller for one period."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog
from django.db import DataError, IntegrityError, OperationalError, connection

from audit.services import record
from billing.errors import period_ahead, run_busy
from billing.periods import Period, month_of_key
from billing.selectors.books import terms_by_buyer
from billing.selectors.metering import direct_buyers
from billing.services.cutoff import freeze_draft
from billing.services.drafts import DraftOutcome, Job, failed, no_prices, refresh_draft
from identity.selectors import AccountInfo, account, scope_of
from qcloud.kernel.clock import now
from qcloud.kernel.errors import NotFound, QCloudError
from qcloud.kernel.permissions import Actor, Permission, require
from qcloud.kernel.scope import Scope, scoped

log = structlog.get_logger("billing.runs")

POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did, a row for each direct buyer of the seller, in order of name."""

    seller_id: UUID
    period: str
    drafts: tuple[DraftOutcome, ...]

    def count(self, state: str) -> int:
        return sum(draft.state == state for draft in self.drafts)


def run_billing(
    *, actor: Actor, seller_id: UUID, period: str, wait_seconds: float = 30.0
) -> RunReport:
    """Make or refresh the drafts of all direct buyers for the month ``period`` (``2026-11``).

    Idempotent and restartable: each buyer is a transaction of its own; a run that died is
    simply run again. One run a seller at a time: a second one waits up to ``wait_seconds``
    and then raises ``Conflict``. One buyer's failure is reported and does not stop the rest.
    Raises ``Invalid`` for a period that has not begun, ``NotFound`` for a seller that the
    actor does not act for.
    """
    require(actor, Permission.BILLING_RUN_START)
    scope = _seller_scope(actor, seller_id)
    with scoped(scope):
        seller = account(seller_id)
    span = month_of_key(period, seller.timezone)
    if span.start > now():
        raise period_ahead(period)
    with _one_at_a_time(seller_id, wait_seconds):
        drafts = tuple(_drafts(actor, seller, span))
    report = RunReport(seller_id, period, drafts)
    _record(actor, scope, report)
    return report


def _drafts(actor: Actor, seller: AccountInfo, period: Period) -> Iterator[DraftOutcome]:
    with scoped(seller.scope):
        buyers = direct_buyers(seller.scope)
        ids = [buyer.id for buyer in buyers]
        terms = terms_by_buyer(seller.id, ids, period.first_day)
    for buyer in buyers:
        if buyer.id not in terms:
            yield no_prices(buyer)
            continue
        yield _draft(Job(actor, seller, buyer, period, terms[buyer.id], now()))


def _draft(job: Job) -> DraftOutcome:
    """A buyer whose data cannot be billed must not keep the others' invoices away."""
    try:
        return freeze_draft(job, refresh_draft(job), refresh_draft)
    except (QCloudError, DataError, IntegrityError, OperationalError) as error:
        if connection.connection is None or connection.connection.closed:
            raise  # the database is gone, for the buyers after this one as well
        log.exception("draft failed", buyer=str(job.buyer.id), period=job.period.key)
        return failed(job.buyer, str(error).splitlines()[0][:300])


def _seller_scope(actor: Actor, seller_id: UUID) -> Scope:
    if actor.scope is None:
        return scope_of(seller_id)
    if actor.scope.account_id != seller_id:
        raise NotFound("There is no such seller, or you do not act for it.")
    return actor.scope


@contextmanager
def _one_at_a_time(seller_id: UUID, wait_seconds: float) -> Iterator[None]:
    """An advisory lock of the database session: it goes when the process dies."""
    key = f"billing run of {seller_id}"
    deadline = time.monotonic() + wait_seconds
    while not _lock("pg_try_advisory_lock", key):
        if time.monotonic() >= deadline:
            raise run_busy(seller_id)
        time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        # A connection that is gone has given up the lock; asking would open another one.
        if connection.connection is not None and not connection.connection.closed:
            _lock("pg_advisory_unlock", key)


def _lock(function: str, key: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(hashtextextended(%s, 0))", [key])
        row = cursor.fetchone()
    return bool(row and row[0])


def _record(actor: Actor, scope: Scope, report: RunReport) -> None:
    states: Counter[str] = Counter(draft.state for draft in report.drafts)
    with scoped(scope):
        record(
            actor=actor,
            action="billing.run.finish",
            object_kind="billing_run",
            object_id=report.period,
            scope=scope,
            data={"period": report.period, "buyers": len(report.drafts)} | states,
        )
