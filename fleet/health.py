"""How the agents of all accounts are doing, for operators: counts, no names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from fleet.models import Agent
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped

HEARD_WITHIN: Final = timedelta(seconds=100)
"""Three heartbeats."""


@dataclass(frozen=True)
class FleetHealth:
    agents: int
    heard: int
    """Reported within ``HEARD_WITHIN``."""


def fleet_health() -> FleetHealth:
    """In system mode."""
    with unscoped("operators: counts of agents over all tenants"):
        known = Agent.objects.filter(removed_at=None)
        heard = known.filter(last_heartbeat_at__gte=now() - HEARD_WITHIN)
        return FleetHealth(known.count(), heard.count())
