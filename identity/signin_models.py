"""The tables of signing in: sessions, the access log, known devices, guards against guessing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.db.models import Q

from qcloud.kernel.clock import now
from qcloud.kernel.ids import new_id
from qcloud.kernel.models import InternalModel, SubtreeModel, TenantModel
from qcloud.kernel.rls import RowClass

MAX_USER_AGENT = 256
MAX_USER_NAME = 254
MAX_REASON = 200


class Stage(models.TextChoices):
    """How far a person has come in."""

    FACTOR = "factor"
    """The password was right; the second factor is asked."""
    ENROL = "enrol"
    """A second factor must be set up first: no page but the set-up opens."""
    FULL = "full"


class Session(AbstractBaseSession):
    """A browser session of one portal. ``session_key`` is the SHA-256 of the cookie, so that
    whoever reads the table cannot enter with what it holds.
    """

    row_class: ClassVar[RowClass] = RowClass.INTERNAL

    session_key = models.CharField(max_length=64, primary_key=True)
    public_id = models.UUIDField(default=new_id)
    """Names the session on pages; opens nothing."""
    user = models.ForeignKey("identity.User", on_delete=models.CASCADE, null=True, related_name="+")
    portal = models.CharField(max_length=8, blank=True)
    site_id = models.UUIDField(null=True)
    """The account by whose host name it was begun; ``None``: by one of the platform's own."""
    stage = models.CharField(max_length=8, choices=Stage.choices, default=Stage.FULL)
    factor = models.CharField(max_length=16, blank=True)
    """What the person proved itself with: ``password``, ``totp``, ``recovery``."""
    begun_at = models.DateTimeField(default=now)
    seen_at = models.DateTimeField(default=now)
    proved_at = models.DateTimeField(null=True)
    ip = models.CharField(max_length=64, blank=True)
    user_agent = models.CharField(max_length=MAX_USER_AGENT, blank=True)
    tries = models.SmallIntegerField(default=0)
    """Wrong second factors so far."""
    break_glass = models.BooleanField(default=False)

    class Meta(AbstractBaseSession.Meta):
        abstract = False
        constraints = (models.UniqueConstraint("public_id", name="identity_session_public"),)
        indexes = (models.Index(fields=("user", "-seen_at"), name="identity_session_user"),)

    if TYPE_CHECKING:
        user_id: UUID | None


class AccessOutcome(models.TextChoices):
    ALLOWED = "allowed"
    DENIED = "denied"
    FAILED = "failed"


class AccessEvent(SubtreeModel):
    """One attempt to get in, or one end of being in. Never changed; forgotten by age alone.

    ``account_id`` is the account that the person works for in that portal, so that its staff
    and those above read it; the provider's for names that nobody bears.
    """

    at = models.DateTimeField(default=now)
    event = models.CharField(max_length=24)
    outcome = models.CharField(max_length=8, choices=AccessOutcome.choices)
    reason = models.CharField(max_length=MAX_REASON, blank=True)
    user_id = models.UUIDField(null=True)
    user_name = models.CharField(max_length=MAX_USER_NAME)
    portal = models.CharField(max_length=8, blank=True)
    factor = models.CharField(max_length=16, blank=True)
    ip = models.CharField(max_length=64, blank=True)
    user_agent = models.CharField(max_length=MAX_USER_AGENT, blank=True)
    place = models.CharField(max_length=100, blank=True)
    """Country and city, where the operator gave a location database."""
    latitude = models.FloatField(null=True)
    longitude = models.FloatField(null=True)
    flags = models.JSONField(default=list)
    """Anomalies: ``[{"kind": "spray", "why": "…"}]``."""
    session_id = models.UUIDField(null=True)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta(SubtreeModel.Meta):
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("account_id", "-id"), name="identity_access_account"),
            models.Index(fields=("user_id", "-id"), name="identity_access_user"),
            models.Index(fields=("ip", "-id"), name="identity_access_ip"),
            models.Index(fields=("-id",), name="identity_access_flagged", condition=~Q(flags=[])),
        )

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%dT%H:%M:%SZ} {self.user_name} {self.event} {self.outcome}"


class KnownDevice(InternalModel):
    """A browser that a person signed in with before: its cookie, hashed."""

    user = models.ForeignKey("identity.User", on_delete=models.CASCADE, related_name="+")
    token_hash = models.CharField(max_length=64)
    first_seen = models.DateTimeField(default=now)
    last_seen = models.DateTimeField(default=now)

    class Meta(InternalModel.Meta):
        constraints = (
            models.UniqueConstraint(fields=("user", "token_hash"), name="identity_device_once"),
        )

    def __str__(self) -> str:
        return f"a browser of {self.user_id}"

    if TYPE_CHECKING:
        user_id: UUID


class NameGuard(InternalModel):
    """Failures on one user name since its last success, whether anybody bears it or not."""

    user_name = models.CharField(max_length=MAX_USER_NAME, unique=True)
    failures = models.IntegerField(default=0)
    since = models.DateTimeField(default=now)
    locked_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.user_name}: {self.failures} failures"


class SavedView(TenantModel):
    """A list's filter that a person gave a name, in one account."""

    user_id = models.UUIDField()
    page = models.CharField(max_length=24)
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=1_000)

    class Meta(TenantModel.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=("account_id", "user_id", "page", "name"), name="identity_view_once"
            ),
        )

    def __str__(self) -> str:
        return self.name
