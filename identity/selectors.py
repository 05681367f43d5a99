from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from identity.models import Account, AccountState, Membership, User
from qcloud.kernel.errors import NotFound
from qcloud.kernel.permissions import ROLES, Actor, RoleName
from qcloud.kernel.scope import Scope, Tier, scoped, unscoped

if TYPE_CHECKING:
    from identity.sessions import Nobody


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

    @property
    def scope(self) -> Scope:
        return Scope(self.id, self.path, self.tier)


@dataclass(frozen=True)
class MembershipInfo:
    account: AccountInfo
    role: str


@dataclass(frozen=True)
class StaffInfo:
    user_id: UUID
    email: str
    name: str
    role: str
    is_active: bool
    since: datetime
    last_login: datetime | None


def account(account_id: UUID) -> AccountInfo:
    """The account, if the open scope (or system mode) may see it; else ``NotFound``."""
    row = Account.objects.filter(id=account_id).first()
    if row is None:
        raise NotFound("There is no such account, or it is not below yours.")
    return account_info(row)


def account_by_slug(slug: str) -> AccountInfo | None:
    """In system mode: for a door that has only an address yet."""
    with unscoped("a door finds the account that an address names"):
        row = Account.objects.filter(slug=slug).first()
    return account_info(row) if row else None


def root_account() -> AccountInfo | None:
    """The provider's own account, of tier cloud. ``None`` before the platform is set up."""
    with unscoped("the account that everything hangs from"):
        row = Account.objects.filter(tier=Tier.CLOUD).first()
    return account_info(row) if row else None


def scope_of(account_id: UUID) -> Scope:
    """In system mode: for a task or a token that names an account. Raises ``NotFound``."""
    with unscoped("the scope that a task or a token acts in"):
        return account(account_id).scope


def children(scope: Scope) -> list[AccountInfo]:
    """All accounts below the scope's own, parents before their children, else by name."""
    with scoped(scope):
        rows = list(Account.objects.exclude(id=scope.account_id))
    infos = [account_info(row) for row in rows]
    names = {info.id: info.name.casefold() for info in infos}
    return sorted(
        infos,
        key=lambda i: (
            (names[i.parent_id], 1, i.name.casefold())
            if i.parent_id in names
            else (i.name.casefold(), 0, "")
        ),
    )


def memberships_of(user_id: UUID) -> list[MembershipInfo]:
    """The accounts that the person works for: provider first, then by name. In system mode."""
    with unscoped("a person chooses among the accounts that it works for"):
        roles = dict(Membership.objects.filter(user_id=user_id).values_list("account_id", "role"))
        rows = list(Account.objects.filter(id__in=roles))
    tiers = list(Tier)
    rows.sort(key=lambda row: (tiers.index(Tier(row.tier)), row.name.casefold()))
    return [MembershipInfo(account_info(row), roles[row.id]) for row in rows]


def actor_for(user: User | Nobody, account_slug: str, *, ip: str, request_id: str) -> Actor | None:
    """The person as it acts for the account; ``None`` for a stranger to it.

    Read from the database at each call, so that a change of role, a removal or a suspension
    holds from the next request on.
    """
    if not user.is_active or user.id is None:
        return None
    with unscoped("whether a person works for the account that an address names"):
        row = Account.objects.filter(slug=account_slug).first()
        members = Membership.objects.filter(user_id=user.id)
        member = members.filter(account_id=row.id).first() if row else None
    if row is None or member is None:
        return None
    scope = account_info(row).scope
    return Actor(
        kind="staff",
        id=user.id,
        label=user.email,
        scope=scope,
        permissions=ROLES[scope.tier][RoleName(member.role)],
        role=member.role,
        ip=ip,
        request_id=request_id,
        suspended=row.state == AccountState.SUSPENDED,
        closing=row.state == AccountState.CLOSING,
    )


def staff(scope: Scope) -> list[StaffInfo]:
    """The people who work for the scope's own account, by name."""
    with scoped(scope):
        rows = list(
            Membership.objects.filter(account_id=scope.account_id)
            .select_related("user")
            .order_by("user__name", "user__email")
        )
    return [staff_info(row) for row in rows]


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
    )


def staff_info(row: Membership) -> StaffInfo:
    return StaffInfo(
        user_id=row.user_id,
        email=row.user.email,
        name=row.user.name,
        role=row.role,
        is_active=row.user.is_active,
        since=row.created_at,
        last_login=row.user.last_login,
    )
