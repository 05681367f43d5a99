from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final
from uuid import UUID

from django.db.models import Case, IntegerField, Q, Value, When
from django.db.models.functions import Lower

from identity.actors import actor_for, actor_in
from identity.infos import (
    AccountInfo,
    Ancestor,
    DelegationInfo,
    GrantInfo,
    InvitationInfo,
    MembershipInfo,
    RoleInfo,
    StaffInfo,
    ViewInfo,
    account_info,
    delegation_info,
    grant_info,
    invitation_info,
    role_info,
    staff_info,
)
from identity.models import (
    Account,
    DelegatedAccess,
    DelegationGrant,
    Invitation,
    Membership,
    Role,
    SavedView,
    TotpDevice,
)
from identity.standing import ids_on
from qcloud.kernel.clock import now
from qcloud.kernel.errors import NotFound
from qcloud.kernel.permissions import ROLES, Actor, Permission, RoleName
from qcloud.kernel.scope import Scope, Tier, scoped, unscoped

__all__ = [
    "AccountInfo",
    "Ancestor",
    "DelegationInfo",
    "GrantInfo",
    "InvitationInfo",
    "MembershipInfo",
    "RoleInfo",
    "StaffInfo",
    "ViewInfo",
    "account_info",
    "actor_for",
    "actor_in",
    "delegation_info",
    "grant_info",
    "invitation_info",
    "role_info",
    "staff_info",
]

_TIER_ORDER: Final = Case(
    *(When(tier=tier.value, then=Value(place)) for place, tier in enumerate(Tier)),
    output_field=IntegerField(),
)
MOST_DELEGATIONS: Final = 5_000
"""As many as a page shows; older ones are in the audit log."""

BUILT_IN: Final = {
    RoleName.OWNER: "Everything the account can do, its people and roles included.",
    RoleName.ADMIN: "Everything but people, roles, and closing or suspending accounts.",
    RoleName.EDITOR: "Reads traffic and payloads; changes environments, alerts and issues.",
    RoleName.VIEWER: "Reads dashboards, payloads, alerts and issues; changes nothing.",
    RoleName.BILLING: "Usage, invoices and prices; no traffic.",
    RoleName.SUPPORT: "Reads without payloads and money; looks into accounts below on request.",
}


def account(account_id: UUID) -> AccountInfo:
    """The account, if the open scope (or system mode) may see it; else ``NotFound``."""
    row = Account.objects.filter(id=account_id).first()
    if row is None:
        raise NotFound("There is no such account, or it is not below yours.")
    return account_info(row)


def door_reads() -> AbstractContextManager[None]:
    """One transaction for what a door asks about one request, in system mode: each question by
    itself would be four statements instead of one.
    """
    return unscoped("a door finds out who comes, and for which account")


def account_by_slug(slug: str) -> AccountInfo | None:
    """In system mode: for a door that has only an address yet."""
    with unscoped("a door finds the account that an address names", savepoint=False):
        row = Account.objects.filter(slug=slug).first()
    return account_info(row) if row else None


def root_account() -> AccountInfo | None:
    """The provider's own account, of tier cloud. ``None`` before the platform is set up."""
    with unscoped("the account that everything hangs from", savepoint=False):
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


def memberships_of(user_id: UUID, within: str = "") -> list[MembershipInfo]:
    """The accounts that the person works for, those whose path begins with ``within``: provider
    first, then by name. In system mode.
    """
    with unscoped("a person chooses among the accounts that it works for"):
        members = Membership.objects.filter(user_id=user_id).select_related("custom_role")
        roles = {member.account_id: member.role_label for member in members}
        rows = list(Account.objects.filter(id__in=roles, account_path__startswith=within))
    tiers = list(Tier)
    rows.sort(key=lambda row: (tiers.index(Tier(row.tier)), row.name.casefold()))
    return [MembershipInfo(account_info(row), roles[row.id]) for row in rows]


SAVED_PAGES: Final = {
    "access": Permission.AUDIT_ACCESS_READ,
    "audit": Permission.AUDIT_LOG_READ,
}
"""Lists whose filters can be kept under a name, and the right to see them."""


def saved_views(actor: Actor, page: str) -> list[ViewInfo]:
    """The person's own in the account it acts for, by name."""
    if actor.scope is None:
        return []
    with scoped(actor.scope):
        rows = SavedView.objects.filter(user_id=actor.id, page=page).order_by("name")
        return [ViewInfo(row.id, row.name, row.query) for row in rows]


def account_name(scope: Scope) -> str:
    """In system mode: for a mail to somebody who may have left it."""
    with unscoped("the scope that a task or a token acts in"):
        return account(scope.account_id).name


def find_memberships(
    user_id: UUID, text: str, limit: int, within: str = ""
) -> list[MembershipInfo]:
    """At most ``limit`` of the accounts that the person works for, whose name or short name
    has every word of ``text`` and whose path begins with ``within``: provider first, then by
    name, with the names above. In system mode. Three queries, whatever the number of accounts.
    """
    with unscoped("a person chooses among the accounts that it works for", savepoint=False):
        members = Membership.objects.filter(user_id=user_id)
        held_ids = members.values("account_id")
        query = Account.objects.filter(id__in=held_ids, account_path__startswith=within)
        for word in text.split():
            query = query.filter(Q(name__icontains=word) | Q(slug__icontains=word))
        rows = list(query.order_by(_TIER_ORDER, Lower("name"), "id")[:limit])
        held = members.filter(account_id__in=[row.id for row in rows])
        roles = {m.account_id: m.role_label for m in held.select_related("custom_role")}
        names = _names_above(rows)
    return [
        MembershipInfo(account_info(row), roles[row.id], tuple(names[i] for i in _above(row)))
        for row in rows
        if row.id in roles
    ]


