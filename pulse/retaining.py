"""Tasks that remove what is too old."""

from __future__ import annotations

import structlog
from celery import shared_task

from pulse.errors import StoreUnavailable
from pulse.retention.expiring import expire_due

log = structlog.get_logger(__name__)


@shared_task(name="pulse.retaining.expire")
def expire() -> int:
    """Mark and remove what is too old; rows that went. Twice at once does it once."""
    try:
        return expire_due()
    except StoreUnavailable as error:
        log.warning("nothing expires", reason=error.message)
        return 0
