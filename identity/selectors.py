from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address
from uuid import UUID

from identity.actors import actor_for
from identity.models import Account, Membership
from qcloud.kernel.errors import NotFound
from qcloud.kernel.scope import Scope, Tier, scoped, unscoped
from qcloud.kernel.settings.kinds import Network, Networks

__all__ = ["actor_for"]


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
        members = Membership.objects.filter(user_id=user_id).select_related("custom_role")
        roles = {member.account_id: member.role_label for member in members}
        rows = list(Account.objects.filter(id__in=roles))
    tiers = list(Tier)
    rows.sort(key=lambda row: (tiers.index(Tier(row.tier)), row.name.casefold()))
    return [MembershipInfo(account_info(row), roles[row.id]) for row in rows]


def staff(scope: Scope) -> list[StaffInfo]:
    """The people who work for the scope's own account, by name."""
    with scoped(scope):
        rows = list(
            Membership.objects.filter(account_id=scope.account_id)
            .select_related("user", "custom_role")
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
        allow_list=row.allow_list,
    )


def staff_info(row: Membership) -> StaffInfo:
    return StaffInfo(
        user_id=row.user_id,
        email=row.user.email,
        name=row.user.name,
        role=row.role_label,
        is_active=row.user.is_active,
        since=row.created_at,
        last_login=row.user.last_login,
    )
