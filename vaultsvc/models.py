"""Wrapped data keys, shredded owners and the progress of rewrapping. No key in the clear."""

from __future__ import annotations

from django.db import models

from qcloud.kernel.models import InternalModel

MAX_LABEL = 254


class Purpose(models.TextChoices):
    SEAL = "seal"
    """Seals values; replaced by rotation."""
    INDEX = "index"
    """Blind indexes: one for good, because equal values must stay equal."""


class State(models.TextChoices):
    ACTIVE = "active"
    SUPERSEDED = "superseded"
    """Opens what it sealed, seals nothing more."""
    DESTROYED = "destroyed"
    """Nothing is left of it; the row says that it was."""


class DataKey(InternalModel):
    """A data key as its keeper wrapped it. ``id`` stands in the header of what it sealed."""

    owner = models.UUIDField()
    purpose = models.CharField(max_length=8, choices=Purpose.choices)
    state = models.CharField(max_length=12, choices=State.choices, default=State.ACTIVE)
    wrapped = models.BinaryField()
    """``WrappedKey.blob``; empty when destroyed."""
    key_version = models.IntegerField()
    """Of the owner's wrapping key."""
    created_at = models.DateTimeField(auto_now_add=True)
    superseded_at = models.DateTimeField(null=True)

    class Meta(InternalModel.Meta):
        indexes = (models.Index(fields=("owner", "state"), name="vaultsvc_datakey_owner"),)
        constraints = (
            models.UniqueConstraint(
                fields=("owner", "purpose"),
                condition=models.Q(state=State.ACTIVE),
                name="vaultsvc_datakey_one_active",
            ),
        )

    def __str__(self) -> str:
        return f"{self.purpose} key {self.id} of {self.owner}, {self.state}"


class ShreddedOwner(InternalModel):
    """A tombstone: the owner's keys are gone, and none are made for it again."""

    owner = models.UUIDField(unique=True)
    slug = models.CharField(max_length=40)
    shredded_at = models.DateTimeField(auto_now_add=True)
    shredded_by = models.CharField(max_length=MAX_LABEL)

    class Meta(InternalModel.Meta):
        ordering = ("-shredded_at",)

    def __str__(self) -> str:
        return f"{self.slug} shredded {self.shredded_at:%Y-%m-%d}"


class Run(InternalModel):
    """One walk over every sealed value, sealing anew what an older data key sealed.

    ``column`` and ``cursor`` say how far it came: a run that was killed goes on from there.
    """

    owner = models.UUIDField(null=True)
    """``None``: of every owner."""
    rotates = models.BooleanField(default=False)
    """First every owner whose key is older than the run gets a new one."""
    started_at = models.DateTimeField(auto_now_add=True)
    started_by = models.CharField(max_length=MAX_LABEL)
    finished_at = models.DateTimeField(null=True)
    total = models.BigIntegerField(default=0)
    done = models.BigIntegerField(default=0)
    """Owners rotated and values looked at, of ``total``."""
    rotated = models.BigIntegerField(default=0)
    """Owners with a new key."""
    resealed = models.BigIntegerField(default=0)
    broken = models.BigIntegerField(default=0)
    """Values and data keys that do not open; they are left as they are, and named in the
    journal and in the log.
    """
    column = models.CharField(max_length=130, blank=True)
    """``table.column`` it is in; empty before the first."""
    cursor = models.TextField(blank=True)
    """Primary key of the last row looked at in it."""

    class Meta(InternalModel.Meta):
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("finished_at",),
                condition=models.Q(finished_at=None),
                nulls_distinct=False,
                name="vaultsvc_run_one_going",
            ),
        )

    def __str__(self) -> str:
        return f"rewrap {self.started_at:%Y-%m-%d}: {self.done} of {self.total}"
