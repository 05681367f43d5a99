from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.db.models.functions import Lower

from identity.signin_models import (
    AccessEvent,
    AccessOutcome,
    KnownDevice,
    NameGuard,
    Session,
    Stage,
)
from qcloud.kernel.models import InternalModel, SubtreeModel, TenantModel
from qcloud.kernel.permissions import RoleName
from qcloud.kernel.scope import Tier

__all__ = [
    "AccessEvent",
    "AccessOutcome",
    "Account",
    "AccountState",
    "KnownDevice",
    "Membership",
    "NameGuard",
    "Session",
    "Stage",
    "User",
]

SLUG_LENGTH = 40


class AccountState(models.TextChoices):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    """Its staff read and change nothing; what its agents send is still taken and counted."""
    CLOSING = "closing"


class Account(SubtreeModel):
    """A node of the tenant tree. ``account_id`` is its own id, ``account_path`` its place.

    The database lets a scope write the accounts below it and not its own, so nobody lifts
    their own suspension; its check constraints tie the path to the id and the parent's id.
    """

    tier = models.CharField(max_length=8, choices=[(t.value, t.value) for t in Tier])
    parent: models.ForeignKey[Account | None, Account | None] = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, related_name="+"
    )
    slug = models.CharField(max_length=SLUG_LENGTH, unique=True)
    name = models.CharField(max_length=100)
    state = models.CharField(
        max_length=9, choices=AccountState.choices, default=AccountState.ACTIVE
    )
    currency = models.CharField(max_length=3)
    timezone = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        parent_id: UUID | None

    class Meta(SubtreeModel.Meta):
        ordering = ("account_path",)
        constraints = (
            models.UniqueConstraint(
                "tier", condition=models.Q(tier=Tier.CLOUD), name="identity_account_one_cloud"
            ),
            models.CheckConstraint(
                condition=models.Q(account_id=models.F("id")), name="identity_account_own_id"
            ),
        )
        indexes = (models.Index(fields=("account_path",), name="identity_account_path"),)

    def __str__(self) -> str:
        return self.slug


class User(AbstractBaseUser, InternalModel):
    """A person. One login, whatever the number of accounts it works for.

    A scope reads the people who are its members; only system mode writes.
    """

    email = models.CharField(max_length=254)
    name = models.CharField(max_length=100)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta(InternalModel.Meta):
        constraints = (models.UniqueConstraint(Lower("email"), name="identity_user_email"),)

    def __str__(self) -> str:
        return self.email


class Membership(TenantModel):
    """That a person works for an account, and in which role."""

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    role = models.CharField(max_length=16, choices=[(r.value, r.value) for r in RoleName])
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        user_id: UUID

    class Meta(TenantModel.Meta):
        constraints = (
            models.UniqueConstraint(fields=("account_id", "user"), name="identity_membership_once"),
        )

    def __str__(self) -> str:
        return f"{self.user_id} is {self.role} of {self.account_id}"
