"""What an operator sees of batches that the event store refuses, and decides about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from audit.services import record
from pulse.tables.aside import AsideBatch, AsideState
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, NotFound
from qcloud.kernel.permissions import Actor, Permission, require, require_fresh
from qcloud.kernel.scope import unscoped

WAITING: Final = (AsideState.KEPT, AsideState.RETRY, AsideState.DROP)
"""Its file is still there."""


@dataclass(frozen=True)
class Aside:
    """One batch that waits for a decision, or for the loader to act on it."""

    id: UUID
    account_id: UUID
    agent_id: UUID
    kind: str
    rows: int
    reason: str
    state: str
    created_at: datetime


def batches_aside(*, actor: Actor) -> list[Aside]:
    """The oldest first, at most 1,000. Raises ``Denied``."""
    require(actor, Permission.QCLOUD_PLATFORM_READ)
    with unscoped("operators: batches that the event store refuses"):
        rows = AsideBatch.objects.filter(state__in=WAITING).order_by("id")[:1_000]
        return [
            Aside(r.id, r.account_id, r.agent_id, r.kind, r.rows, r.reason, r.state, r.created_at)
            for r in rows
        ]


def batch_aside_retry(*, actor: Actor, batch_id: UUID) -> None:
    """Have it tried again, within seconds. Raises ``Denied``, ``NotFound``, ``Conflict``."""
    _decide(actor, batch_id, AsideState.RETRY)


def batch_aside_drop(*, actor: Actor, batch_id: UUID) -> None:
    """Give its events up for good.

    Raises ``Denied``, ``StepUpNeeded``, ``NotFound``, ``Conflict``.
    """
    require(actor, Permission.QCLOUD_SETTINGS_WRITE)
    require_fresh(actor)
    _decide(actor, batch_id, AsideState.DROP)


def _decide(actor: Actor, batch_id: UUID, decision: AsideState) -> None:
    require(actor, Permission.QCLOUD_SETTINGS_WRITE)
    with unscoped("operators: batches that the event store refuses"):
        row = AsideBatch.objects.select_for_update().filter(id=batch_id).first()
        if row is None:
            raise NotFound(f"There is no batch {batch_id} set aside.")
        if row.state != AsideState.KEPT:
            raise Conflict(f"It is decided already: {row.get_state_display().lower()}.")
        row.state, row.decided_at = decision, now()
        row.save(update_fields=["state", "decided_at"])
        record(
            actor=actor,
            action=f"pulse.aside.{decision.value}",
            object_kind="pulse.aside_batch",
            object_id=row.id,
            data={"account": str(row.account_id), "rows": row.rows, "reason": row.reason},
        )
