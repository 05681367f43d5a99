"""Rules, the incidents they made, and silences."""

from __future__ import annotations

from django.db import models

from qcloud.kernel.models import TenantModel


class Severity(models.TextChoices):
    INFO = "info", "Info"
    WARNING = "warning", "Warning"
    CRITICAL = "critical", "Critical"


class Phase(models.TextChoices):
    OK = "ok", "OK"
    PENDING = "pending", "Pending"
    FIRING = "firing", "Firing"
    NO_DATA = "no_data", "No data"


class AlertRule(TenantModel):
    """What is watched, and where its evaluation stands."""

    name = models.CharField(max_length=100)
    enabled = models.BooleanField(default=True)
    environment_id = models.UUIDField(null=True)
    """None: all of the account."""
    severity = models.CharField(max_length=8, choices=Severity.choices)
    spec = models.JSONField()
    """``pulse.alerts.rules.Spec``: measure, filter, window, threshold, times."""
    channels = models.JSONField(default=list)
    """Ids of notify's channels."""
    escalation_channels = models.JSONField(default=list)
    phase = models.CharField(max_length=8, choices=Phase.choices, default=Phase.OK)
    progress = models.JSONField(default=dict)
    """``pulse.alerts.machine.Progress`` after ``evaluated_at``."""
    value = models.FloatField(null=True)
    """The last reading; none without data."""
    evaluated_at = models.DateTimeField()
    """Watermark: the last minute that was evaluated."""
    trouble = models.CharField(max_length=300, blank=True)
    """Why the last evaluation did not succeed."""
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=254)

    class Meta(TenantModel.Meta):
        ordering = ("name", "id")
        constraints = (
            models.UniqueConstraint(fields=("account_id", "name"), name="pulse_alert_rule_name"),
        )

    def __str__(self) -> str:
        return f"{self.name}: {self.phase}"


class Incident(TenantModel):
    """A rule that fired, from alert to recovery."""

    rule_id = models.UUIDField(db_index=True)
    environment_id = models.UUIDField(null=True)
    rule_name = models.CharField(max_length=100)
    severity = models.CharField(max_length=8, choices=Severity.choices)
    started_at = models.DateTimeField()
    """When the condition began to hold."""
    fired_at = models.DateTimeField()
    recovered_at = models.DateTimeField(null=True)
    no_data = models.BooleanField(default=False)
    first_value = models.FloatField(null=True)
    worst_value = models.FloatField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=254, blank=True)
    told = models.IntegerField(default=0)
    """Notifications sent, recovery left out."""
    escalated = models.BooleanField(default=False)
    silenced = models.BooleanField(default=False)
    """Somebody would have been told, had nobody silenced it."""
    closed_reason = models.CharField(max_length=100, blank=True)
    """Why it ended without recovering: the rule was changed, switched off or removed."""

    class Meta(TenantModel.Meta):
        ordering = ("-started_at", "-id")
        constraints = (
            models.UniqueConstraint(
                fields=("account_id", "rule_id", "fired_at"), name="pulse_incident_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.rule_name} {self.started_at.isoformat()}"


class Silence(TenantModel):
    """A time in which what matches is noted and nobody is told."""

    rule_id = models.UUIDField(null=True)
    """None: every rule."""
    severity = models.CharField(max_length=8, blank=True)
    environment_id = models.UUIDField(null=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=300)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=254)

    class Meta(TenantModel.Meta):
        ordering = ("-ends_at", "-id")

    def __str__(self) -> str:
        return f"silence until {self.ends_at.isoformat()}: {self.reason}"
