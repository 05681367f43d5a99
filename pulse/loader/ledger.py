"""Which frames count: the ledger of (agent, boot, sequence), kept before coalescing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from uuid import UUID

from pulse.boot_ids import is_below
from pulse.boots import floors_of
from pulse.loader.sequences import Sequences
from pulse.models import AgentBootLedger
from pulse.spool.frames import FrameHeader

Boot = tuple[UUID, UUID]


class Verdict(Enum):
    NEW = "new"
    REPEATED = "repeated"
    FORGOTTEN = "forgotten"
    """Of a boot whose numbers may have been removed from the ledger: nobody can tell."""


def claim(headers: Iterable[FrameHeader], at: datetime) -> list[Verdict]:
    """What each frame is; the numbers of those that are new are taken.

    In the caller's transaction and system mode: the rows stay locked until it ends. The agent
    comes from its token, so nobody can use up another's numbers.
    """
    wanted = list(headers)
    rows = _locked({(header.agent_id, header.boot_id) for header in wanted})
    forgotten = _forgotten(rows)
    taken = {boot: Sequences.of(row.sequences) for boot, row in rows.items()}
    verdicts = []
    for header in wanted:
        boot = (header.agent_id, header.boot_id)
        if boot in forgotten:
            verdicts.append(Verdict.FORGOTTEN)
        else:
            new = taken[boot].add(header.sequence)
            verdicts.append(Verdict.NEW if new else Verdict.REPEATED)
    for boot, row in rows.items():
        row.sequences, row.used_at = taken[boot].stored(), at
    AgentBootLedger.objects.filter(id__in=[rows[boot].id for boot in forgotten]).delete()
    known = [row for boot, row in rows.items() if boot not in forgotten]
    AgentBootLedger.objects.bulk_update(known, ["sequences", "used_at"], batch_size=500)
    return verdicts


def _forgotten(rows: dict[Boot, AgentBootLedger]) -> set[Boot]:
    """Rows without a number are new ones. The floors are read when these are there already:
    who removes a row afterwards has to wait, who has done so before has moved the floor.
    """
    new = [boot for boot, row in rows.items() if not row.sequences]
    floors = floors_of({agent for agent, _ in new}) if new else {}
    return {(agent, boot) for agent, boot in new if is_below(boot, floors.get(agent))}


def _locked(boots: set[Boot]) -> dict[Boot, AgentBootLedger]:
    """Rows that are removed between being found and being locked are made again."""
    rows: dict[Boot, AgentBootLedger] = {}
    while missing := boots - rows.keys():
        rows.update(_locked_once(missing))
    return rows


def _locked_once(boots: set[Boot]) -> dict[Boot, AgentBootLedger]:
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
