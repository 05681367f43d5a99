"""The tables of second factors, of who needs one, and of passwords that are asked anew."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.db import models
from django_otp.models import Device, ThrottlingMixin, TimestampMixin
from django_otp.oath import TOTP

from qcloud.kernel.clock import now
from qcloud.kernel.models import InternalModel
from qcloud.kernel.sealing import PLATFORM
from vaultsvc.fields import EncryptedField

_MOST_WAITS: Final = 7
"""Failures that lengthen the wait: it doubles from one second to about a minute."""


class _Factor(ThrottlingMixin, TimestampMixin, Device):  # type: ignore[misc]  # untyped
    """A device of django-otp, slowed down by failures."""

    class Meta:
        abstract = True

    def get_throttle_factor(self) -> int:
        return 1

    def throttle_increment(self, commit: bool = True) -> None:  # noqa: FBT001, FBT002  its signature
        if self.throttling_failure_count >= _MOST_WAITS:  # type: ignore[has-type]  # untyped base
            self.throttling_failure_count = _MOST_WAITS - 1
        super().throttle_increment(commit)


class TotpDevice(InternalModel, _Factor):
    """An authenticator app: RFC 6238 with SHA-1, six digits, thirty seconds, as all of them
    understand it. Unconfirmed until a code of it was given.
    """

    seed = EncryptedField(owner=PLATFORM)
    last_t = models.BigIntegerField(default=-1)
    """The step of the last code taken: it and those before it are not taken again."""

    class Meta(InternalModel.Meta):
        constraints = (
            models.UniqueConstraint(fields=("user", "confirmed"), name="identity_totp_once"),
        )

    if TYPE_CHECKING:
        user_id: UUID

    def verify_token(self, token: str) -> bool:
        """Whether ``token`` is right, new, and not tried too soon after a wrong one. The
        caller has locked the row.
        """
        if not self.verify_is_allowed()[0]:
            return False
        totp = TOTP(self.seed.reveal_bytes())
        plain = token.isascii() and token.isdigit() and len(token) == totp.digits
        # One step to either side: clocks differ, and people are slow.
        if not plain or not totp.verify(int(token), tolerance=1, min_t=self.last_t + 1):
            self.throttle_increment()
            return False
        self.last_t = totp.t()
        self.throttle_reset(commit=False)
        self.set_last_used_timestamp(commit=False)
        self.save()
        return True


class RecoveryDevice(InternalModel, _Factor):
    """A person's recovery codes, as hashes. Confirmed when the person has shown that they are
    stored.
    """

    hashes = models.JSONField(default=list)

    class Meta(InternalModel.Meta):
        constraints = (models.UniqueConstraint(fields=("user",), name="identity_recovery_once"),)

    if TYPE_CHECKING:
        user_id: UUID

    def digest(self, code: str) -> str:
        """Salted with the row's id. A code has 80 random bits: no slow hash is needed."""
        return hashlib.sha256(f"{self.id}:{code}".encode("utf-8", "replace")).hexdigest()

    def find(self, code: str) -> str:
        wanted = self.digest(code)
        return next((h for h in self.hashes if hmac.compare_digest(h, wanted)), "")

    def verify_token(self, token: str) -> bool:
        """As ``TotpDevice.verify_token``; a code that was taken is gone."""
        if not self.verify_is_allowed()[0]:
            return False
        found = self.find(token)
        if not found:
            self.throttle_increment()
            return False
        self.hashes = [h for h in self.hashes if h != found]
        self.throttle_reset(commit=False)
        self.set_last_used_timestamp(commit=False)
        self.save()
        return True


class Subject(models.TextChoices):
    """Whom a rule is about."""

    ALL = "all"
    TIER = "tier"
    ACCOUNT = "account"
    GROUP = "group"
    ROLE = "role"


class MfaGroup(InternalModel):
    """People that the provider names together, across accounts."""

    name = models.CharField(max_length=60, unique=True)

    def __str__(self) -> str:
        return self.name


class MfaGroupMember(InternalModel):
    group = models.ForeignKey(MfaGroup, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey("identity.User", on_delete=models.CASCADE, related_name="+")

    class Meta(InternalModel.Meta):
        constraints = (
            models.UniqueConstraint(fields=("group", "user"), name="identity_group_member_once"),
        )

    def __str__(self) -> str:
        return f"{self.user_id} in {self.group_id}"

    if TYPE_CHECKING:
        user_id: UUID
        group_id: UUID


class MfaRule(InternalModel):
    """That a second factor is required of somebody, or explicitly is not by this rule."""

    subject = models.CharField(max_length=8, choices=Subject.choices)
    value = models.CharField(max_length=64, blank=True)
    """A tier, an account's or a group's id, a role's name; empty for all."""
    required = models.BooleanField()
    grace_days = models.PositiveSmallIntegerField(default=0)
    since = models.DateTimeField(default=now)
    made_by = models.CharField(max_length=254)

    class Meta(InternalModel.Meta):
        constraints = (
            models.UniqueConstraint(fields=("subject", "value"), name="identity_mfa_rule_once"),
        )

    def __str__(self) -> str:
        return f"{self.subject} {self.value}"


class MfaExemption(InternalModel):
    """That a person, or an account's staff, needs no second factor for a while."""

    user = models.ForeignKey("identity.User", on_delete=models.CASCADE, null=True, related_name="+")
    exempt_account_id = models.UUIDField(null=True)
    reason = models.CharField(max_length=200)
    ends_at = models.DateTimeField()
    made_at = models.DateTimeField(default=now)
    made_by = models.CharField(max_length=254)

    class Meta(InternalModel.Meta):
        constraints = (
            models.CheckConstraint(
                condition=models.Q(user__isnull=True, exempt_account_id__isnull=False)
                | models.Q(user__isnull=False, exempt_account_id__isnull=True),
                name="identity_exemption_of_one",
            ),
        )

    def __str__(self) -> str:
        return f"until {self.ends_at:%Y-%m-%d}: {self.reason}"

    if TYPE_CHECKING:
        user_id: UUID | None


class PasswordReset(InternalModel):
    """A link that was mailed: works once, for an hour."""

    user = models.ForeignKey("identity.User", on_delete=models.CASCADE, related_name="+")
    token_hash = models.CharField(max_length=64, unique=True)
    portal = models.CharField(max_length=8)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"for {self.user_id} until {self.expires_at:%H:%M}"

    if TYPE_CHECKING:
        user_id: UUID
