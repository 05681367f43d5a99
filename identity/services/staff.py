from __future__ import annotations

from uuid import UUID

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator, validate_email
from django.db import IntegrityError, transaction

from audit.services import record
from identity.models import Account, AccountState, Membership, User
from identity.quotas import Quota, count_staff
from identity.selectors import StaffInfo, account_info, scope_of, staff_info
from identity.services.places import acting, require_grantable, role_named
from identity.services.quotas import room_for
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound
from qcloud.kernel.permissions import Actor, Permission, RoleName, require
from qcloud.kernel.scope import Scope, scoped, unscoped


def staff_create(
    *, actor: Actor, account_id: UUID, email: str, name: str, role: str, password: str
) -> StaffInfo:
    """Let a person work for an account.

    Within the actor's own account, with a role that includes nothing the actor lacks. In an
    account below it only the first owner, which belongs to creating the account: from then
    on it manages itself. A person who has a login already keeps its name and password;
    those given here are then not used, so that nobody takes over a login by naming it.

    Raises ``Denied``, ``NotFound``, ``Conflict`` (works there already), ``Invalid``.
    """
    wanted = role_named(role)
    with acting(actor):
        place = _place(actor, account_id, wanted)
        with scoped(place):
            user = _person(email, name, password)
            row = _join(place, user, wanted)
            record(
                actor=actor,
                action="identity.staff.create",
                object_kind="user",
                object_id=user.id,
                scope=place,
                data={"email": user.email, "role": wanted},
            )
            return staff_info(row)


def staff_role_set(*, actor: Actor, account_id: UUID, user_id: UUID, role: str) -> StaffInfo:
    """Give a member of the actor's account another role, from its next request on.

    Raises ``Denied`` (either role includes what the actor lacks), ``NotFound``, ``Conflict``
    (the last owner).
    """
    wanted = role_named(role)
    place = _own_place(actor, account_id)
    with scoped(place):
        row = _member(place, user_id)
        require_grantable(actor, place.tier, RoleName(row.role))
        require_grantable(actor, place.tier, wanted)
        if wanted != RoleName.OWNER:
            _keep_an_owner(place, row)
        before, row.role = row.role, wanted
        row.save(update_fields=["role"])
        record(
            actor=actor,
            action="identity.staff.role_set",
            object_kind="user",
            object_id=user_id,
            scope=place,
            data={"before": before, "after": wanted},
        )
        return staff_info(row)


def staff_remove(*, actor: Actor, account_id: UUID, user_id: UUID) -> None:
    """End a person's work for the actor's account. The login stays: it may have others.

    Raises ``Denied``, ``NotFound``, ``Conflict`` (the last owner).
    """
    place = _own_place(actor, account_id)
    with scoped(place):
        row = _member(place, user_id)
        require_grantable(actor, place.tier, RoleName(row.role))
        _keep_an_owner(place, row)
        row.delete()
        record(
            actor=actor,
            action="identity.staff.remove",
            object_kind="user",
            object_id=user_id,
            scope=place,
            data={"role": row.role},
        )


def _own_place(actor: Actor, account_id: UUID) -> Scope:
    require(actor, Permission.IDENTITY_STAFF_WRITE)
    if actor.scope is None and actor.kind == "system":
        return scope_of(account_id)
    if actor.scope is None or actor.scope.account_id != account_id:
        raise NotFound("There is no such account, or its staff is not yours to manage.")
    return actor.scope


def _place(actor: Actor, account_id: UUID, wanted: RoleName) -> Scope:
    """The scope that the new membership is written in, once the actor may write it."""
    if actor.scope is not None and actor.scope.account_id != account_id:
        return _place_below(actor, account_id, wanted)
    place = _own_place(actor, account_id)
    require_grantable(actor, place.tier, wanted)
    return place


def _place_below(actor: Actor, account_id: UUID, wanted: RoleName) -> Scope:
    require(actor, Permission.IDENTITY_ACCOUNT_CREATE)
    # Locked: two first owners named at once would both find the account empty.
    row = Account.objects.select_for_update().filter(id=account_id).first()
    if row is None:
        raise NotFound("There is no such account below yours.")
    place = account_info(row).scope
    if row.state == AccountState.CLOSING:
        raise Conflict(f"{row.name} is closing; nobody can join it.")
    with scoped(place):
        if Membership.objects.filter(account_id=place.account_id).exists():
            raise Denied(f"{row.name} has staff of its own; its owners decide who joins.")
    if wanted != RoleName.OWNER:
        raise Denied(f"The first person of {row.name} must be its owner.")
    return place


def _person(email: str, name: str, password: str) -> User:
    """Checked and hashed before it is looked up: neither the answer nor the time it takes
    tells whoever hires somebody that the person works for another account already.
    """
    user = User(email=normalized_email(email), name=_checked_name(name))
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(
            "This password is too easy to guess.", fields={"password": error.messages}
        ) from error
    user.set_password(password)
    with unscoped("a person may work for several accounts and has one login"):
        known: User | None = User.objects.filter(email=user.email).first()
        if known is not None:
            return known
        user.save(force_insert=True)
        return user


def _join(place: Scope, user: User, role: RoleName) -> Membership:
    room_for(place, Quota.STAFF, count_staff)
    row = Membership(account_id=place.account_id, user=user, role=role)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict("This person works for the account already.") from error
    return row


def _member(place: Scope, user_id: UUID) -> Membership:
    row: Membership | None = (
        Membership.objects.select_related("user")
        .filter(account_id=place.account_id, user_id=user_id)
        .first()
    )
    if row is None:
        raise NotFound("This person does not work for the account.")
    return row


def _keep_an_owner(place: Scope, leaving: Membership) -> None:
    """Locks the account's owners, so that the last two cannot go at the same time."""
    if leaving.role != RoleName.OWNER:
        return
    owners = Membership.objects.filter(account_id=place.account_id, role=RoleName.OWNER)
    locked = list(owners.select_for_update().order_by("id").values_list("id", flat=True))
    if not set(locked) - {leaving.id}:
        raise Conflict("An account needs an owner. Make somebody else owner first.")


def normalized_email(email: str) -> str:
    """Trimmed and in lower case: one spelling for each person. Raises ``Invalid``."""
    address = email.strip().lower()
    try:
        validate_email(address)
        MaxLengthValidator(254)(address)
    except ValidationError as error:
        raise Invalid(
            "This is not an e-mail address.", fields={"email": "Like name@example.org."}
        ) from error
    return address


def _checked_name(name: str) -> str:
    if not 1 <= len(name.strip()) <= 100 or not name.isprintable():
        raise Invalid(
            "The name cannot be used.", fields={"name": "Between 1 and 100 printable characters."}
        )
    return name.strip()
