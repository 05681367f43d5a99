"""What the beat starts: drafts that keep up with the usage."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from celery import shared_task

from billing.errors import RUN_BUSY
from billing.periods import Period, month_containing
from billing.policies import ERASURE
from billing.selectors.books import sellers
from billing.services.runs import run_billing
from identity.selectors import account, scope_of
from identity.services.erasure import erasure_work
from qcloud.kernel.clock import now
from qcloud.kernel.erasure import erase_rows
from qcloud.kernel.errors import Conflict
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import scoped

log = structlog.get_logger("billing.tasks")

LABEL: Final = "billing cron"


@shared_task(name="billing.tasks.erase_accounts")
def erase_accounts() -> int:
    """Forget accounts that are being erased; invoices stay with their sellers."""
    return erasure_work(ERASURE, lambda account_id: erase_rows(ERASURE, account_id))


@shared_task(name="billing.tasks.refresh_drafts")
def refresh_drafts() -> None:
    """Start a refresh for every account that sells; a task each, so one cannot delay another."""
    for seller_id in sellers():
        refresh_drafts_of.delay(str(seller_id))


@shared_task(name="billing.tasks.refresh_drafts_of")
def refresh_drafts_of(seller_id: str) -> None:
    """Refresh one seller's drafts of the running month and of the one before.

    The month before is still a draft, and its last hours arrive after its end. Can run twice
    and beside itself: who finds a run going on leaves the work to it.
    """
    seller = UUID(seller_id)
    for period in _periods(seller):
        try:
            report = run_billing(
                actor=Actor.system(LABEL, scope_of(seller)),
                seller_id=seller,
                period=period.key,
                wait_seconds=0,
            )
        except Conflict as error:
            if error.code != RUN_BUSY:
                raise
            log.info("drafts are being refreshed already", seller=seller_id, period=period.key)
        else:
            log.info(
                "drafts refreshed",
                seller=seller_id,
                period=period.key,
                changed=report.count("changed") + report.count("created"),
                failed=report.count("failed"),
            )


def _periods(seller_id: UUID) -> tuple[Period, Period]:
    scope = scope_of(seller_id)
    with scoped(scope):
        zone = account(seller_id).timezone
    running = month_containing(now(), zone)
    return month_containing(running.start - timedelta(microseconds=1), zone), running
