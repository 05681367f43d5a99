"""Where an actor acts, and what it may hand on."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

from identity.actors import composed, limit_of, rights
from identity.models import Account, AccountState, Invitation, Membership, Role
from identity.selectors import account_info, scope_of
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound
from qcloud.kernel.permissions import (
    TIER_PERMISSIONS,
    Actor,
    Permission,
    RoleName,
    missing,
    require,
    require_whole_account,
)
from qcloud.kernel.scope import Scope, Tier, scoped, unscoped

Held = Membership | Invitation


def acting(actor: Actor) -> AbstractContextManager[Any]:
    """The actor's scope; system mode for the system itself."""
    if actor.scope is not None:
        return scoped(actor.scope)
    if actor.kind != "system":
        raise Denied("Choose the account that you act for.")
    return unscoped("the system acts on an account")


def row_below(actor: Actor, account_id: UUID) -> Account:
    """An account strictly below the actor's own, locked; for the system any but the first.

    Within ``acting``. Raises ``NotFound``.
    """
    below = Account.objects.select_for_update().filter(id=account_id, parent__isnull=False)
    if actor.scope is not None:
        below = below.exclude(id=actor.scope.account_id)
    row: Account | None = below.first()
    if row is None:
        raise NotFound("There is no such account below yours.")
    return row


def own_place(actor: Actor, account_id: UUID, permission: Permission) -> Scope:
    """The actor's own account, where it may manage people and roles.

    Raises ``Denied``, ``NotFound`` (another account).
    """
    require(actor, permission)
    require_whole_account(actor, "manage its people")
    if actor.scope is None and actor.kind == "system":
        return scope_of(account_id)
    if actor.scope is None or actor.scope.account_id != account_id:
        raise NotFound("There is no such account, or its staff is not yours to manage.")
    return actor.scope


def place_below(actor: Actor, account_id: UUID) -> Scope:
    """An account below the actor's that nobody works for yet, locked for its first owner.

    Raises ``Denied`` (no right, or it has staff), ``NotFound``, ``Conflict`` (closing).
    """
    require(actor, Permission.IDENTITY_ACCOUNT_CREATE)
    # Locked: two first owners named at once would both find the account empty.
    row = Account.objects.select_for_update().filter(id=account_id).first()
    if row is None:
        raise NotFound("There is no such account below yours.")
    place = account_info(row).scope
    if row.state not in {AccountState.ACTIVE, AccountState.SUSPENDED}:
        raise Conflict(f"{row.name} is {row.state}; nobody can join it.")
    with scoped(place):
        if Membership.objects.filter(account_id=place.account_id).exists():
            raise Denied(f"{row.name} has staff of its own; its owners decide who joins.")
    return place


def hold(held: Held, place: Scope, role: str, environments: Collection[UUID] | None = None) -> None:
    """Put a role into a membership or an invitation that is not saved yet.

    ``role`` is the name of a built-in role or the id of one that the account composed;
    ``environments`` limits it. Called in the place's scope. Raises ``Invalid``.
    """
    held.role, held.custom_role = _role(place, role)
    held.environments = None if environments is None else sorted(map(str, set(environments)))
    if environments is None:
        return
    if held.role == RoleName.OWNER:
        raise Invalid(
            "An owner works in the whole account. Choose another role to limit it.",
            fields={"environments": "Leave this empty for an owner."},
        )
    if place.tier is not Tier.CUSTOMER:
        raise Invalid("Only customers have environments.")
    if not environments:
        raise Invalid(
            "Choose at least one environment.",
            fields={"environments": "At least one, or the whole account."},
        )


def _role(place: Scope, name: str) -> tuple[str, Role | None]:
    if name in list(RoleName):
        return name, None
    own = Role.objects.filter(account_id=place.account_id)
    try:
        # Locked: it must neither go nor change between the check and the grant.
        row = own.select_for_update(no_key=True).filter(id=UUID(name)).first()
    except ValueError:
        row = None
    if row is None:
        known = [role.value for role in RoleName] + [r.name for r in own.order_by("name")]
        raise Invalid(f"There is no role “{name[:40]}”. Choose one of: {', '.join(known)}.")
    return "", row


def require_grantable(actor: Actor, place: Scope, held: Held) -> None:
    """Nobody grants, changes or takes away what they lack. Raises ``Denied``."""
    seen = Scope(place.account_id, place.path, place.tier, limit_of(held))
    require_having(actor, rights(seen, held), f"The role “{held.role_label}”")


def require_composable(actor: Actor, place: Scope, names: Collection[str]) -> None:
    """The same for a role itself, whoever holds it or will."""
    wanted = composed(list(names)) & TIER_PERMISSIONS[place.tier]
    require_having(actor, wanted, "This role")


def require_having(actor: Actor, wanted: frozenset[Permission], what: str) -> None:
    lacking = sorted(missing(actor, wanted))
    if lacking:
        raise Denied(
            f"{what} includes “{lacking[0]}”, which you do not have yourself."
            " Ask an owner of the account.",
            lacking=lacking,
        )
