"""Periodic work. Each task may run twice, and at the same time as itself."""

from __future__ import annotations

from celery import shared_task

from fleet.policies import ERASURE
from identity.services.erasure import erasure_work
from qcloud.kernel.erasure import erase_rows


@shared_task(name="fleet.tasks.erase_accounts")
def erase_accounts() -> int:
    """Forget what this room knows of accounts that are being erased; first of all the tokens,
    so that their agents send nothing more.
    """
    return erasure_work(ERASURE, lambda account_id: erase_rows(ERASURE, account_id))
