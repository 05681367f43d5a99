"""What is known of rollups: which quarters are dirty, which versions count."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from qcloud.kernel.models import TenantModel


class TouchedSpan(TenantModel):
    """Whole quarters of an hour, ``[since, until)``, in which a load has, or is about to have,
    requests: until they were counted again, nobody reads their rollups.
    """

    load_id = models.UUIDField()
    since = models.DateTimeField()
    until = models.DateTimeField()

    class Meta(TenantModel.Meta):
        indexes = (models.Index("account_id", "since", name="pulse_touched_span"),)

    def __str__(self) -> str:
        return f"{self.account_id} {self.since.isoformat()} – {self.until.isoformat()}"


class RollupDay(TenantModel):
    """The versions under which one day's rollups stand in the event store; 0: there are none.

    A reader believes this row alone, so that writing it swaps every bucket at once.
    """

    day = models.DateField()
    quarters = ArrayField(models.BigIntegerField(), size=96)
    hours = ArrayField(models.BigIntegerField(), size=24)
    whole = models.BigIntegerField(default=0)

    class Meta(TenantModel.Meta):
        constraints = (
            models.UniqueConstraint(fields=("account_id", "day"), name="pulse_rollup_day_once"),
        )

    def __str__(self) -> str:
        return f"{self.account_id} {self.day.isoformat()}"
