"""How long an account keeps what, how far it was removed, and what may not be removed."""

from __future__ import annotations

from django.db import models

from qcloud.kernel.models import TenantModel


class RetentionChoice(TenantModel):
    """What an account chose in place of the platform's defaults."""

    days = models.JSONField(default=dict)
    """Days by kind; a kind that is missing follows the platform."""
    previous = models.JSONField(default=dict)
    """What held before, and goes on holding where it is longer until ``holds_from``."""
    holds_from = models.DateTimeField()
    chosen_at = models.DateTimeField()
    chosen_by = models.CharField(max_length=254)

    class Meta(TenantModel.Meta):
        constraints = (
            models.UniqueConstraint(fields=("account_id",), name="pulse_retention_choice_once"),
        )

    def __str__(self) -> str:
        return f"{self.account_id}: {self.days}"


class RetentionMark(TenantModel):
    """Everything of the kind before this moment is gone, or about to go: nobody counts it anew.

    It only moves on. Written before anything is deleted.
    """

    kind = models.CharField(max_length=12)
    through = models.DateTimeField()
    """The beginning of a UTC day."""

    class Meta(TenantModel.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=("account_id", "kind"), name="pulse_retention_mark_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.account_id} {self.kind} before {self.through.isoformat()}"


class RunState(models.TextChoices):
    MARKED = "marked", "About to go"
    DONE = "done", "Done"


class RetentionRun(TenantModel):
    """One removal, counted: ``rows_before = rows_deleted + rows_after``."""

    kind = models.CharField(max_length=12)
    through = models.DateTimeField()
    state = models.CharField(max_length=8, choices=RunState.choices, default=RunState.MARKED)
    rows_before = models.BigIntegerField(default=0)
    """Of the kind and before ``through``, when the removal began."""
    rows_deleted = models.BigIntegerField(default=0)
    rows_after = models.BigIntegerField(default=0)
    """What a legal hold kept."""
    marked_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    trouble = models.CharField(max_length=300, blank=True)

    class Meta(TenantModel.Meta):
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("account_id", "kind"),
                condition=models.Q(state="marked"),
                name="pulse_retention_run_one",
            ),
        )

    def __str__(self) -> str:
        return f"{self.account_id} {self.kind} before {self.through.isoformat()}: {self.state}"


class LegalHold(TenantModel):
    """What may not be removed, whatever retention or closing say, until it is lifted in two
    steps.
    """

    environment_id = models.UUIDField(null=True)
    """None: all of the account."""
    since = models.DateTimeField(null=True)
    """None: from the beginning."""
    until = models.DateTimeField(null=True)
    """None: without end."""
    reason = models.CharField(max_length=500)
    set_at = models.DateTimeField()
    set_by = models.CharField(max_length=254)
    release_asked_at = models.DateTimeField(null=True)
    release_asked_by = models.CharField(max_length=254, blank=True)
    release_reason = models.CharField(max_length=500, blank=True)
    released_at = models.DateTimeField(null=True)
    released_by = models.CharField(max_length=254, blank=True)

    class Meta(TenantModel.Meta):
        ordering = ("-id",)
        indexes = (models.Index(fields=("account_id", "released_at"), name="pulse_legal_hold"),)

    def __str__(self) -> str:
        return f"{self.account_id} held since {self.set_at.isoformat()}: {self.reason}"
