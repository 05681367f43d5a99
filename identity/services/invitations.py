"""How people join: asked by mail, and only if they agree.

The link in the mail carries a random token; the database has its hash alone. It works once,
for seven days, and for the address it was sent to.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import IntegrityError, transaction

from audit.services import record
from identity.actors import actor_for
from identity.brands import mail_brand
from identity.errors import InvitationClosed, InvitationUnknown
from identity.models import Account, Invitation, Membership, User
from identity.selectors import (
    AccountInfo,
    InvitationInfo,
    account_info,
    invitation_info,
)
from identity.services.places import hold, own_place, place_below, require_grantable
from identity.services.staff import checked_name, join, new_person, normalized_email
from identity.standing import standing_of
from notify.services import mail_send
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, NotFound
from qcloud.kernel.permissions import Actor, Permission, RoleName, require
from qcloud.kernel.scope import Scope, scoped, unscoped

LIFETIME: Final = timedelta(days=7)

Link = Callable[[str], str]
"""The address under which a door shows the invitation with this token."""


@dataclass(frozen=True)
class Invited:
    """What somebody who holds the link may know before agreeing."""

    invitation: InvitationInfo
    account: AccountInfo
    has_login: bool
    """The address has a login already; its owner signs in with it."""


def invitation_create(
    *,
    actor: Actor,
    account_id: UUID,
    email: str,
    role: str,
    link: Link,
    name: str = "",
    environments: Collection[UUID] | None = None,
) -> InvitationInfo:
    """Ask somebody by mail to work for an account.

    Within the actor's own account, with a role that includes nothing the actor lacks. In an
    account below it only the first owner, which belongs to creating the account: from then
    on it manages itself. The answer does not tell whether the person has a login.

    Raises ``Denied``, ``NotFound``, ``Conflict`` (works there, or is invited, already),
    ``Invalid``.
    """
    address = normalized_email(email)
    called = checked_name(name) if name.strip() else ""
    with transaction.atomic():
        place = _place(actor, account_id, role)
        with scoped(place):
            row = Invitation(account_id=place.account_id, email=address, name=called)
            hold(row, place, role, environments)
            if place.account_id == _account_of(actor):
                require_grantable(actor, place, row)
            _refuse_known(row)
            _send(actor, row, place, link)
            _record(actor, place, "create", row)
            return invitation_info(row)


def invitation_resend(
    *, actor: Actor, account_id: UUID, invitation_id: UUID, link: Link
) -> InvitationInfo:
    """Send an open or expired invitation again: a new link, seven more days, the old link void.

    The actor becomes its inviter. Raises ``Denied``, ``NotFound``, ``Conflict``.
    """
    with transaction.atomic():
        place = _place(actor, account_id, RoleName.OWNER)
        with scoped(place):
            row = _own(place, invitation_id)
            if place.account_id == _account_of(actor):
                require_grantable(actor, place, row)
            _refuse_closed(row, invitation_info(row), expired=False)
            _send(actor, row, place, link)
            _record(actor, place, "resend", row)
            return invitation_info(row)


def invitation_revoke(*, actor: Actor, account_id: UUID, invitation_id: UUID) -> InvitationInfo:
    """Withdraw an invitation; its link is void. Raises ``Denied``, ``NotFound``, ``Conflict``."""
    with transaction.atomic():
        place = _place(actor, account_id, RoleName.OWNER)
        with scoped(place):
            row = _own(place, invitation_id)
            if place.account_id == _account_of(actor):
                require_grantable(actor, place, row)
            _refuse_closed(row, invitation_info(row), expired=False)
            row.revoked_at = now()
            row.save(update_fields=["revoked_at"])
            _record(actor, place, "revoke", row)
            return invitation_info(row)


def invitation_by_token(token: str) -> Invited:
    """What the link shows; nothing changes by looking. In system mode.

    Raises ``InvitationUnknown`` (the same for every token that never was),
    ``InvitationClosed`` (used, withdrawn or expired: it says which).
    """
    with unscoped("an invitation is shown to whoever holds its link"):
        return _open(token)[2]


def invitation_accept(*, user: User, token: str, ip: str, request_id: str) -> AccountInfo:
    """The person, signed in, agrees. Its inviter's rights are asked for again.

    Raises ``InvitationUnknown``, ``InvitationClosed``, ``Denied`` (somebody else's, or the
    inviter lost the right), ``Conflict`` (works there already, account not active).
    """
    with unscoped("an invitation makes a member of somebody who is none yet"):
        row, account, _ = _open(token)
        if user.email != row.email:
            raise Denied(
                "This invitation is for another e-mail address than the one you are signed in"
                " with. Sign out, then open the link again; or ask for an invitation of your own.",
                code="identity.invitation_of_another",
            )
        return _accept(row, account, user, ip, request_id)


def invitation_accept_new(
    *, token: str, name: str, password: str, ip: str, request_id: str
) -> tuple[AccountInfo, User]:
    """Somebody without a login agrees and chooses a password; the mail proved the address.

    Raises as ``invitation_accept``, and ``Conflict`` for an address that has a login,
    ``Invalid`` for the name or the password.
    """
    with unscoped("an invitation makes a member of somebody who is none yet"):
        row, account, invited = _open(token)
        if invited.has_login:
            raise Conflict("This address has a login already. Sign in with it, then accept.")
        user = new_person(row.email, name, password)
        return _accept(row, account, user, ip, request_id), user


def _accept(row: Invitation, account: Account, user: User, ip: str, request_id: str) -> AccountInfo:
    place = account_info(account).scope
    # Locked: two first owners who agree at once would both find the account empty.
    Account.objects.select_for_update().get(id=account.id)
    standing = standing_of(account.account_path)
    if standing.is_gone or standing.is_closing or standing.is_suspended:
        state = "suspended" if standing.is_suspended else "closing"
        raise Conflict(f"{account.name} is {state}: nobody can join it now.")
    _ask_the_inviter_again(row, account)
    member = Membership(
        account_id=row.account_id,
        role=row.role,
        custom_role=row.custom_role,
        environments=row.environments,
    )
    join(place, member, user)
    row.accepted_at, row.accepted_by = now(), user.id
    row.save(update_fields=["accepted_at", "accepted_by"])
    actor = Actor("staff", user.id, user.email, place, frozenset(), "", ip, request_id)
    _record(actor, place, "accept", row)
    return account_info(account)


def _ask_the_inviter_again(row: Invitation, account: Account) -> None:
    """Raises ``Denied`` unless whoever invited could do so now."""
    if row.invited_by is None:
        return
    home = Account.objects.filter(id=row.inviter_account_id).first()
    person = User.objects.filter(id=row.invited_by).first()
    actor = actor_for(person, home.slug, ip="", request_id="") if home and person else None
    try:
        _require_inviter(actor, row, account)
    except (Denied, NotFound) as error:
        raise Denied(
            f"{row.invited_by_label} invited you and cannot give this role any more."
            f" Ask an owner of {account.name} to invite you again.",
            code="identity.inviter_lacks",
        ) from error


def _require_inviter(actor: Actor | None, row: Invitation, account: Account) -> None:
    if actor is None or actor.scope is None:
        raise Denied("The inviter has left.")
    if actor.scope.account_id == account.id:
        place = own_place(actor, account.id, Permission.IDENTITY_STAFF_WRITE)
        require_grantable(actor, place, row)
        return
    require(actor, Permission.IDENTITY_ACCOUNT_CREATE)
    if Membership.objects.filter(account_id=account.id).exists():
        raise Denied("The account has staff of its own by now.")


def _place(actor: Actor, account_id: UUID, role: str) -> Scope:
    """The scope that the invitation lies in, once the actor may write it."""
    if actor.scope is None or actor.scope.account_id == account_id:
        return own_place(actor, account_id, Permission.IDENTITY_STAFF_WRITE)
    with scoped(actor.scope):
        place = place_below(actor, account_id)
    if role != RoleName.OWNER:
        raise Denied("The first person of an account must be its owner.")
    return place


def _account_of(actor: Actor) -> UUID | None:
    return actor.scope.account_id if actor.scope else None


def _refuse_known(row: Invitation) -> None:
    members = Membership.objects.filter(account_id=row.account_id, user__email=row.email)
    if members.exists():
        raise Conflict(
            "This person works for the account already.", fields={"email": "A member already."}
        )
    open_ones = Invitation.objects.filter(
        account_id=row.account_id, email=row.email, accepted_at=None, revoked_at=None
    )
    # One that ran out makes room for the new one.
    open_ones.filter(expires_at__lte=now()).update(revoked_at=now())


def _send(actor: Actor, row: Invitation, place: Scope, link: Link) -> None:
    token = secrets.token_urlsafe(32)
    row.token_hash = token_hash(token)
    row.invited_by, row.invited_by_label = actor.id, actor.label
    row.inviter_account_id = _account_of(actor)
    row.sent_at, row.expires_at = now(), now() + LIFETIME
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise Conflict(
            "This person is invited already. Send that invitation again, or withdraw it.",
            fields={"email": "Invited already."},
        ) from error
    account = Account.objects.filter(id=place.account_id).get()
    mail_send(
        account_id=place.account_id,
        to=row.email,
        template="invitation",
        context={
            "inviter": row.invited_by_label,
            "account": account.name,
            "role": row.role_label,
            "link": link(token),
            "expires": f"{row.expires_at:%d %B %Y, %H:%M} UTC",
        },
        # Each sending has a link of its own.
        key=f"invitation:{row.id}:{row.token_hash[:16]}",
        brand=mail_brand(place.path),
    )


def _own(place: Scope, invitation_id: UUID) -> Invitation:
    row: Invitation | None = (
        Invitation.objects.select_for_update(of=("self",))
        .select_related("custom_role")
        .filter(account_id=place.account_id, id=invitation_id)
        .first()
    )
    if row is None:
        raise NotFound("There is no such invitation in this account.")
    return row


def _open(token: str) -> tuple[Invitation, Account, Invited]:
    """Locked, so that two clicks are one acceptance."""
    row: Invitation | None = (
        Invitation.objects.select_for_update(of=("self",))
        .select_related("custom_role")
        .filter(token_hash=token_hash(token))
        .first()
    )
    if row is None:
        raise InvitationUnknown
    account = Account.objects.get(id=row.account_id)
    info = invitation_info(row)
    _refuse_closed(row, info, expired=True)
    known = User.objects.filter(email=row.email).exists()
    return row, account, Invited(info, account_info(account), known)


def _refuse_closed(row: Invitation, info: InvitationInfo, *, expired: bool) -> None:
    state = info.state
    if state == "open" or (state == "expired" and not expired):
        return
    raise InvitationClosed(state, row.expires_at, row.invited_by_label)


def _record(actor: Actor, place: Scope, verb: str, row: Invitation) -> None:
    record(
        actor=actor,
        action=f"identity.invitation.{verb}",
        object_kind="invitation",
        object_id=row.id,
        scope=place,
        data={
            "email": row.email,
            "role": row.role_label,
            "environments": row.environments,
            "expires_at": row.expires_at,
        },
    )


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
