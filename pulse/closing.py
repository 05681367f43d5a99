"""Tasks for accounts that end: this room forgets what it has of them."""

from __future__ import annotations

from collections import Counter
from typing import Final
from uuid import UUID

import structlog
from celery import shared_task

from identity.services.erasure import erasure_work
from pulse.erasure import erase
from pulse.errors import ErasureWaits, HeldBack, StoreUnavailable
from pulse.policies import ERASURE
from qcloud.kernel.erasure import erase_rows

log = structlog.get_logger(__name__)

_PATIENCE_SECONDS: Final = 5.0
"""For one account: others wait behind it, and the next minute tries again."""


@shared_task(name="pulse.closing.erase_accounts")
def erase_accounts() -> int:
    """Forget the events, and what was found in them, of accounts that are being erased."""
    try:
        return erasure_work(ERASURE, _forget, apart=True)
    except (ErasureWaits, HeldBack, StoreUnavailable) as error:
        # All others were worked on; the next minute tries again.
        log.warning("an account's events are not erased yet", reason=error.message)
        return 0


def _forget(account_id: UUID) -> dict[str, int]:
    found = erase(account_id, patience=_PATIENCE_SECONDS)
    return dict(Counter(found.before) + Counter(erase_rows(ERASURE, account_id)))
