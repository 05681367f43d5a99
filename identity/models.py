from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.db.models.functions import Lower

from identity.brand_models import Brand
from identity.erasure_models import ErasureStep
from identity.mfa_models import (
    MfaExemption,
    MfaGroup,
    MfaGroupMember,
    MfaRule,
    PasswordReset,
    RecoveryDevice,
    Subject,
    TotpDevice,
)
from identity.signin_models import (
    AccessEvent,
    AccessOutcome,
    KnownDevice,
    NameGuard,
    SavedView,
    Session,
    Stage,
)
from identity.takeout_models import Takeout, TakeoutPiece, TakeoutState
from qcloud.kernel.models import InternalModel, SubtreeModel, TenantModel
from qcloud.kernel.permissions import RoleName
from qcloud.kernel.scope import Tier

__all__ = [
    "AccessEvent",
    "AccessOutcome",
    "Account",
    "AccountState",
    "Brand",
    "ErasureStep",
    "KnownDevice",
    "Membership",
    "MfaExemption",
    "MfaGroup",
    "MfaGroupMember",
    "MfaRule",
    "NameGuard",
    "PasswordReset",
    "RecoveryDevice",
    "SavedView",
    "Session",
    "Stage",
    "Subject",
    "Takeout",
    "TakeoutPiece",
    "TakeoutState",
    "TotpDevice",
    "User",
]

SLUG_LENGTH = 40


class AccountState(models.TextChoices):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    """Its staff read and change nothing; what its agents send is still taken and counted."""
    CLOSING = "closing"
    """Read-only until ``erase_at``; until then whoever closed it can take that back."""
    ERASING = "erasing"
    """Nobody gets in; room after room forgets it. There is no way back."""
    CLOSED = "closed"
    """Erased. The row stays, so that invoices and journals go on naming somebody."""


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

    state_since = models.DateTimeField(null=True)
    """When the state last changed; null: it never did."""
    state_by = models.CharField(max_length=254, blank=True)
    state_reason = models.CharField(max_length=500, blank=True)
    state_before = models.CharField(max_length=9, blank=True)
    """Of an account that is closing: what it goes back to."""
    erase_at = models.DateTimeField(null=True)
    held_by_path = models.TextField(blank=True, default="", db_default="")
    """Of the topmost account that suspended or closed this one: nobody below it undoes that."""

    allow_list = models.TextField(blank=True)
    """Networks that its portal is entered from, one a line; empty: from everywhere."""
    quota_accounts = models.BigIntegerField(null=True)
    quota_environments = models.BigIntegerField(null=True)
    quota_agents = models.BigIntegerField(null=True)
    quota_staff = models.BigIntegerField(null=True)
    quota_events = models.BigIntegerField(null=True)

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


class Role(TenantModel):
    """A role that an account composed for its staff, beside the built-in ones."""

    name = models.CharField(max_length=60)
    description = models.CharField(max_length=300, blank=True)
    permissions: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    """Sorted values of ``Permission``. The tier's ceiling is applied at each use."""
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta(TenantModel.Meta):
        constraints = (
            models.UniqueConstraint("account_id", Lower("name"), name="identity_role_name_once"),
            models.UniqueConstraint(fields=("account_id", "id"), name="identity_role_pair"),
        )

    def __str__(self) -> str:
        return self.name


class _Place(TenantModel):
    """A role in an account: a built-in one or one of its own, in all environments or some."""

    role = models.CharField(
        max_length=16, choices=[(r.value, r.value) for r in RoleName], blank=True
    )
    """Empty: ``custom_role``."""
    custom_role: models.ForeignKey[Role | None, Role | None] = models.ForeignKey(
        Role, on_delete=models.PROTECT, null=True, related_name="+", db_constraint=False
    )
    environments: models.JSONField[list[str] | None, list[str] | None] = models.JSONField(null=True)
    """Ids of environments; null: all there are and will be."""

    if TYPE_CHECKING:
        custom_role_id: UUID | None

    class Meta(TenantModel.Meta):
        abstract = True

    @property
    def role_label(self) -> str:
        return self.custom_role.name if self.custom_role else self.role


class Membership(_Place):
    """That a person works for an account, and in which role."""

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        user_id: UUID

    class Meta(_Place.Meta):
        abstract = False
        constraints = (
            models.UniqueConstraint(fields=("account_id", "user"), name="identity_membership_once"),
            models.CheckConstraint(
                condition=models.Q(role="", custom_role__isnull=False)
                | (~models.Q(role="") & models.Q(custom_role__isnull=True)),
                name="identity_membership_one_role",
            ),
        )

    def __str__(self) -> str:
        return f"{self.user_id} is {self.role or self.custom_role_id} of {self.account_id}"


class Invitation(_Place):
    """That somebody is asked to work for an account. The token itself is in the mail alone."""

    email = models.CharField(max_length=254)
    name = models.CharField(max_length=100, blank=True)
    token_hash = models.CharField(max_length=64, unique=True)
    """SHA-256, hexadecimal. 256 random bits need neither salt nor slowness."""
    invited_by = models.UUIDField(null=True)
    """A person; null: the platform itself."""
    invited_by_label = models.CharField(max_length=254)
    inviter_account_id = models.UUIDField(null=True)
    """For which account that person acted: this one, or one above it."""
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.UUIDField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta(_Place.Meta):
        abstract = False
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("account_id", "email"),
                condition=models.Q(accepted_at=None, revoked_at=None),
                name="identity_invitation_open_once",
            ),
        )

    def __str__(self) -> str:
        return f"{self.email} to {self.account_id}"


class DelegatedAccess(SubtreeModel):
    """“View as”: a person of an account above looked into this one, from when to when, why."""

    user_id = models.UUIDField()
    user_label = models.CharField(max_length=254)
    home_id = models.UUIDField()
    home_path = models.TextField()
    home_name = models.CharField(max_length=100)
    """As it was then: accounts cannot look above themselves."""
    reason = models.CharField(max_length=500)
    ticket = models.CharField(max_length=100)
    started_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=254, blank=True)

    class Meta(SubtreeModel.Meta):
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("account_id", "-id"), name="identity_delegated_account"),
            models.Index(fields=("user_id", "account_id"), name="identity_delegated_person"),
        )

    def __str__(self) -> str:
        return f"{self.user_label} in {self.account_id}"


class DelegationGrant(TenantModel):
    """What an account lets guests of one account above do beyond looking, and until when."""

    grantee_id = models.UUIDField()
    grantee_name = models.CharField(max_length=100)
    permissions: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    reason = models.CharField(max_length=500, blank=True)
    granted_by = models.CharField(max_length=254)
    created_at = models.DateTimeField(auto_now_add=True)
    ends_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.CharField(max_length=254, blank=True)

    class Meta(TenantModel.Meta):
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.grantee_name} in {self.account_id}"
