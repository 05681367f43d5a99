"""How a lower room tells higher ones something, without knowing them.

A message is written in the transaction of the change that it tells of, and read by each
consumer in order, at least once. Order is (transaction, position), and a reader stops
before the oldest transaction that is still running: a sequence number alone would let it
pass over a row that commits later with a lower number.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import Q

from qcloud.kernel.models import OutboxCursor, OutboxMessage
from qcloud.kernel.scope import unscoped

Handler = Callable[[OutboxMessage], None]

_OLDEST_RUNNING: Final = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"


def publish(topic: str, payload: dict[str, Any], *, account_id: UUID | None) -> None:
    """Write a message in the caller's transaction. ``topic`` is ``room.object.happened``."""
    with unscoped("outbox: the message table is internal"):
        OutboxMessage.objects.create(topic=topic, payload=payload, account_id=account_id)


def consume(consumer: str, topics: Collection[str], handler: Handler, *, limit: int = 100) -> int:
    """Hand up to ``limit`` unread messages to ``handler``; returns how many were read.

    One transaction: when the handler raises, nothing of this call is marked as read, so a
    handler must be able to see a message twice.
    """
    with unscoped(f"outbox: {consumer}"):
        cursor = OutboxCursor.locked(consumer)
        messages = list(_unread(cursor, topics)[:limit])
        for message in messages:
            handler(message)
        if messages:
            cursor.transaction_id = messages[-1].transaction_id
            cursor.position = messages[-1].position
            cursor.save(update_fields=["transaction_id", "position"])
        return len(messages)


def _unread(cursor: OutboxCursor, topics: Collection[str]) -> Any:
    with connection.cursor() as db:
        db.execute(_OLDEST_RUNNING)
        oldest_running = db.fetchone()[0]
    after = Q(transaction_id__gt=cursor.transaction_id) | Q(
        transaction_id=cursor.transaction_id, position__gt=cursor.position
    )
    return OutboxMessage.objects.filter(
        after, topic__in=topics, transaction_id__lt=oldest_running
    ).order_by("transaction_id", "position")
