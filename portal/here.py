"""Where the reader is: portal, account, rights; what every template knows as ``here``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse

from identity.mfa import Demand
from identity.selectors import AccountInfo, MembershipInfo, find_memberships
from identity.services import break_glass_now
from portal.hosts import site_of
from portal.nav import MENUS, Group, Item
from portal.sessions import PREFIX_OF, portal_of
from qcloud.kernel.permissions import Actor, Delegation, Permission
from qcloud.kernel.scope import Scope, Tier

PORTAL_NAMES = {"c": "Customer", "r": "Reseller", "admin": "Cloud administration"}


@dataclass(frozen=True)
class MenuLink:
    item: Item
    href: str
    is_current: bool


@dataclass(frozen=True)
class Here:
    portal: str
    account: AccountInfo
    actor: Actor
    path: str
    user_id: UUID
    within: str = ""
    """Where the paths of accounts begin that this host name shows."""
    grace_ends: datetime | None = None
    """When a second factor becomes due, while it can still be put off."""
    exempt_until: datetime | None = None
    """When the rules may want one, because an exemption ends."""

    @property
    def asked_again(self) -> datetime | None:
        """When the clock alone may change what the door says of a second factor."""
        return min(filter(None, (self.grace_ends, self.exempt_until)), default=None)

    @classmethod
    def of(cls, request: HttpRequest, account: AccountInfo, actor: Actor, demand: Demand) -> Here:
        return cls(
            portal_of(request.path),
            account,
            actor,
            request.path,
            user_id_of(request),
            site_of(request).path,
            demand.due,
            demand.exempt_until,
        )

    @property
    def scope(self) -> Scope:
        """The account as the reader may see it, limited to environments if the reader is."""
        return self.actor.scope or self.account.scope

    @property
    def portal_name(self) -> str:
        return PORTAL_NAMES[self.portal]

    @property
    def is_read_only(self) -> bool:
        """Suspended or closing; ``account.state`` says which."""
        return self.actor.suspended or self.actor.closing

    @property
    def guest(self) -> Delegation | None:
        """Set while somebody of an account above looks on."""
        return self.actor.delegation

    @property
    def may_look(self) -> bool:
        """Whether the reader may ask for delegated access to accounts below."""
        return self.may_write(Permission.IDENTITY_DELEGATION_START)

    def may(self, permission: Permission) -> bool:
        return permission in self.actor.permissions

    def may_write(self, permission: Permission) -> bool:
        return self.may(permission) and not self.is_read_only

    def url(self, name: str, *args: Any) -> str:
        """The address of a page of this portal and account."""
        own = () if self.portal == "admin" else (self.account.slug,)
        return reverse(f"{self.portal}:{name}", args=(*own, *args))

    @cached_property
    def break_glass(self) -> list[str]:
        """Who is in the cloud administration by the break-glass door; told to all there."""
        return break_glass_now() if self.portal == "admin" else []

    @cached_property
    def home(self) -> str:
        return self.url("overview")

    @cached_property
    def menu(self) -> list[tuple[Group, list[MenuLink]]]:
        """Groups with the pages that the reader's role opens."""
        groups = []
        for group in MENUS[self.portal]:
            links = [self._link(item) for item in group.items if self.may(item.permission)]
            if links:
                groups.append((group, links))
        return groups

    def _link(self, item: Item) -> MenuLink:
        href = self.url(item.name)
        exact = href == self.home
        is_current = self.path == href if exact else self.path.startswith(href)
        return MenuLink(item, href, is_current)

    @cached_property
    def memberships(self) -> list[MembershipInfo]:
        """The first of the reader's accounts: one more than the switcher shows unasked."""
        return find_memberships(self.user_id, "", 9, self.within)


def user_id_of(request: HttpRequest) -> UUID:
    """Of somebody who has signed in."""
    user = request.user
    if not isinstance(user.pk, UUID):
        raise TypeError("nobody has signed in; ask is_authenticated first")
    return user.pk


def home_of(account: AccountInfo) -> str:
    """Where an account's own pages begin."""
    prefix = PREFIX_OF[account.tier]
    args = () if account.tier is Tier.CLOUD else (account.slug,)
    return reverse(f"{prefix}:overview", args=args)
