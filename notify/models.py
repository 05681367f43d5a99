"""What was to be delivered, and every attempt at it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from qcloud.kernel.models import TenantModel
from vaultsvc.fields import EncryptedField

MAX_KEY = 200
MAX_WHAT = 64
MAX_TO = 254
MAX_SUBJECT = 250
MAX_REASON = 500


class Kind(models.TextChoices):
    MAIL = "mail"
    WEBHOOK = "webhook"
    SLACK = "slack"


class State(models.TextChoices):
    WAITING = "waiting"
    """For its first attempt, or for the next one."""
    SENDING = "sending"
    """A worker has it until ``next_at``; then it counts as lost and is sent again."""
    SENT = "sent"
    FAILED = "failed"
    """Given up: refused for good, or not taken in time."""


class Delivery(TenantModel):
    """One message to one address. ``PLATFORM`` owns what belongs to no single account."""

    kind = models.CharField(max_length=8, choices=Kind.choices)
    key = models.CharField(max_length=MAX_KEY)
    """The caller's business key: asked for twice, sent once."""
    what = models.CharField(max_length=MAX_WHAT)
    """The template or the event."""
    to = models.CharField(max_length=MAX_TO)
    """A mail address, or the host of a webhook: its whole URL may be a secret."""
    subject = models.CharField(max_length=MAX_SUBJECT, blank=True)
    channel_id = models.UUIDField(null=True)
    payload = EncryptedField(null=True)
    """The rendered message, sealed. Gone once it was delivered."""
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    attempts = models.IntegerField(default=0)
    next_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=MAX_REASON, blank=True)
    """Why the last attempt failed, in words."""

    class Meta(TenantModel.Meta):
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(fields=("account_id", "key"), name="notify_delivery_once"),
        )
        indexes = (
            models.Index(fields=("account_id", "-id"), name="notify_delivery_account"),
            models.Index(
                fields=("next_at",),
                condition=Q(state__in=("waiting", "sending")),
                name="notify_delivery_due",
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.what} to {self.to}: {self.state}"


class Attempt(TenantModel):
    """One try of a delivery, and what the other side said."""

    delivery_id = models.UUIDField(db_index=True)
    number = models.IntegerField()
    at = models.DateTimeField()
    duration_ms = models.IntegerField()
    outcome = models.CharField(max_length=9)
    """``sent``, ``temporary`` or ``permanent``."""
    status = models.IntegerField(default=0)
    """SMTP or HTTP status; 0 when there was no answer."""
    answer = models.CharField(max_length=MAX_REASON, blank=True)
    """The first bytes of it."""

    class Meta(TenantModel.Meta):
        ordering = ("id",)

    def __str__(self) -> str:
        return f"attempt {self.number}: {self.outcome} {self.status}"


class Channel(TenantModel):
    """Where an account wants to be told things."""

    kind = models.CharField(max_length=8, choices=Kind.choices)
    name = models.CharField(max_length=100)
    target = EncryptedField()
    """JSON: ``{"addresses": […]}`` or ``{"url": …}``. A Slack address is itself a secret."""
    shown = models.CharField(max_length=MAX_TO)
    """What lists show of it: addresses, or the host and the last four characters."""
    secret = EncryptedField(null=True)
    """Signs webhooks."""
    old_secret = EncryptedField(null=True)
    """The one before it, which signs as well until ``old_secret_until``."""
    old_secret_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=254)

    class Meta(TenantModel.Meta):
        ordering = ("name", "id")
        constraints = (
            models.UniqueConstraint(fields=("account_id", "name"), name="notify_channel_name_once"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"
