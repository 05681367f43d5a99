"""Deliveries from hand to hand: written, claimed, finished. Each step is a transaction.

At least once: a worker that dies after the other side took the message and before this side
noted it leaves a claim that runs out, and the message goes out again, with the same
``Message-ID`` (mail) or delivery id (webhook), by which the receiver can tell.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

import structlog
from django.db import transaction
from kombu.exceptions import OperationalError

from notify.backoff import GIVE_UP, pause
from notify.models import MAX_KEY, Attempt, Delivery, State
from notify.result import Result, shown
from qcloud.kernel.clock import now
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import unscoped
from qcloud.kernel.sealing import KeyShredded, SealBroken, SealerUnavailable

log = structlog.get_logger(__name__)

LEASE: Final = timedelta(minutes=2)
"""Longer than any transport may take."""
AT_ONCE: Final = 2
"""Webhooks of one account in the air: a slow target must not hold every worker."""


@dataclass(frozen=True, slots=True)
class Claimed:
    id: UUID
    account_id: UUID
    kind: str
    what: str
    to: str
    channel_id: UUID | None
    attempt: int
    created_at: datetime
    payload: dict[str, Any]


def put(
    *,
    account_id: UUID,
    kind: str,
    what: str,
    to: str,
    key: str,
    payload: dict[str, Any],
    subject: str = "",
    channel_id: UUID | None = None,
) -> UUID:
    """Write a delivery in the caller's transaction; it starts when that commits.

    A second one with the same key changes nothing and returns the first one's id.
    """
    if not 1 <= len(key) <= MAX_KEY:
        raise ValueError(f"a delivery's key has 1 to {MAX_KEY} characters, not {len(key)}")
    row = Delivery(
        id=new_id(), account_id=account_id, kind=kind, what=what, to=to, key=key,
        subject=subject, channel_id=channel_id, created_at=now(), next_at=now(),
    )  # fmt: skip
    row.payload = json.dumps(payload)
    with unscoped("notify: one account may write to another's people"):
        Delivery.objects.bulk_create([row], ignore_conflicts=True)
        kept: UUID = Delivery.objects.values_list("id", flat=True).get(
            account_id=account_id, key=key
        )
    if kept == row.id:
        start_on_commit(kept)
    return kept


def start_on_commit(delivery_id: UUID) -> None:
    transaction.on_commit(partial(start, delivery_id))


def start(delivery_id: UUID) -> None:
    """Tell a worker. Whoever is not told is found by the sweep."""
    from qcloud.celery import app

    try:
        app.send_task("notify.tasks.deliver", args=[str(delivery_id)], retry=False)
    except (OperationalError, OSError) as error:
        log.warning("no worker told, the sweep will", delivery=str(delivery_id), reason=str(error))


def due(limit: int) -> list[UUID]:
    """Deliveries whose time has come, the oldest first: lost ones are among them."""
    with unscoped("notify: the sweep sees every account"):
        rows = Delivery.objects.filter(
            state__in=(State.WAITING, State.SENDING), next_at__lte=now()
        ).order_by("next_at")
        return list(rows.values_list("id", flat=True)[:limit])


def claim(delivery_id: UUID) -> Claimed | None:
    """Take a delivery for ``LEASE``; ``None`` when it is not due or somebody else has it."""
    with unscoped("notify: a delivery is sent whoever it is for"):
        row = (
            Delivery.objects.select_for_update(skip_locked=True)
            .filter(id=delivery_id, state__in=(State.WAITING, State.SENDING), next_at__lte=now())
            .first()
        )
        if row is None or _too_many(row):
            return None
        row.state, row.attempts, row.next_at = State.SENDING, row.attempts + 1, now() + LEASE
        row.save(update_fields=["state", "attempts", "next_at"])
        try:
            payload: dict[str, Any] = json.loads(row.payload.reveal())
        except SealerUnavailable as error:
            _note(row, Result("temporary", answer=error.message), now())
            return None
        except (SealBroken, KeyShredded) as error:
            _note(row, Result("permanent", answer=error.message), now())
            return None
        return Claimed(
            row.id, row.account_id, row.kind, row.what, row.to, row.channel_id, row.attempts,
            row.created_at, payload,
        )  # fmt: skip


def _too_many(row: Delivery) -> bool:
    if row.kind == "mail":
        return False
    others = Delivery.objects.filter(
        account_id=row.account_id, state=State.SENDING, next_at__gt=now()
    ).exclude(kind="mail")
    in_the_air: int = others.count()
    return in_the_air >= AT_ONCE


def finish(claimed: Claimed, result: Result, started: datetime) -> None:
    """Note what came of it, and when to try again."""
    with unscoped("notify: what came of a delivery"):
        row = Delivery.objects.select_for_update().get(id=claimed.id)
        if row.attempts != claimed.attempt and not result.sent:
            # The claim ran out and another worker has it; its result counts.
            _attempt(row, claimed.attempt, result, started)
            return
        _note(row, result, started, claimed.attempt)


def _note(row: Delivery, result: Result, started: datetime, number: int | None = None) -> None:
    _attempt(row, number or row.attempts, result, started)
    row.reason = "" if result.sent else shown(result.answer, 500)
    if result.sent:
        row.state, row.payload, row.next_at, row.finished_at = State.SENT, None, None, now()
    elif result.outcome == "permanent" or now() - row.created_at > GIVE_UP:
        row.state, row.next_at, row.finished_at = State.FAILED, None, now()
        log.warning("delivery given up", delivery=str(row.id), what=row.what, reason=row.reason)
    else:
        row.state, row.next_at = State.WAITING, now() + pause(row.attempts)
    row.save(update_fields=["state", "payload", "next_at", "finished_at", "reason"])


def _attempt(row: Delivery, number: int, result: Result, started: datetime) -> None:
    Attempt.objects.create(
        account_id=row.account_id,
        delivery_id=row.id,
        number=number,
        at=started,
        duration_ms=max(0, round((now() - started).total_seconds() * 1000)),
        outcome=result.outcome,
        status=result.status,
        answer=shown(result.answer),
    )


def forget(*, messages: timedelta, rows: timedelta) -> int:
    """Drop messages of given-up deliveries and then whole rows, by age; how many rows went."""
    with unscoped("notify: old deliveries of every account"):
        given_up = Delivery.objects.filter(state=State.FAILED, payload__isnull=False)
        given_up.filter(finished_at__lt=now() - messages).update(payload=None)
        done = Delivery.objects.filter(finished_at__lt=now() - rows)
        gone = list(done.values_list("id", flat=True)[:5_000])
        Attempt.objects.filter(delivery_id__in=gone).delete()
        Delivery.objects.filter(id__in=gone).delete()
        return len(gone)
