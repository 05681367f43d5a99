"""Periodic work. Each task may run twice, and at the same time as itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import structlog
from celery import shared_task

from pulse import closing, retaining, watching  # noqa: F401  their tasks
from pulse.boots import forget_boots
from pulse.errors import StoreUnavailable
from pulse.metering import recompute_touched
from pulse.models import Load, LoadState
from pulse.rollups import forget_old_versions, rebuild_touched
from pulse.taken import forget_old_days
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped

log = structlog.get_logger(__name__)

_KEEP_LOADS: Final = timedelta(days=30)


@shared_task
def recompute_recent_usage() -> int:
    """Bring usage up to date with what was loaded; returns the number of hours counted."""
    try:
        hours = recompute_touched()
    except StoreUnavailable as error:
        # The next minute tries again; a trace a minute would say no more than this line.
        log.warning("usage not recounted", reason=error.message)
        return 0
    with unscoped("loader: forget old loads"):
        old = Load.objects.filter(state=LoadState.DONE, finished_at__lt=now() - _KEEP_LOADS)
        old.delete()
    forget_old_days()
    if hours:
        log.info("usage recounted", hours=hours)
    return hours


@shared_task
def forget_unused_boots() -> int:
    """Keep the ledger of batches bounded; returns the number of boots that were forgotten."""
    boots = forget_boots()
    if boots:
        log.info("ledger: boots forgotten", boots=boots)
    return boots


@shared_task
def count_rollups() -> int:
    """Count again what loads have touched; returns the number of quarters counted."""
    try:
        quarters = rebuild_touched()
    except StoreUnavailable as error:
        log.warning("rollups not counted", reason=error.message)
        return 0
    if quarters:
        log.info("rollups counted", quarters=quarters)
    return quarters


@shared_task
def tidy_rollups() -> int:
    """Remove rollups that were counted again since; returns how many versions went."""
    try:
        return forget_old_versions()
    except StoreUnavailable as error:
        log.warning("old rollups not removed", reason=error.message)
        return 0
