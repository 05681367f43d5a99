"""How long the ledger remembers an agent's boots, and which it will not take any more.

Boot ids are UUIDv7: they sort by the time at which the agent started. A row that was not used
for the horizon, of a boot that began before it, is removed; the latest of an agent's removed
boots stays as its *floor*. An unknown boot at or below the floor may be one that was removed,
so nothing of it is counted: not twice, and then rather not at all.

No floor is ever younger than the horizon, so that a boot is refused only if its clock was
behind by more than that. Clocks that say a time before ``EPOCH`` are not set at all: their
boots begin at the same time again and again. So no floor can stand for those, nor for boots of
the future, and none is refused: of those that were not used for the horizon an agent's last
``ODD_KEPT`` stay. What is sent again of an older one is counted again.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q, Window
from django.db.models.functions import RowNumber

from pulse.boot_ids import EPOCH, first_boot_at, is_below
from pulse.models import AgentBootLedger
from pulse.tables.boots import AgentBootFloor
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped

_AT_ONCE: Final = 1_000
ODD_KEPT: Final = 1_000
"""Boots of one agent under clocks that were never set or are ahead, unused for the horizon."""


def floors_of(agents: Collection[UUID]) -> dict[UUID, UUID]:
    """The floor of each agent that has one. In the caller's system mode."""
    found = AgentBootFloor.objects.filter(agent_id__in=agents)
    return dict(found.values_list("agent_id", "boot_id"))


def is_forgotten(agent: UUID, boot: UUID) -> bool:
    """Whether that boot's batches can be neither counted nor known as counted before."""
    with unscoped("ingest: boots that the ledger has forgotten"):
        if not is_below(boot, floors_of([agent]).get(agent)):
            return False
        return not AgentBootLedger.objects.filter(agent_id=agent, boot_id=boot).exists()


def forget_boots(moment: datetime | None = None) -> int:
    """Remove what the horizon (``QCLOUD_LEDGER_DAYS``) leaves behind; returns how many rows."""
    horizon = (moment or now()) - timedelta(days=settings.LEDGER_DAYS)
    removed = 0
    while some := _forget_some(horizon):
        removed += some
    while some := _forget_odd(horizon, moment or now()):
        removed += some
    return removed


def _forget_odd(horizon: datetime, moment: datetime) -> int:
    """One transaction. A row that is used meanwhile stays: it is locked and looked at again."""
    with unscoped("ledger: boots under wrong clocks"):
        odd = AgentBootLedger.objects.filter(
            Q(boot_id__lt=EPOCH) | Q(boot_id__gte=first_boot_at(moment)), used_at__lt=horizon
        )
        latest = Window(RowNumber(), partition_by="agent_id", order_by=("-used_at", "-boot_id"))
        ranked = odd.annotate(place=latest).filter(place__gt=ODD_KEPT)
        ids = list(ranked.values_list("id", flat=True)[:_AT_ONCE])
        removed, _ = AgentBootLedger.objects.filter(id__in=ids, used_at__lt=horizon).delete()
    return int(removed)


def _forget_some(horizon: datetime) -> int:
    """One transaction. A row that a loader holds is in use and stays."""
    with unscoped("ledger: boots that nobody uses any more"), transaction.atomic():
        unused = AgentBootLedger.objects.filter(
            used_at__lt=horizon, boot_id__gte=EPOCH, boot_id__lt=first_boot_at(horizon)
        ).order_by("agent_id", "boot_id")
        ids = list(
            unused.select_for_update(skip_locked=True).values_list("id", flat=True)[:_AT_ONCE]
        )
        rows = AgentBootLedger.objects.filter(id__in=ids)
        # The last of each agent stays in the dictionary.
        latest = dict(rows.order_by("boot_id").values_list("agent_id", "boot_id"))
        for agent, boot in sorted(latest.items()):
            floor, made = AgentBootFloor.objects.get_or_create(
                agent_id=agent, defaults={"boot_id": boot}
            )
            if not made:
                AgentBootFloor.objects.filter(id=floor.id, boot_id__lt=boot).update(boot_id=boot)
        rows.delete()
    return len(ids)
