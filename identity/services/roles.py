"""Roles that an account composes from the permissions there are."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from audit.services import record
from identity.actors import GUEST, limit_of
from identity.models import Invitation, Membership, Role
from identity.selectors import RoleInfo, role_info
from identity.services.places import Held, hold, own_place, require_composable, require_grantable
from qcloud.kernel.errors import Conflict, Invalid, NotFound
from qcloud.kernel.permissions import TIER_PERMISSIONS, Actor, Permission, RoleName
from qcloud.kernel.scope import Scope, Tier, scoped

MAX_NAME: Final = 60
MAX_DESCRIPTION: Final = 300
MAX_ROLES: Final = 200
RESERVED: Final = frozenset({*(role.value for role in RoleName), GUEST})


def role_create(
    *,
    actor: Actor,
    account_id: UUID,
    name: str,
    description: str = "",
    permissions: Collection[str],
) -> RoleInfo:
    """Compose a role for the actor's account.

    ``permissions`` are values of ``Permission``, within the tier's ceiling and what the actor
    has. Names are unique in the account whatever the case, built-in ones included. Raises
    ``Denied``, ``NotFound``, ``Conflict`` (name taken, too many), ``Invalid``.
    """
    place = own_place(actor, account_id, Permission.IDENTITY_ROLE_WRITE)
    row = Role(account_id=place.account_id, **_checked(place.tier, name, description, permissions))
    require_composable(actor, place, row.permissions)
    with scoped(place):
        if Role.objects.filter(account_id=place.account_id).count() >= MAX_ROLES:
            raise Conflict(f"An account has at most {MAX_ROLES} roles of its own. Delete one.")
        _save(row)
        _record(actor, place, "create", row, {"permissions": row.permissions})
        return role_info(row, holders=0, tier=place.tier)


def role_update(
    *,
    actor: Actor,
    account_id: UUID,
    role_id: UUID,
    name: str,
    description: str = "",
    permissions: Collection[str],
) -> RoleInfo:
    """Change a role for everybody who has it, from their next request on.

    Neither what it held nor what it will hold may include anything that the actor lacks.
    Raises as ``role_create``.
    """
    place = own_place(actor, account_id, Permission.IDENTITY_ROLE_WRITE)
    wanted = _checked(place.tier, name, description, permissions)
    with scoped(place):
        row = _locked(place, role_id)
        before = set(row.permissions)
        require_composable(actor, place, before)
        require_composable(actor, place, wanted["permissions"])
        old_name = row.name
        for key, value in wanted.items():
            setattr(row, key, value)
        _save(row)
        after = set(row.permissions)
        data = {
            "before": old_name,
            "added": sorted(after - before),
            "removed": sorted(before - after),
        }
        _record(actor, place, "update", row, data)
        return role_info(row, holders=_holders(place, row).count(), tier=place.tier)


def role_delete(*, actor: Actor, account_id: UUID, role_id: UUID, move_to: str = "") -> None:
    """Delete a role that nobody has; ``move_to`` names the role that its holders get instead.

    Open invitations count as holders. Raises ``Denied``, ``NotFound``, ``Conflict`` (in use:
    it says by whom), ``Invalid``.
    """
    place = own_place(actor, account_id, Permission.IDENTITY_ROLE_WRITE)
    with scoped(place):
        row = _locked(place, role_id)
        require_composable(actor, place, row.permissions)
        moved = _move(actor, place, row, move_to) if move_to else []
        _refuse_in_use(place, row)
        # Invitations that were accepted or withdrawn keep their place in history without it.
        _closed(place, row).update(custom_role=None)
        _record(actor, place, "delete", row, {"moved": moved[:50], "to": move_to})
        row.delete()


def _move(actor: Actor, place: Scope, row: Role, move_to: str) -> list[str]:
    if move_to in {RoleName.OWNER.value, str(row.id)}:
        raise Invalid("Choose another role: owners are made one by one, on the staff page.")
    people = []
    everybody: list[Held] = [*_holders(place, row), *_open(place, row)]
    for held in everybody:
        hold(held, place, move_to, limit_of(held))
        require_grantable(actor, place, held)
        held.save(update_fields=["role", "custom_role"])
        people.append(_address(held))
    return people


def _address(held: Held) -> str:
    return held.user.email if isinstance(held, Membership) else f"{held.email} (invited)"


def _refuse_in_use(place: Scope, row: Role) -> None:
    everybody: list[Held] = [*_holders(place, row), *_open(place, row)]
    people = [_address(held) for held in everybody]
    if people:
        shown = ", ".join(people[:5]) + (f" and {len(people) - 5} more" if people[5:] else "")
        raise Conflict(
            f"“{row.name}” is in use: {shown}. Give them another role, or choose one here that"
            " they all get instead.",
            holders=people,
        )


def _holders(place: Scope, row: Role) -> QuerySet[Membership]:
    held: QuerySet[Membership] = Membership.objects.filter(
        account_id=place.account_id, custom_role=row
    )
    return held.select_related("user").order_by("user__email")


def _open(place: Scope, row: Role) -> QuerySet[Invitation]:
    asked: QuerySet[Invitation] = Invitation.objects.filter(
        account_id=place.account_id, custom_role=row, accepted_at=None, revoked_at=None
    )
    return asked.order_by("email")


def _closed(place: Scope, row: Role) -> QuerySet[Invitation]:
    asked: QuerySet[Invitation] = Invitation.objects.filter(
        account_id=place.account_id, custom_role=row
    )
    return asked.exclude(accepted_at=None, revoked_at=None)


def _locked(place: Scope, role_id: UUID) -> Role:
    row: Role | None = (
        Role.objects.select_for_update().filter(account_id=place.account_id, id=role_id).first()
    )
    if row is None:
        raise NotFound("There is no such role in this account.")
    return row


def _save(row: Role) -> None:
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise Conflict(
            f"There is a role “{row.name}” already.",
            fields={"name": "Taken, whatever the case of its letters."},
        ) from error


def _record(actor: Actor, place: Scope, verb: str, row: Role, data: dict[str, Any]) -> None:
    record(
        actor=actor,
        action=f"identity.role.{verb}",
        object_kind="role",
        object_id=row.id,
        scope=place,
        data={"name": row.name, **data},
    )


def _checked(
    tier: Tier, name: str, description: str, permissions: Collection[str]
) -> dict[str, Any]:
    """Columns of the role. A name is text and nothing else: pages escape it."""
    fields = {}
    plain = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(plain) <= MAX_NAME or not plain.isprintable():
        fields["name"] = f"Between 1 and {MAX_NAME} printable characters."
    if plain.casefold() in RESERVED:
        fields["name"] = "This is the name of a built-in role. Choose another."
    words = unicodedata.normalize("NFC", description).strip()
    if len(words) > MAX_DESCRIPTION or not words.isprintable():
        fields["description"] = f"At most {MAX_DESCRIPTION} printable characters, in one line."
    known = {p.value for p in TIER_PERMISSIONS[tier]}
    wrong = sorted(set(permissions) - known)
    if wrong:
        fields["permissions"] = f"Not for an account of this kind: {wrong[0][:60]}."
    if not permissions:
        fields["permissions"] = "Choose at least one."
    if fields:
        raise Invalid("The role cannot be like this.", fields=fields)
    return {"name": plain, "description": words, "permissions": sorted(set(permissions))}
