"""Requests that somebody took out as a file."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from django.db import models

from qcloud.kernel.models import TenantModel
from vaultsvc.fields import EncryptedField


class ExportState(models.TextChoices):
    WAITING = "waiting"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"


class TrafficExport(TenantModel):
    """The requests of a filter, being written or ready to be had until they expire."""

    state = models.CharField(max_length=8, choices=ExportState.choices, default="waiting")
    format = models.CharField(max_length=8)
    """``csv`` or ``parquet``."""
    chosen = models.JSONField()
    """The filter, ``pulse.exports.filters``."""
    environments = models.JSONField(null=True)
    """Ids of all environments that may be in it; none: all of the account."""
    asked_at = models.DateTimeField()
    asked_by = models.UUIDField(null=True)
    asked_label = models.CharField(max_length=254)
    link = models.CharField(max_length=500, blank=True)
    """Of the page that offers it, for the mail."""
    attempt = models.SmallIntegerField(default=0)
    claimed_at = models.DateTimeField(null=True)
    """Renewed with each page; a worker that died leaves it behind, and another begins anew."""
    rows = models.BigIntegerField(default=0)
    """Written by now."""
    total = models.BigIntegerField(default=0)
    """Counted when it was asked for."""
    size = models.BigIntegerField(default=0)
    """Bytes."""
    sha256 = models.CharField(max_length=64, blank=True)
    ready_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    trouble = models.CharField(max_length=500, blank=True)

    class Meta(TenantModel.Meta):
        ordering = ("-id",)
        indexes = (
            models.Index(
                fields=("claimed_at",),
                name="pulse_export_open",
                condition=models.Q(state__in=("waiting", "running")),
            ),
        )

    def __str__(self) -> str:
        return f"{self.account_id} exports {self.total} requests: {self.state}"


class TrafficExportPiece(TenantModel):
    """A mebibyte of an export, compressed and sealed under the account's key."""

    export = models.ForeignKey(TrafficExport, on_delete=models.CASCADE, related_name="pieces")
    position = models.IntegerField()
    data = EncryptedField()

    class Meta(TenantModel.Meta):
        ordering = ("position",)
        constraints = (
            models.UniqueConstraint(
                fields=("account_id", "export", "position"), name="pulse_export_piece_once"
            ),
        )

    def __str__(self) -> str:
        return f"piece {self.position} of {self.export_id}"

    if TYPE_CHECKING:
        export_id: UUID
