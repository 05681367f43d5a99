"""Usage as it was at a billing cut-off."""

from __future__ import annotations

from django.db import models

from qcloud.kernel.models import SubtreeModel


class UsageFreeze(SubtreeModel):
    """An account's usage hours of a range at one moment; the database lets nobody change it."""

    reference = models.CharField(max_length=100)
    """What it was frozen for, in the words of whoever asked: an invoice's id."""
    since = models.DateTimeField()
    until = models.DateTimeField()
    hours = models.IntegerField()
    document = models.TextField()
    """The hours in their canonical form, ``pulse.metering.freezing``."""
    digest = models.CharField(max_length=64)
    previous = models.CharField(max_length=64, blank=True)
    """The digest of the account's freeze before this one; empty: this is the first."""
    number = models.BigIntegerField()
    """From 1, in the account's chain."""
    created_at = models.DateTimeField()

    class Meta(SubtreeModel.Meta):
        constraints = (
            models.UniqueConstraint(fields=("account_id", "reference"), name="pulse_freeze_once"),
            models.UniqueConstraint(fields=("account_id", "number"), name="pulse_freeze_number"),
        )

    def __str__(self) -> str:
        return f"{self.account_id} #{self.number} {self.digest[:12]}"
