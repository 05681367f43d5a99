"""“View as”: somebody of an account above looks into one below, for a reason and a time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from audit.services import record
from identity import policies
from identity.actors import composed, running
from identity.limits import PORTALS
from identity.models import (
    Account,
    AccountState,
    DelegatedAccess,
    DelegationGrant,
    Membership,
    User,
)
from identity.selectors import (
    DelegationInfo,
    GrantInfo,
    account,
    ancestors,
    delegation_info,
    grant_info,
)
from identity.services.places import require_having
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound
from qcloud.kernel.permissions import (
    NEVER_DELEGATED,
    TIER_PERMISSIONS,
    Actor,
    Permission,
    require,
    require_fresh,
    require_whole_account,
)
from qcloud.kernel.scope import Scope, scoped, unscoped
from qcloud.kernel.settings import value

MIN_REASON: Final = 10
MAX_REASON: Final = 500
MAX_TICKET: Final = 100
LONGEST_GRANT: Final = timedelta(days=366)


def delegation_start(
    *, actor: Actor, account_id: UUID, reason: str, ticket: str, minutes: int
) -> DelegationInfo:
    """Look into an account strictly below the actor's own, from now on for ``minutes``.

    Read-only and without payloads, unless that account granted more. Its staff see who looked,
    why, and what was opened. Asks for a fresh proof of identity.

    Raises ``Denied``, ``StepUpNeeded``, ``NotFound`` (not below), ``Conflict`` (works there, or
    looks already; the account is closing), ``Invalid``.
    """
    require(actor, Permission.IDENTITY_DELEGATION_START)
    home, person = _home(actor), _person(actor)
    wanted = _wanted(reason, ticket, minutes)
    require_fresh(actor)
    with scoped(home):
        target = account(account_id)
        if target.id == home.account_id:
            raise NotFound("There is no such account below yours.")
        if target.state not in {AccountState.ACTIVE, AccountState.SUSPENDED}:
            raise Conflict(f"{target.name} is {target.state}; nobody looks into it any more.")
        _refuse_known(person, target.id)
        row = DelegatedAccess(
            account_id=target.id,
            account_path=target.path,
            user_id=person,
            user_label=actor.label,
            home_id=home.account_id,
            home_path=home.path,
            home_name=account(home.account_id).name,
            started_at=now(),
            expires_at=now() + timedelta(minutes=minutes),
            **wanted,
        )
        row.save(force_insert=True)
        data = {"ticket": row.ticket, "expires_at": row.expires_at, "delegation": str(row.id)}
        _record(actor, target.scope, "start", row, data, reason=row.reason)
        return delegation_info(row)


def delegation_end(*, actor: Actor, delegation_id: UUID) -> DelegationInfo:
    """End delegated access: the guest itself, staff of the account it looks into who may grant
    access, or staff above with the right to look.

    Raises ``Denied``, ``NotFound``, ``Conflict`` (over already).
    """
    with scoped(_home(actor)):
        row: DelegatedAccess | None = (
            DelegatedAccess.objects.select_for_update().filter(id=delegation_id).first()
        )
        if row is None:
            raise NotFound("There is no such delegated access to an account of yours.")
        _require_end(actor, row)
        if row.ended_at is not None or row.expires_at <= now():
            raise Conflict("This access is over already.")
        row.ended_at, row.ended_by = now(), actor.label
        row.save(update_fields=["ended_at", "ended_by"])
        place = account(row.account_id).scope
        data = {"guest": row.user_label, "delegation": str(row.id)}
        _record(actor, place, "end", row, data)
        return delegation_info(row)


def delegations_leave(
    *, user: User, portal: str, ip: str, request_id: str
) -> tuple[DelegationInfo, ...]:
    """The person signs out of a portal: its looks from there, or into there, end."""
    with unscoped("a person signs out, and its looks end"):
        rows = DelegatedAccess.objects.select_for_update().filter(
            user_id=user.id, ended_at=None, expires_at__gt=now()
        )
        ended = []
        for row in rows.order_by("id"):
            home, place = account(row.home_id), account(row.account_id)
            if PORTALS[portal] not in {home.tier, place.tier}:
                continue
            row.ended_at, row.ended_by = now(), row.user_label
            row.save(update_fields=["ended_at", "ended_by"])
            actor = Actor("staff", user.id, user.email, home.scope, frozenset(), "", ip, request_id)
            data = {"guest": row.user_label, "delegation": str(row.id)}
            _record(actor, place.scope, "end", row, data, reason="signed out")
            ended.append(delegation_info(row))
    return tuple(ended)


def delegation_grant_create(
    *,
    actor: Actor,
    grantee_id: UUID,
    permissions: Collection[str],
    ends_at: datetime,
    reason: str = "",
) -> GrantInfo:
    """Let guests from one account above do more than look, until ``ends_at``.

    ``permissions`` within the tier's ceiling, what the actor has, and never what would let a
    guest stay. Raises ``Denied``, ``StepUpNeeded``, ``NotFound`` (not above), ``Invalid``.
    """
    require(actor, Permission.IDENTITY_DELEGATION_GRANT)
    require_whole_account(actor, "grant access")
    place = _home(actor)
    wanted = _grantable(place, permissions)
    require_having(actor, wanted, "This")
    require_fresh(actor)
    above = {info.id: info for info in ancestors(place)}
    if grantee_id not in above:
        raise NotFound("There is no such account above yours.")
    if not now() < ends_at <= now() + LONGEST_GRANT:
        raise Invalid(
            "The grant needs an end.", fields={"ends_at": "In the future, within a year."}
        )
    with scoped(place):
        row = DelegationGrant(
            account_id=place.account_id,
            grantee_id=grantee_id,
            grantee_name=above[grantee_id].name,
            permissions=sorted(wanted),
            reason=_text(reason, 0, "reason"),
            granted_by=actor.label,
            ends_at=ends_at,
        )
        row.save(force_insert=True)
        data = {"to": row.grantee_name, "permissions": row.permissions, "ends_at": ends_at}
        _record(actor, place, "grant", row, data, reason=row.reason)
        return grant_info(row)


def delegation_grant_revoke(*, actor: Actor, grant_id: UUID) -> GrantInfo:
    """Guests only look again, from their next request on. Raises ``Denied``, ``NotFound``,
    ``Conflict`` (over already).
    """
    require(actor, Permission.IDENTITY_DELEGATION_GRANT)
    place = _home(actor)
    with scoped(place):
        row: DelegationGrant | None = (
            DelegationGrant.objects.select_for_update()
            .filter(account_id=place.account_id, id=grant_id)
            .first()
        )
        if row is None:
            raise NotFound("There is no such grant in this account.")
        if row.revoked_at is not None or row.ends_at <= now():
            raise Conflict("This grant is over already.")
        row.revoked_at, row.revoked_by = now(), actor.label
        row.save(update_fields=["revoked_at", "revoked_by"])
        _record(actor, place, "grant_revoke", row, {"to": row.grantee_name})
        return grant_info(row)


def _home(actor: Actor) -> Scope:
    if actor.scope is None:
        raise Denied("Choose the account that you act for.")
    return actor.scope


def _person(actor: Actor) -> UUID:
    if actor.id is None:
        raise Denied("Only people look into accounts, so that each look has a name.")
    return actor.id


def _wanted(reason: str, ticket: str, minutes: int) -> dict[str, str]:
    fields = {}
    longest = value(policies.DELEGATION_LONGEST)
    if not timedelta(0) < timedelta(minutes=minutes) <= longest:
        fields["minutes"] = f"Between 1 and {longest // timedelta(minutes=1)} minutes."
    for name, text, least, most in (
        ("reason", reason, MIN_REASON, MAX_REASON),
        ("ticket", ticket, 1, MAX_TICKET),
    ):
        plain = text.strip()
        if not least <= len(plain) <= most or not plain.isprintable():
            fields[name] = f"Between {least} and {most} printable characters."
    if fields:
        raise Invalid("Say why you look, for which ticket and for how long.", fields=fields)
    return {"reason": reason.strip(), "ticket": ticket.strip()}


def _text(text: str, least: int, name: str) -> str:
    plain = text.strip()
    if not least <= len(plain) <= MAX_REASON or not (plain.isprintable()):
        raise Invalid(
            "The reason cannot be like this.",
            fields={name: f"At most {MAX_REASON} printable characters."},
        )
    return plain


def _refuse_known(person: UUID, account_id: UUID) -> None:
    with unscoped("whether a guest works for the account, or looks into it already"):
        # Locked: two starts at once would both find none running.
        Account.objects.select_for_update().get(id=account_id)
        member = Membership.objects.filter(user_id=person, account_id=account_id).exists()
        known = running(person, account_id)
    if member:
        raise Conflict("You work for this account yourself. Open it from the account menu.")
    if known is not None:
        raise Conflict(f"You look into it already, until {known.expires_at:%H:%M} UTC.")


def _require_end(actor: Actor, row: DelegatedAccess) -> None:
    if actor.id == row.user_id:
        return
    inside = actor.scope is not None and actor.scope.account_id == row.account_id
    right = Permission.IDENTITY_DELEGATION_GRANT if inside else Permission.IDENTITY_DELEGATION_START
    require(actor, right)


def _grantable(place: Scope, names: Collection[str]) -> frozenset[Permission]:
    wanted = composed(list(names))
    allowed = TIER_PERMISSIONS[place.tier] - NEVER_DELEGATED
    if not wanted or len(wanted) != len(set(names)) or wanted - allowed:
        raise Invalid(
            "This cannot be granted to guests.",
            fields={"permissions": "At least one, and none that would let a guest stay."},
        )
    return wanted


def _record(
    actor: Actor,
    place: Scope,
    verb: str,
    row: DelegatedAccess | DelegationGrant,
    data: dict[str, Any],
    *,
    reason: str = "",
) -> None:
    with transaction.atomic():
        record(
            actor=actor,
            action=f"identity.delegation.{verb}",
            object_kind="delegation" if isinstance(row, DelegatedAccess) else "delegation_grant",
            object_id=row.id,
            scope=place,
            reason=reason,
            data=data,
        )
