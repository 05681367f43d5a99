from __future__ import annotations

from django.db import models

from qcloud.kernel.models import SubtreeModel


class ErasureStep(SubtreeModel):
    """That one room has to forget an account, and how far it is. The proof that it did."""

    step = models.CharField(max_length=32)
    """A room."""
    position = models.SmallIntegerField()
    attempt = models.SmallIntegerField(default=1)
    """Begun again when rows of the account turned up behind a step that was done."""
    asked_at = models.DateTimeField(null=True)
    """When the room was told."""
    taken_at = models.DateTimeField(null=True)
    """When it read that."""
    done_at = models.DateTimeField(null=True)
    removed: models.JSONField[dict[str, int], dict[str, int]] = models.JSONField(default=dict)
    """Rows by table, over all attempts."""

    class Meta(SubtreeModel.Meta):
        ordering = ("position",)
        constraints = (
            models.UniqueConstraint(
                fields=("account_id", "step"), name="identity_erasure_step_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.step} forgets {self.account_id}"
