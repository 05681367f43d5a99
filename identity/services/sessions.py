"""One's own sessions: what is open where, and ending it; and names that are locked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.http import HttpRequest

from audit.services import record
from identity.access import Visitor
from identity.errors import SignInRefused
from identity.models import Membership, NameGuard, Session, Stage, User
from identity.services import devices
from identity.services.passwords import sessions_end
from identity.sessions import session_end, session_of
from qcloud.kernel.clock import now
from qcloud.kernel.errors import NotFound
from qcloud.kernel.permissions import Actor, Permission, require
from qcloud.kernel.scope import scoped, unscoped


@dataclass(frozen=True)
class SessionInfo:
    id: UUID
    portal: str
    factor: str
    ip: str
    user_agent: str
    begun_at: datetime
    seen_at: datetime
    is_this: bool


def my_sessions(request: HttpRequest) -> list[SessionInfo]:
    """The open sessions of the session's person in all portals, last used first."""
    this = session_of(request)
    if this is None or this.user_id is None:
        return []
    with unscoped("a person's own sessions, whatever the portal"):
        rows = list(
            Session.objects.filter(user_id=this.user_id, stage=Stage.FULL).order_by("-seen_at")
        )
    return [
        SessionInfo(
            row.public_id,
            row.portal,
            row.factor,
            row.ip,
            row.user_agent,
            row.begun_at,
            row.seen_at,
            row.public_id == this.public_id,
        )
        for row in rows
    ]


def my_session_end(request: HttpRequest, *, session_id: UUID, visitor: Visitor) -> None:
    """End one of the person's own sessions. Raises ``NotFound``, ``SignInRefused``."""
    this = session_of(request)
    if this is None or this.user_id is None:
        raise SignInRefused
    with unscoped("a person's own sessions, whatever the portal"):
        row = (
            Session.objects.select_related("user")
            .filter(user_id=this.user_id, public_id=session_id)
            .first()
        )
    if row is None:
        raise NotFound("This session has ended already.")
    session_end(row, "signed out from another session", visitor)


def my_sessions_end(request: HttpRequest, *, visitor: Visitor) -> int:
    """End all of the person's sessions but this one, and forget its known browsers; returns
    how many ended. Raises ``SignInRefused``.
    """
    this = session_of(request)
    if this is None or this.user is None:
        raise SignInRefused
    devices.forget(this.user)
    return sessions_end(this.user, "signed out everywhere", visitor, keep=this)


@dataclass(frozen=True)
class LockedName:
    user_id: UUID
    email: str
    until: datetime


def locked_names(actor: Actor) -> list[LockedName]:
    """The people of the actor's account whose names are locked now."""
    require(actor, Permission.IDENTITY_STAFF_READ)
    if actor.scope is None:
        return []
    with scoped(actor.scope):
        people = {
            row.user.email: row.user_id
            for row in Membership.objects.filter(account_id=actor.scope.account_id).select_related(
                "user"
            )
        }
    with unscoped("sign-in: whether a name is locked"):
        rows = NameGuard.objects.filter(user_name__in=people, locked_until__gt=now())
        return [
            LockedName(people[row.user_name], row.user_name, row.locked_until)
            for row in rows
            if row.locked_until
        ]


def name_unlock(*, actor: Actor, user_id: UUID) -> None:
    """Let somebody of the actor's account try again at once. Raises ``Denied``, ``NotFound``."""
    require(actor, Permission.IDENTITY_STAFF_WRITE)
    scope = actor.scope
    if scope is None:
        raise NotFound("This person does not work for the account.")
    with scoped(scope):
        works = Membership.objects.filter(account_id=scope.account_id, user_id=user_id).exists()
        if not works:
            raise NotFound("This person does not work for the account.")
        with unscoped("sign-in: failures on a name"):
            user = User.objects.get(id=user_id)
            NameGuard.objects.filter(user_name=user.email).delete()
        record(
            actor=actor,
            action="identity.name.unlock",
            object_kind="user",
            object_id=user_id,
            data={"email": user.email},
        )
