from __future__ import annotations

from django.db import models

from qcloud.kernel.clock import now
from qcloud.kernel.models import SubtreeModel

MAX_REASON = 500
MAX_LABEL = 254
MAX_NAME = 100
MAX_OBJECT_ID = 200


class Outcome(models.TextChoices):
    ALLOWED = "allowed"
    DENIED = "denied"
    """The platform said no: a missing permission, a stranger, a wrong password."""
    FAILED = "failed"
    """Allowed, tried, and not achieved."""


class Entry(SubtreeModel):
    """One action. Never changed and never deleted: the database refuses both.

    ``account_id`` and ``account_path`` are those of the account the action was *on*, so that
    a customer reads what its reseller did to it. Who acted is kept as plain values, not as a
    reference: an entry outlives the person.
    """

    at = models.DateTimeField(default=now)
    actor_kind = models.CharField(max_length=16)
    actor_id = models.UUIDField(null=True)
    actor_label = models.CharField(max_length=MAX_LABEL)
    on_behalf_of = models.UUIDField(null=True)
    action = models.CharField(max_length=MAX_NAME)
    object_kind = models.CharField(max_length=MAX_NAME, blank=True)
    object_id = models.CharField(max_length=MAX_OBJECT_ID, blank=True)
    outcome = models.CharField(max_length=8, choices=Outcome.choices)
    reason = models.CharField(max_length=MAX_REASON, blank=True)
    ip = models.CharField(max_length=64, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    data = models.JSONField(default=dict)

    class Meta(SubtreeModel.Meta):
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("account_id", "-id"), name="audit_entry_account"),
            models.Index(fields=("action", "-id"), name="audit_entry_action"),
        )

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%dT%H:%M:%SZ} {self.actor_label} {self.action} {self.outcome}"
