"""Sending. Each task may run twice, and at the same time as itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from celery import shared_task

from notify import queue
from notify.sending import send
from qcloud.kernel.clock import now

_SWEEP: Final = 200
_MESSAGES: Final = timedelta(days=7)
_ROWS: Final = timedelta(days=90)


@shared_task
def deliver(delivery_id: str) -> bool:
    """Send one delivery if it is due; whether it was this worker's to send."""
    claimed = queue.claim(UUID(delivery_id))
    if claimed is None:
        return False
    started = now()
    queue.finish(claimed, send(claimed), started)
    return True


@shared_task
def sweep() -> int:
    """Hand what is due to the workers: retries, and what a lost worker or broker left."""
    found = queue.due(_SWEEP)
    for delivery_id in found:
        queue.start(delivery_id)
    return len(found)


@shared_task
def forget() -> int:
    """Messages of given-up deliveries after a week, the log after ninety days."""
    return queue.forget(messages=_MESSAGES, rows=_ROWS)
