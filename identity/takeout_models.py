from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from django.db import models

from qcloud.kernel.models import TenantModel
from vaultsvc.fields import EncryptedField


class TakeoutState(models.TextChoices):
    WAITING = "waiting"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"


class Takeout(TenantModel):
    """An archive of everything that an account has, asked for by one of its owners."""

    state = models.CharField(max_length=8, choices=TakeoutState.choices, default="waiting")
    asked_at = models.DateTimeField()
    asked_by = models.UUIDField(null=True)
    asked_label = models.CharField(max_length=254)
    link = models.CharField(max_length=500, blank=True)
    """Of the page that offers it, for the mail."""
    attempt = models.SmallIntegerField(default=0)
    claimed_at = models.DateTimeField(null=True)
    """Renewed with each part; a worker that died leaves it behind, and another begins anew."""
    part = models.CharField(max_length=100, blank=True)
    """What is being packed."""
    done = models.SmallIntegerField(default=0)
    total = models.SmallIntegerField(default=0)
    """Parts."""
    size = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    ready_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    """When the archive is removed."""
    trouble = models.CharField(max_length=500, blank=True)

    class Meta(TenantModel.Meta):
        ordering = ("-id",)
        indexes = (
            models.Index(
                fields=("claimed_at",),
                name="identity_takeout_open",
                condition=models.Q(state__in=("waiting", "running")),
            ),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("account_id",),
                name="identity_takeout_one_at_a_time",
                condition=models.Q(state__in=("waiting", "running")),
            ),
        )

    def __str__(self) -> str:
        return f"{self.account_id} takes its data along: {self.state}"


class TakeoutPiece(TenantModel):
    """A mebibyte of an archive, sealed: it is in every replica's reach, and the end of the
    account, or of its key, is the end of it.
    """

    takeout = models.ForeignKey(Takeout, on_delete=models.CASCADE, related_name="pieces")
    position = models.IntegerField()
    data = EncryptedField()

    class Meta(TenantModel.Meta):
        ordering = ("position",)
        constraints = (
            models.UniqueConstraint(
                fields=("account_id", "takeout", "position"), name="identity_takeout_piece_once"
            ),
        )

    def __str__(self) -> str:
        return f"piece {self.position} of {self.takeout_id}"

    if TYPE_CHECKING:
        takeout_id: UUID
