"""How many events each account has sent on each day."""

from __future__ import annotations

from django.db import models

from qcloud.kernel.models import InternalModel


class EventsTaken(InternalModel):
    """Of one UTC day of arrival; the loader adds what its claim takes, in the same transaction."""

    account_id = models.UUIDField()
    day = models.DateField()
    events = models.BigIntegerField()

    class Meta(InternalModel.Meta):
        constraints = (
            models.UniqueConstraint(fields=("account_id", "day"), name="pulse_taken_once"),
        )

    def __str__(self) -> str:
        return f"{self.account_id} {self.day.isoformat()}: {self.events}"
