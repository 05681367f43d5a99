"""Batches that the event store refuses: acknowledged, kept on disk, and not counted yet."""

from __future__ import annotations

from django.db import models

from qcloud.kernel.models import InternalModel


class AsideState(models.TextChoices):
    KEPT = "kept", "Kept"
    RETRY = "retry", "To be tried again"
    DROP = "drop", "To be dropped"
    STORED = "stored", "Stored after all"
    DROPPED = "dropped", "Dropped"


class AsideBatch(InternalModel):
    """One batch. Its file, a segment with one frame, is in ``aside/`` of its spool."""

    spool_id = models.UUIDField()
    file = models.CharField(max_length=100)
    account_id = models.UUIDField()
    environment_id = models.UUIDField()
    agent_id = models.UUIDField()
    kind = models.CharField(max_length=32)
    rows = models.BigIntegerField()
    reason = models.CharField(max_length=200)
    """The engine's code and its name; never what it says of values."""
    state = models.CharField(max_length=8, choices=AsideState.choices, default=AsideState.KEPT)
    load_id = models.UUIDField(null=True)
    """The load that tries it again."""
    created_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True)

    class Meta(InternalModel.Meta):
        constraints = (
            models.UniqueConstraint(fields=("spool_id", "file"), name="pulse_aside_file_once"),
        )
        indexes = (models.Index("spool_id", "state", name="pulse_aside_state"),)

    def __str__(self) -> str:
        return f"{self.file}: {self.rows} {self.kind} {self.state}"
