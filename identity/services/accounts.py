from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID
from zoneinfo import available_timezones

from django.db import IntegrityError, transaction

from audit.services import record
from identity.models import SLUG_LENGTH, Account, AccountState
from identity.quotas import Quota, count_accounts
from identity.selectors import AccountInfo, account, account_info, root_account
from identity.services.places import acting
from identity.services.quotas import room_for, room_on_platform
from qcloud.kernel.errors import Conflict, Denied, Invalid
from qcloud.kernel.ids import new_id
from qcloud.kernel.permissions import Actor, Permission, require
from qcloud.kernel.scope import Tier, unscoped

_SLUG: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_PARENTS: Final = {
    Tier.CLOUD: frozenset[Tier](),
    Tier.RESELLER: frozenset({Tier.CLOUD}),
    Tier.CUSTOMER: frozenset({Tier.CLOUD, Tier.RESELLER}),
}
"""Resellers have no resellers, customers nobody."""


@dataclass(frozen=True)
class _Wanted:
    name: str
    slug: str
    currency: str
    timezone: str


def platform_create(
    *, actor: Actor, name: str, slug: str, currency: str, timezone: str
) -> AccountInfo:
    """Create the provider's own account, from which everything hangs.

    Raises ``Denied`` for anybody but the system, ``Conflict`` if there is one, ``Invalid``.
    """
    if actor.kind != "system":
        raise Denied("The provider's account is created when the platform is set up.")
    wanted = _checked(name, slug, currency, timezone)
    if root_account() is not None:
        raise Conflict("This platform has its provider account already.")
    with unscoped("the first account has nobody above it"):
        return _insert(actor, Tier.CLOUD, None, wanted)


def account_create(
    *,
    actor: Actor,
    tier: Tier,
    name: str,
    slug: str,
    parent_id: UUID,
    currency: str,
    timezone: str,
) -> AccountInfo:
    """Create a reseller below the provider, or a customer below either.

    ``slug`` is unique on the platform and cannot change: addresses hold it. Raises
    ``Denied`` (no right, or not a place for this tier), ``NotFound`` (the parent is not the
    actor's own account or below it), ``Conflict`` (slug taken, parent not active, no room in
    its quota), ``Invalid``.
    """
    require(actor, Permission.IDENTITY_ACCOUNT_CREATE)
    wanted = _checked(name, slug, currency, timezone)
    with acting(actor):
        parent = _locked_parent(parent_id)
        if parent.tier not in _PARENTS[tier]:
            raise Denied(f"A {parent.tier} account cannot have a {tier} account below it.")
        if parent.state != AccountState.ACTIVE:
            raise Conflict(f"{parent.name} is {parent.state}. Resume it, then create accounts.")
        room_on_platform()
        room_for(parent.scope, Quota.ACCOUNTS, count_accounts)
        return _insert(actor, tier, parent, wanted)


def _locked_parent(parent_id: UUID) -> AccountInfo:
    """Locked: it is neither suspended nor closed while something is created below it."""
    account(parent_id)  # refuses what the actor does not see
    # The policies let nobody write, and so lock, their own account's row.
    with unscoped("the account above a new one is locked"):
        Account.objects.select_for_update(no_key=True).get(id=parent_id)
    return account(parent_id)


def _insert(actor: Actor, tier: Tier, parent: AccountInfo | None, wanted: _Wanted) -> AccountInfo:
    account_id = new_id()
    row = Account(
        id=account_id,
        account_id=account_id,
        account_path=f"{parent.path if parent else '/'}{account_id.hex}/",
        tier=tier,
        parent_id=parent.id if parent else None,
        **_columns(wanted),
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict(f"The short name “{wanted.slug}” is taken. Choose another.") from error
    info = account_info(row)
    record(
        actor=actor,
        action="identity.account.create",
        object_kind="account",
        object_id=account_id,
        scope=info.scope,
        data={"tier": tier, "parent_id": parent.id if parent else None, **_columns(wanted)},
    )
    return info


def _columns(wanted: _Wanted) -> dict[str, Any]:
    return {name: getattr(wanted, name) for name in _Wanted.__dataclass_fields__}


def _checked(name: str, slug: str, currency: str, timezone: str) -> _Wanted:
    fields = _wrong_names(name, timezone)
    if len(slug) > SLUG_LENGTH or not _SLUG.fullmatch(slug):
        fields["slug"] = f"Lower-case letters, digits and single hyphens, at most {SLUG_LENGTH}."
    if not _CURRENCY.fullmatch(currency):
        fields["currency"] = "Three capital letters of ISO 4217, such as EUR."
    if fields:
        raise Invalid("The account cannot be created like this.", fields=fields)
    return _Wanted(name.strip(), slug, currency, timezone)


def checked_names(*, name: str, timezone: str) -> dict[str, object]:
    """What can be changed later on. Raises ``Invalid``."""
    fields = _wrong_names(name, timezone)
    if fields:
        raise Invalid("Nothing was changed.", fields=fields)
    return {"name": name.strip(), "timezone": timezone}


def _wrong_names(name: str, timezone: str) -> dict[str, str]:
    fields = {}
    if not 1 <= len(name.strip()) <= 100 or not name.isprintable():
        fields["name"] = "Between 1 and 100 printable characters."
    if timezone not in available_timezones():
        fields["timezone"] = "A name of the time zone database, such as Europe/Berlin."
    return fields
