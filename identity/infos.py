"""What the selectors return, and how a row becomes it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address
from uuid import UUID

from identity.actors import composed, limit_of
from identity.models import Account, DelegatedAccess, DelegationGrant, Invitation, Membership, Role
from qcloud.kernel.clock import now
from qcloud.kernel.permissions import TIER_PERMISSIONS, Permission
from qcloud.kernel.scope import Scope, Tier
from qcloud.kernel.settings.kinds import Network, Networks


@dataclass(frozen=True)
class AccountInfo:
    id: UUID
    slug: str
    name: str
    tier: Tier
    parent_id: UUID | None
    path: str
    state: str
    """``active``, ``suspended`` or ``closing``."""
    currency: str
    """ISO 4217."""
    timezone: str
    """IANA name."""
    allow_list: str = ""
    """Networks, one a line; empty: entered from everywhere."""

    @property
    def scope(self) -> Scope:
        return Scope(self.id, self.path, self.tier)

    def admits(self, ip: str) -> bool:
        """Whether the account's portal may be entered from this address."""
        if not self.allow_list:
            return True
        try:
            address = ip_address(ip)
        except ValueError:
            return False
        return any(address in network for network in _networks(self.allow_list))


@lru_cache(maxsize=1_024)
def _networks(text: str) -> tuple[Network, ...]:
    return Networks().parse(text)


@dataclass(frozen=True)
class MembershipInfo:
    account: AccountInfo
    role: str
    above: tuple[str, ...] = ()
    """Names of the accounts above, the topmost first; where they were asked for."""


@dataclass(frozen=True)
class StaffInfo:
    user_id: UUID
    email: str
    name: str
    role: str
    """Its name."""
    role_key: str
    """What services take: the name of a built-in role, the id of one of the account's own."""
    environments: frozenset[UUID] | None
    """That the role is limited to; ``None``: the whole account."""
    is_active: bool
    since: datetime
    last_login: datetime | None
    has_factor: bool = False
    """A second factor is set up; where it was asked for."""


@dataclass(frozen=True)
class RoleInfo:
    """A role of the account: a built-in one or one that it composed."""

    key: str
    """What services take."""
    name: str
    description: str
    permissions: frozenset[Permission]
    built_in: bool
    holders: int
    """People who have it."""


@dataclass(frozen=True)
class InvitationInfo:
    id: UUID
    account_id: UUID
    email: str
    name: str
    role: str
    role_key: str
    environments: frozenset[UUID] | None
    invited_by: str
    sent_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    revoked_at: datetime | None

    @property
    def state(self) -> str:
        """``accepted``, ``withdrawn``, ``expired`` or ``open``."""
        if self.accepted_at:
            return "accepted"
        if self.revoked_at:
            return "withdrawn"
        return "expired" if self.expires_at <= now() else "open"


@dataclass(frozen=True)
class DelegationInfo:
    """Somebody of an account above looked into this one."""

    id: UUID
    account_id: UUID
    user_id: UUID
    user_label: str
    home_id: UUID
    home_name: str
    reason: str
    ticket: str
    started_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    ended_by: str

    @property
    def is_running(self) -> bool:
        return self.ended_at is None and self.expires_at > now()

    @property
    def until(self) -> datetime:
        """When it ended, or will."""
        return self.ended_at or self.expires_at


@dataclass(frozen=True)
class GrantInfo:
    """What an account lets guests of one above do beyond looking."""

    id: UUID
    grantee_id: UUID
    grantee_name: str
    permissions: frozenset[Permission]
    reason: str
    granted_by: str
    created_at: datetime
    ends_at: datetime
    revoked_at: datetime | None
    revoked_by: str

    @property
    def is_in_force(self) -> bool:
        return self.revoked_at is None and self.ends_at > now()


@dataclass(frozen=True)
class Ancestor:
    """What an account may know of one above it."""

    id: UUID
    name: str
    tier: Tier


@dataclass(frozen=True)
class ViewInfo:
    id: UUID
    name: str
    query: str


def delegation_info(row: DelegatedAccess) -> DelegationInfo:
    names = DelegationInfo.__dataclass_fields__
    return DelegationInfo(**{name: getattr(row, name) for name in names})


def grant_info(row: DelegationGrant) -> GrantInfo:
    names = set(GrantInfo.__dataclass_fields__) - {"permissions"}
    plain = {name: getattr(row, name) for name in names}
    return GrantInfo(**plain, permissions=composed(row.permissions))


def role_info(row: Role, *, holders: int, tier: Tier) -> RoleInfo:
    return RoleInfo(
        key=str(row.id),
        name=row.name,
        description=row.description,
        permissions=composed(row.permissions) & TIER_PERMISSIONS[tier],
        built_in=False,
        holders=holders,
    )


def invitation_info(row: Invitation) -> InvitationInfo:
    return InvitationInfo(
        id=row.id,
        account_id=row.account_id,
        email=row.email,
        name=row.name,
        role=row.role_label,
        role_key=row.role or str(row.custom_role_id),
        environments=limit_of(row),
        invited_by=row.invited_by_label,
        sent_at=row.sent_at,
        expires_at=row.expires_at,
        accepted_at=row.accepted_at,
        revoked_at=row.revoked_at,
    )


def account_info(row: Account) -> AccountInfo:
    return AccountInfo(
        id=row.id,
        slug=row.slug,
        name=row.name,
        tier=Tier(row.tier),
        parent_id=row.parent_id,
        path=row.account_path,
        state=row.state,
        currency=row.currency,
        timezone=row.timezone,
        allow_list=row.allow_list,
    )


def staff_info(row: Membership) -> StaffInfo:
    return StaffInfo(
        user_id=row.user_id,
        email=row.user.email,
        name=row.user.name,
        role=row.role_label,
        role_key=row.role or str(row.custom_role_id),
        environments=limit_of(row),
        is_active=row.user.is_active,
        since=row.created_at,
        last_login=row.user.last_login,
    )
