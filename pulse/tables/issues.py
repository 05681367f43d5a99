"""What broke, since when, and who looks after it."""

from __future__ import annotations

from django.db import models

from qcloud.kernel.models import TenantModel


class IssueKind(models.TextChoices):
    ERRORS = "errors", "Errors"
    LATENCY = "latency", "Latency"
    NEW_STATUS = "new_status", "New status"
    REPORTED = "reported", "Reported by a rule"
    CERTIFICATE = "certificate", "Certificate expires"
    OVERFLOW = "overflow", "Too many to list"


class IssueSeverity(models.TextChoices):
    """As of alerts."""

    INFO = "info", "Info"
    WARNING = "warning", "Warning"
    CRITICAL = "critical", "Critical"


class IssueState(models.TextChoices):
    OPEN = "open"
    RESOLVED = "resolved"
    IGNORED = "ignored"
    """Counted, and nobody is told; until ``ignored_until`` if that is set."""


class Issue(TenantModel):
    """Everything alike: one environment, host, route and kind."""

    fingerprint = models.CharField(max_length=32)
    kind = models.CharField(max_length=12, choices=IssueKind.choices)
    environment_id = models.UUIDField()
    host = models.CharField(max_length=1_024, blank=True)
    route = models.CharField(max_length=8_192, blank=True)
    """Path template; empty: the whole host; without a host the whole environment."""
    status = models.IntegerField(default=0)
    """Of a new status."""
    rule = models.CharField(max_length=1_024, blank=True, db_default="")
    """Of ``detect_errors`` in the agent's configuration that reported it."""
    severity = models.CharField(
        max_length=8,
        choices=IssueSeverity.choices,
        default=IssueSeverity.WARNING,
        db_default=IssueSeverity.WARNING.value,
    )
    cause = models.CharField(max_length=300)
    """One sentence with the figures of the last time that it was seen."""
    state = models.CharField(max_length=8, choices=IssueState.choices, default=IssueState.OPEN)
    ignored_until = models.DateTimeField(null=True)
    assignee_id = models.UUIDField(null=True)
    assignee = models.CharField(max_length=254, blank=True)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    opened_at = models.DateTimeField()
    """When it was last found new or come back."""
    resolved_at = models.DateTimeField(null=True)
    """Watermark: only what happens after it makes the issue come back."""
    regressions = models.IntegerField(default=0)
    count = models.BigIntegerField(default=0)
    """Requests that were affected, the sum of ``IssueHour``."""

    class Meta(TenantModel.Meta):
        ordering = ("-last_seen", "-id")
        constraints = (
            models.UniqueConstraint(fields=("account_id", "fingerprint"), name="pulse_issue_once"),
        )
        indexes = (
            models.Index(fields=("account_id", "state", "-last_seen"), name="pulse_issue_list"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.host}{self.route}: {self.state}"


class IssueHour(TenantModel):
    """How many requests an issue affected in one hour; counted anew, never added to."""

    issue_id = models.UUIDField()
    environment_id = models.UUIDField()
    hour = models.DateTimeField()
    count = models.BigIntegerField()

    class Meta(TenantModel.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=("account_id", "issue_id", "hour"), name="pulse_issue_hour_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.issue_id} {self.hour.isoformat()}: {self.count}"


class IssueActivity(TenantModel):
    """Who did what to an issue, the platform included."""

    issue_id = models.UUIDField(db_index=True)
    environment_id = models.UUIDField()
    at = models.DateTimeField()
    who = models.CharField(max_length=254)
    what = models.CharField(max_length=16)
    """``found``, ``worsened``, ``regressed``, ``assigned``, ``resolved``, ``reopened``,
    ``ignored``, ``noted``."""
    text = models.CharField(max_length=2_000, blank=True)

    class Meta(TenantModel.Meta):
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.at.isoformat()} {self.who} {self.what}"
