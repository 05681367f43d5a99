"""What Pulse keeps in PostgreSQL: which batches were taken, what was loaded, and usage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models.functions import Now
from psycopg.types.multirange import Int8Multirange

from qcloud.kernel.models import InternalModel, SubtreeModel

if TYPE_CHECKING:
    _Field = models.Field[Int8Multirange, Int8Multirange]
else:
    _Field = models.Field


class SequencesField(_Field):
    """A set of batch numbers, PostgreSQL's ``int8multirange``."""

    def db_type(self, connection: Any) -> str:  # noqa: ARG002  the base class's signature
        return "int8multirange"


class AgentBootLedger(InternalModel):
    """The numbers of one start of one agent that were taken. Kept while it is used and long
    after (``pulse.boots``): a batch may be sent again late.
    """

    agent_id = models.UUIDField()
    boot_id = models.UUIDField()
    sequences = SequencesField(default=Int8Multirange)
    used_at = models.DateTimeField(db_default=Now())
    """When a batch of it came last, new or repeated."""

    class Meta(InternalModel.Meta):
        constraints = (
            models.UniqueConstraint(fields=("agent_id", "boot_id"), name="pulse_ledger_boot_once"),
        )

    def __str__(self) -> str:
        return f"{self.agent_id} boot {self.boot_id}"


class LoadState(models.TextChoices):
    PENDING = "pending"
    """Its numbers are taken; its rows may or may not be in the event store."""
    DONE = "done"
    LOST = "lost"
    """Its segments vanished before its rows were stored: somebody emptied the spool."""


class Load(InternalModel):
    """One block of the event store, and the frames it is made of; its id is the ``load_id``."""

    spool_id = models.UUIDField()
    state = models.CharField(max_length=8, choices=LoadState.choices, default=LoadState.PENDING)
    segments = models.JSONField()
    """File names. They are removed once the load is done."""
    frames = models.JSONField()
    """``[segment, offset]`` of each frame that counts; the others were duplicates."""
    rows = models.BigIntegerField()
    duplicates = models.IntegerField(default=0)
    """Frames that had been taken before."""
    damaged = models.IntegerField(default=0)
    """Stretches of the segments that were no frame; they lie in the spool's quarantine."""
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)
    store_began = models.DateTimeField(null=True)
    """Since when the event store lived that it was last tried on again."""
    deaths = models.IntegerField(db_default=0)
    """How often that was another process at the next try: ``pulse.loader.deaths``."""

    class Meta(InternalModel.Meta):
        indexes = (models.Index("spool_id", "state", name="pulse_load_state"),)

    def __str__(self) -> str:
        return f"load {self.id} {self.state}"


class TouchedHour(InternalModel):
    """An hour whose usage must be counted again; written with the load that touched it."""

    account_id = models.UUIDField()
    environment_id = models.UUIDField()
    hour = models.DateTimeField()

    class Meta(InternalModel.Meta):
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.account_id} {self.hour.isoformat()}"


class UsageHour(SubtreeModel):
    """What one environment used in one hour, counted from the deduplicated events."""

    environment_id = models.UUIDField()
    hour = models.DateTimeField()
    """Its beginning, UTC."""
    requests = models.BigIntegerField()
    requests_ingress = models.BigIntegerField()
    requests_egress_internal = models.BigIntegerField()
    requests_egress_external = models.BigIntegerField()
    bytes_sent = models.DecimalField(max_digits=30, decimal_places=0)
    """Decimal: agents report up to 2**63 bytes an event, and sums must not overflow."""
    bytes_received = models.DecimalField(max_digits=30, decimal_places=0)
    counted_at = models.DateTimeField()

    class Meta(SubtreeModel.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=("account_id", "environment_id", "hour"), name="pulse_usage_hour_once"
            ),
        )
        indexes = (models.Index("hour", name="pulse_usage_hour"),)

    def __str__(self) -> str:
        return f"{self.account_id} {self.hour.isoformat()}: {self.requests}"


class ErasedAccount(InternalModel):
    """An account whose events were erased. What the spool still holds of it is left out."""

    account_id = models.UUIDField(unique=True)
    erased_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.account_id} erased {self.erased_at.isoformat()}"


from pulse.tables import (  # noqa: E402  Django looks here
    alerts,  # noqa: F401
    aside,  # noqa: F401
    boots,  # noqa: F401
    exports,  # noqa: F401
    frozen,  # noqa: F401
    issues,  # noqa: F401
    retention,  # noqa: F401
    rollups,  # noqa: F401
    routes,  # noqa: F401
    taken,  # noqa: F401
    vendors,  # noqa: F401
)
