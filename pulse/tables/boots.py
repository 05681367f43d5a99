"""Below which boots of an agent the ledger is not complete any more."""

from __future__ import annotations

from django.db import models

from qcloud.kernel.models import InternalModel


class AgentBootFloor(InternalModel):
    """The latest boot of the agent whose row was removed from the ledger. It only rises."""

    agent_id = models.UUIDField(unique=True)
    boot_id = models.UUIDField()

    def __str__(self) -> str:
        return f"{self.agent_id} up to {self.boot_id}"
