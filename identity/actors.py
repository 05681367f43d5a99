"""A person as it acts for an account: read from the database at each call, kept nowhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from identity.models import (
    Account,
    AccountState,
    DelegatedAccess,
    DelegationGrant,
    Invitation,
    Membership,
    User,
)
from identity.standing import standing_of
from qcloud.kernel.clock import now
from qcloud.kernel.permissions import (
    LIMITABLE,
    ROLES,
    TIER_PERMISSIONS,
    Actor,
    Delegation,
    Permission,
    RoleName,
    delegated,
)
from qcloud.kernel.scope import Scope, Tier, unscoped

if TYPE_CHECKING:
    from identity.sessions import Nobody

GUEST = "guest"
"""Role of whoever looks on from an account above."""


def actor_for(
    user: User | Nobody,
    account_slug: str,
    *,
    ip: str,
    request_id: str,
    proved_at: datetime | None = None,
) -> Actor | None:
    """As ``actor_in``, of the account with that short name; ``None`` also where there is none."""
    with unscoped("whether a person works for the account that an address names", savepoint=False):
        row = Account.objects.filter(slug=account_slug).first()
        if row is None:
            return None
        whole = Scope(row.id, row.account_path, Tier(row.tier))
        return actor_in(user, whole, ip=ip, request_id=request_id, proved_at=proved_at)


def actor_in(
    user: User | Nobody,
    account: Scope,
    *,
    ip: str,
    request_id: str,
    proved_at: datetime | None = None,
) -> Actor | None:
    """The person as it acts for the account; ``None`` for a stranger to it.

    A member acts by its role; somebody of an account above who opened delegated access acts as
    a guest while that lasts. Read from the database at each call, so that a change of role, a
    removal, a suspension or the end of delegated access holds from the next request on.
    """
    if not user.is_active or user.id is None:
        return None
    with unscoped("whether a person works for the account that an address names", savepoint=False):
        standing = standing_of(account.path)
        found = None if standing.is_gone else _place(user.id, account)
    if found is None:
        return None
    return Actor(
        kind="staff",
        id=user.id,
        label=user.email,
        scope=found.scope,
        permissions=found.permissions,
        role=found.role,
        ip=ip,
        request_id=request_id,
        suspended=standing.is_suspended,
        closing=standing.is_closing,
        delegation=found.delegation,
        proved_at=proved_at,
    )


@dataclass(frozen=True)
class _Found:
    scope: Scope
    permissions: frozenset[Permission]
    role: str
    delegation: Delegation | None = None


def _place(user_id: UUID, account: Scope) -> _Found | None:
    member = member_row(user_id, account.account_id)
    if member is None:
        return _guest(user_id, account)
    scope = replace(account, environments=limit_of(member))
    return _Found(scope, rights(scope, member), member.role_label)


def member_row(user_id: UUID, account_id: UUID) -> Membership | None:
    row: Membership | None = (
        Membership.objects.select_related("custom_role")
        .filter(user_id=user_id, account_id=account_id)
        .first()
    )
    return row


def scope_in(account: Account, place: Membership | Invitation) -> Scope:
    """The account as somebody with this place in it sees it."""
    return Scope(account.id, account.account_path, Tier(account.tier), limit_of(place))


def limit_of(place: Membership | Invitation) -> frozenset[UUID] | None:
    if place.environments is None:
        return None
    return frozenset(UUID(text) for text in place.environments)


def rights(scope: Scope, place: Membership | Invitation) -> frozenset[Permission]:
    """What a place in the account gives: never more than the tier's ceiling, and where it is
    limited to environments only what concerns those.
    """
    if place.custom_role is not None:
        named = composed(place.custom_role.permissions) & TIER_PERMISSIONS[scope.tier]
    else:
        named = ROLES[scope.tier][RoleName(place.role)]
    return named if scope.environments is None else named & LIMITABLE


def composed(names: list[str]) -> frozenset[Permission]:
    """A name that the platform does not know (any more) gives nothing."""
    known = {permission.value: permission for permission in Permission}
    return frozenset(known[name] for name in names if name in known)


def _guest(user_id: UUID, scope: Scope) -> _Found | None:
    access = running(user_id, scope.account_id)
    home = Account.objects.filter(id=access.home_id).first() if access else None
    if access is None or home is None or not may_look(user_id, home):
        return None
    member = member_row(user_id, home.id)
    if member is None:
        return None
    home_scope = scope_in(home, member)
    given = granted(scope.account_id, home.id)
    return _Found(
        scope,
        delegated(rights(home_scope, member), scope.tier, given),
        GUEST,
        Delegation(
            id=access.id,
            home=home_scope,
            home_slug=home.slug,
            home_name=home.name,
            reason=access.reason,
            ticket=access.ticket,
            expires_at=access.expires_at,
        ),
    )


def running(user_id: UUID, account_id: UUID) -> DelegatedAccess | None:
    """The person's delegated access to the account, unless its time is up or it was ended."""
    row: DelegatedAccess | None = DelegatedAccess.objects.filter(
        user_id=user_id, account_id=account_id, ended_at=None, expires_at__gt=now()
    ).first()
    return row


def may_look(user_id: UUID, home: Account) -> bool:
    """Whether the person may (still) look into accounts below ``home``."""
    member = member_row(user_id, home.id)
    if member is None or home.state != AccountState.ACTIVE:
        return False
    allowed = rights(scope_in(home, member), member)
    return Permission.IDENTITY_DELEGATION_START in allowed


def granted(account_id: UUID, home_id: UUID) -> frozenset[Permission]:
    """What the account's standing grants give guests from ``home`` on top of looking."""
    rows = DelegationGrant.objects.filter(
        account_id=account_id, grantee_id=home_id, revoked_at=None, ends_at__gt=now()
    )
    return frozenset[Permission]().union(*(composed(row.permissions) for row in rows))
