"""Which frames count: the ledger of (agent, boot, sequence), kept before coalescing."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from pulse.loader.sequences import Sequences
from pulse.models import AgentBootLedger
from pulse.spool.frames import FrameHeader

Boot = tuple[UUID, UUID]


def claim(headers: Iterable[FrameHeader]) -> list[bool]:
    """For each frame whether it counts; the numbers of those that do are taken.

    In the caller's transaction and system mode: the rows stay locked until it ends. The agent
    comes from its token, so nobody can use up another's numbers.
    """
    wanted = list(headers)
    boots = {(header.agent_id, header.boot_id) for header in wanted}
    rows = _locked(boots)
    taken = {boot: Sequences.of(row.sequences) for boot, row in rows.items()}
    verdicts = [taken[h.agent_id, h.boot_id].add(h.sequence) for h in wanted]
    for boot, row in rows.items():
        row.sequences = taken[boot].stored()
    AgentBootLedger.objects.bulk_update(rows.values(), ["sequences"], batch_size=500)
    return verdicts


def _locked(boots: set[Boot]) -> dict[Boot, AgentBootLedger]:
    AgentBootLedger.objects.bulk_create(
        [AgentBootLedger(agent_id=agent, boot_id=boot) for agent, boot in sorted(boots)],
        ignore_conflicts=True,
        batch_size=500,
    )
    # In one order, so that two loaders cannot wait for each other in a circle.
    found = (
        AgentBootLedger.objects.select_for_update()
        .filter(agent_id__in={a for a, _ in boots}, boot_id__in={b for _, b in boots})
        .order_by("agent_id", "boot_id")
    )
    return {(r.agent_id, r.boot_id): r for r in found if (r.agent_id, r.boot_id) in boots}
