"""Tasks that remove what is too old, and write what people take out."""

from __future__ import annotations

import structlog
from celery import shared_task

from pulse.errors import StoreUnavailable
from pulse.exports.running import exports_forget, exports_write
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


@shared_task(name="pulse.retaining.export")
def export() -> int:
    """Write the exports that were asked for, remove those whose time is over; returns how many
    are ready now.
    """
    exports_forget()
    return exports_write()