def _above(row: Account) -> list[UUID]:
    return ids_on(row.account_path)[:-1]


def _names_above(rows: list[Account]) -> dict[UUID, str]:
    wanted = {account_id for row in rows for account_id in _above(row)}
    return dict(Account.objects.filter(id__in=wanted).values_list("id", "name"))


def tiers_open_to(user_id: UUID, email: str, within: str = "") -> list[Tier]:
    """In whose portals the person has something to do: where it works, where it looks on as a
    guest, else where it is invited; among accounts whose path begins with ``within``. In system
    mode.
    """
    worked = [membership.account.tier for membership in memberships_of(user_id, within)]
    with unscoped("somebody who is invited signs in to agree"):
        guest = DelegatedAccess.objects.filter(
            user_id=user_id, ended_at=None, expires_at__gt=now()
        ).values_list("account_id", flat=True)
        here = Account.objects.filter(account_path__startswith=within)
        rows = here.filter(id__in=guest)
        worked += [Tier(tier) for tier in rows.values_list("tier", flat=True)]
        asked = Invitation.objects.filter(
            email=email, accepted_at=None, revoked_at=None, expires_at__gt=now()
        )
        rows = here.filter(id__in=asked.values_list("account_id", flat=True))
        invited = [Tier(tier) for tier in rows.values_list("tier", flat=True)]
    return list(dict.fromkeys([*worked, *invited]))


def staff(scope: Scope) -> list[StaffInfo]:
    """The people who work for the scope's own account, by name."""
    with scoped(scope):
        rows = list(
            Membership.objects.filter(account_id=scope.account_id)
            .select_related("user", "custom_role")
            .order_by("user__name", "user__email")
        )
    with unscoped("whether the people of an account have a second factor"):
        found = TotpDevice.objects.filter(confirmed=True, user_id__in=[r.user_id for r in rows])
        proved = set(found.values_list("user_id", flat=True))
    return [replace(staff_info(row), has_factor=row.user_id in proved) for row in rows]


def roles(scope: Scope) -> list[RoleInfo]:
    """The account's roles: built-in ones, then its own by name."""
    with scoped(scope):
        members = Membership.objects.filter(account_id=scope.account_id)
        held = Counter(members.values_list("role", "custom_role_id"))
        own = list(Role.objects.filter(account_id=scope.account_id).order_by("name"))
    built_in = [
        RoleInfo(
            key=name.value,
            name=name.value,
            description=BUILT_IN[name],
            permissions=ROLES[scope.tier][name],
            built_in=True,
            holders=held[name.value, None],
        )
        for name in RoleName
    ]
    return built_in + [role_info(row, holders=held["", row.id], tier=scope.tier) for row in own]


def invitations(scope: Scope) -> list[InvitationInfo]:
    """Those of the scope's own account, the newest first."""
    with scoped(scope):
        rows = list(
            Invitation.objects.filter(account_id=scope.account_id).select_related("custom_role")
        )
    return [invitation_info(row) for row in rows]


def delegations(scope: Scope) -> list[DelegationInfo]:
    """Delegated access to the account and those below it, the newest first."""
    with scoped(scope):
        rows = list(DelegatedAccess.objects.all()[:MOST_DELEGATIONS])
    return [delegation_info(row) for row in rows]


def delegation_to(scope: Scope, delegation_id: UUID) -> DelegationInfo:
    """One of ``delegations``. Raises ``NotFound``."""
    with scoped(scope):
        row = DelegatedAccess.objects.filter(id=delegation_id).first()
    if row is None:
        raise NotFound("There is no such delegated access to an account of yours.")
    return delegation_info(row)


def last_delegation(user_id: UUID, account_id: UUID) -> DelegationInfo | None:
    """The person's latest look into the account, over or not. In system mode, for a door that
    says why it is shut.
    """
    with unscoped("a door tells a former guest that its time is up"):
        row = DelegatedAccess.objects.filter(user_id=user_id, account_id=account_id).first()
    return delegation_info(row) if row else None


def delegation_grants(scope: Scope) -> list[GrantInfo]:
    """What the scope's own account granted guests, the newest first."""
    with scoped(scope):
        rows = list(DelegationGrant.objects.filter(account_id=scope.account_id))
    return [grant_info(row) for row in rows]


def ancestors(scope: Scope) -> list[Ancestor]:
    """The accounts above, nearest first: their names, which the account knows from invoices."""
    ids = [UUID(part) for part in scope.path.strip("/").split("/")[:-1]]
    with unscoped("an account names those above it that it lets in"):
        rows = {row.id: row for row in Account.objects.filter(id__in=ids)}
    return [Ancestor(i, rows[i].name, Tier(rows[i].tier)) for i in reversed(ids) if i in rows]
