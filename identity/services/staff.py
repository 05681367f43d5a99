"""Who works for an account, and in which role. How somebody joins is in ``invitations``."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator, RegexValidator, validate_email
from django.db import IntegrityError, transaction

from audit.services import record
from identity.models import Membership, User
from identity.quotas import Quota, count_staff
from identity.selectors import StaffInfo, scope_of, staff_info
from identity.services.places import hold, own_place, require_grantable
from identity.services.quotas import room_for
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound
from qcloud.kernel.permissions import Actor, Permission, RoleName
from qcloud.kernel.scope import Scope, scoped, unscoped


def staff_create(
    *, actor: Actor, account_id: UUID, email: str, name: str, role: str, password: str
) -> StaffInfo:
    """Let a person work for an account without asking: for the system, setting a platform up.

    People join by ``invitation_create``. A person who has a login already keeps its name and
    password; those given here are then not used.

    Raises ``Denied`` (not the system), ``NotFound``, ``Conflict`` (works there already),
    ``Invalid``.
    """
    if actor.kind != "system":
        raise Denied("People join by invitation, so that each one agrees. Invite this person.")
    place = scope_of(account_id)
    with scoped(place):
        user = new_person(email, name, password)
        member = Membership(account_id=place.account_id)
        hold(member, place, role)
        join(place, member, user)
        record(
            actor=actor,
            action="identity.staff.create",
            object_kind="user",
            object_id=user.id,
            scope=place,
            data={"email": user.email, "role": member.role_label},
        )
        return staff_info(member)


def staff_role_set(
    *,
    actor: Actor,
    account_id: UUID,
    user_id: UUID,
    role: str,
    environments: Collection[UUID] | None = None,
) -> StaffInfo:
    """Give a member of the actor's account another role, from its next request on.

    ``role`` names a built-in role or is the id of one of the account's own; ``environments``
    limits it. Raises ``Denied`` (either role includes what the actor lacks), ``NotFound``,
    ``Conflict`` (the last owner), ``Invalid``.
    """
    place = own_place(actor, account_id, Permission.IDENTITY_STAFF_WRITE)
    with scoped(place):
        owners = _locked_owners(place)
        row = _member(place, user_id)
        require_grantable(actor, place, row)
        before = _words(row)
        hold(row, place, role, environments)
        require_grantable(actor, place, row)
        if row.role != RoleName.OWNER:
            _keep_an_owner(owners, row)
        row.save(update_fields=["role", "custom_role", "environments"])
        record(
            actor=actor,
            action="identity.staff.role_set",
            object_kind="user",
            object_id=user_id,
            scope=place,
            data={"email": row.user.email, "before": before, "after": _words(row)},
        )
        return staff_info(row)


def staff_remove(*, actor: Actor, account_id: UUID, user_id: UUID) -> None:
    """End a person's work for the actor's account. The login stays: it may have others.

    Raises ``Denied``, ``NotFound``, ``Conflict`` (the last owner).
    """
    place = own_place(actor, account_id, Permission.IDENTITY_STAFF_WRITE)
    with scoped(place):
        owners = _locked_owners(place)
        row = _member(place, user_id)
        require_grantable(actor, place, row)
        _keep_an_owner(owners, row)
        words, email = _words(row), row.user.email
        row.delete()
        record(
            actor=actor,
            action="identity.staff.remove",
            object_kind="user",
            object_id=user_id,
            scope=place,
            data={"email": email, "role": words},
        )


def new_person(email: str, name: str, password: str) -> User:
    """Checked and hashed before it is looked up: neither the answer nor the time it takes
    tells whether the person works for another account already. Raises ``Invalid``.
    """
    user = User(email=normalized_email(email), name=checked_name(name))
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
        try:
            with transaction.atomic():
                user.save(force_insert=True)
        except IntegrityError as error:
            raise Conflict("This address got a login just now. Sign in with it.") from error
        return user


def join(place: Scope, member: Membership, user: User) -> None:
    """Save a membership that ``hold`` has filled, in its account's scope or in system mode.

    Raises ``Conflict`` (works there already, no room for one more).
    """
    room_for(place, Quota.STAFF, count_staff)
    member.user = user
    try:
        with transaction.atomic():
            member.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict("This person works for the account already.") from error


def _member(place: Scope, user_id: UUID) -> Membership:
    """Locked, so that two changes of one person's role follow each other."""
    row: Membership | None = (
        Membership.objects.select_related("user", "custom_role")
        .select_for_update(of=("self",))
        .filter(account_id=place.account_id, user_id=user_id)
        .first()
    )
    if row is None:
        raise NotFound("This person does not work for the account.")
    return row


def _words(row: Membership) -> str:
    limit = "" if row.environments is None else f" in {', '.join(row.environments)}"
    return f"{row.role_label}{limit}"


def _locked_owners(place: Scope) -> set[UUID]:
    """Locked before anything else and in one order: the last two cannot go at the same time,
    and two changes do not wait for each other.
    """
    owners = Membership.objects.filter(account_id=place.account_id, role=RoleName.OWNER)
    return set(owners.select_for_update().order_by("id").values_list("id", flat=True))


def _keep_an_owner(owners: set[UUID], leaving: Membership) -> None:
    if leaving.id in owners and len(owners) == 1:
        raise Conflict("An account needs an owner. Make somebody else owner first.")


def normalized_email(email: str) -> str:
    """Trimmed and in lower case: one spelling for each person. Raises ``Invalid``."""
    address = email.strip().lower()
    try:
        # A quoted local part may hold control characters: legal, and nobody's.
        RegexValidator(r"[\x00-\x1f\x7f]", inverse_match=True)(address)
        validate_email(address)
        MaxLengthValidator(254)(address)
    except ValidationError as error:
        raise Invalid(
            "This is not an e-mail address.", fields={"email": "Like name@example.org."}
        ) from error
    return address


def checked_name(name: str) -> str:
    """Raises ``Invalid``."""
    if not 1 <= len(name.strip()) <= 100 or not name.isprintable():
        raise Invalid(
            "The name cannot be used.", fields={"name": "Between 1 and 100 printable characters."}
        )
    return name.strip()
