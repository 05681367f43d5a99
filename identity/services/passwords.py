"""Changing one's password, and asking for a new one by mail."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.contrib.auth import HASH_SESSION_KEY
from django.contrib.auth.hashers import check_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from redis.exceptions import RedisError

from audit.services import Outcome, record
from identity import access, guards, notices
from identity.access import Visitor, access_record, clean
from identity.errors import ResetLinkSpent, SignInRefused, SignInThrottled, SignInUnavailable
from identity.models import PasswordReset, Session, User
from identity.selectors import tiers_open_to
from identity.sessions import session_end, session_of
from notify.services import mail_send
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Invalid
from qcloud.kernel.models import OutboxMessage
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import unscoped

LIFETIME: Final = timedelta(hours=1)
ASK_RATE: Final = "5/h"
"""Mails to one address; as many for addresses that nobody has."""


def password_change(request: HttpRequest, *, present: str, new: str, visitor: Visitor) -> None:
    """Change the password of the session's person and end its other sessions.

    Raises ``SignInRefused`` without a session, ``Invalid``.
    """
    row = session_of(request)
    if row is None or row.user is None:
        raise SignInRefused
    user = row.user
    if not check_password(present, user.password):
        if guards.failed(user.email):
            session_end(row, "too many wrong passwords", visitor)
        raise Invalid("The present password is not right.", fields={"present": "This is not it."})
    _set(user, new, visitor, "identity.password.change")
    store: Any = request.session
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    row = store.advance(proved_at=now())
    sessions_end(user, "the password was changed", visitor, keep=row)


def password_reset_ask(request: HttpRequest, *, email: str, visitor: Visitor) -> None:
    """Ask for a link by mail. Nothing tells whether anybody has the address: what is to be
    done about it is done elsewhere. Raises ``SignInThrottled``, ``SignInUnavailable``.
    """
    name = clean(email.strip().lower(), 254)
    try:
        by_name = guards.form_throttled(request, "reset", name, ASK_RATE)
        by_ip = guards.form_throttled(request, "reset_ip", guards.network(visitor.ip), "30/h")
    except RedisError as error:
        raise SignInUnavailable from error
    if by_name or by_ip:
        raise SignInThrottled
    with unscoped("password reset: a person is looked up before any account is known"):
        user = User.objects.filter(email=name).first()
    access_record(
        event=access.RESET,
        outcome=Outcome.ALLOWED,
        visitor=visitor,
        user=user,
        user_name=name,
        reason="a link was asked for",
    )
    notices.tell(notices.RESET_ASKED, visitor, email=name)


def reset_send(message: OutboxMessage) -> None:
    """Mail the link, if somebody has the address and something to do in that portal."""
    words = message.payload
    with unscoped("password reset: a person is looked up before any account is known"):
        user = User.objects.filter(email=words["email"], is_active=True).first()
        if user is None or not tiers_open_to(user.id, user.email):
            return
        site = UUID(words["site"]) if words["site"] else None
        token = secrets.token_urlsafe(32)
        base = f"{notices.address_for(user, site)}/{words['portal'] or 'c'}/password"
        row = PasswordReset.objects.create(
            user=user,
            token_hash=_hash(token),
            portal=words["portal"],
            expires_at=now() + LIFETIME,
        )
        mail_send(
            account_id=None,
            to=user.email,
            template="password_reset",
            context={"link": f"{base}/{token}", "expires": notices.clock(row.expires_at)},
            key=f"reset:{message.id}",
            brand=notices.brand_for(user, words["portal"]),
        )


def password_reset_user(token: str) -> User:
    """Whose password the link sets. Raises ``ResetLinkSpent``."""
    return _reset(token).user


def password_reset(*, token: str, new: str, visitor: Visitor) -> User:
    """Set a new password by a mailed link and end all sessions. A second factor is asked for
    at the next sign-in as ever. Raises ``ResetLinkSpent``, ``Invalid``.
    """
    with unscoped("password reset: a person is looked up before any account is known"):
        row = _reset(token)
        _set(row.user, new, visitor, "identity.password.reset")
        PasswordReset.objects.filter(user=row.user, used_at=None).update(used_at=now())
        access_record(
            event=access.RESET,
            outcome=Outcome.ALLOWED,
            visitor=visitor,
            user=row.user,
            reason="a new password was set",
        )
        user: User = row.user
    guards.succeeded(user.email)
    sessions_end(user, "the password was set anew", visitor)
    return user


def _reset(token: str) -> PasswordReset:
    with unscoped("password reset: a person is looked up before any account is known"):
        row: PasswordReset | None = (
            PasswordReset.objects.select_for_update(of=("self",))
            .select_related("user")
            .filter(token_hash=_hash(token), used_at=None, expires_at__gt=now())
            .first()
        )
    if row is None or not row.user.is_active:
        raise ResetLinkSpent
    return row


def _set(user: User, new: str, visitor: Visitor, action: str) -> None:
    try:
        validate_password(new, user)
    except ValidationError as error:
        raise Invalid(
            "This password cannot be used.", fields={"password": error.messages}
        ) from error
    scope = access.home(user.id, visitor.portal)
    with unscoped("password: of a person, whatever the account"):
        user.set_password(new)
        user.save(update_fields=["password"])
        record(
            actor=Actor(
                "staff", user.id, user.email, scope, frozenset(), ip=visitor.ip,
                request_id=visitor.request_id,
            ),
            action=action,
            object_kind="user",
            object_id=user.id,
        )  # fmt: skip
        notices.changed(user, visitor, "Your password was changed", "It was changed")


def sessions_end(user: User, why: str, visitor: Visitor, *, keep: Session | None = None) -> int:
    """End the person's sessions in all portals, but ``keep``; returns how many."""
    with unscoped("a session ends"):
        rows = list(Session.objects.select_related("user").filter(user=user))
    others = [row for row in rows if keep is None or row.public_id != keep.public_id]
    for row in others:
        session_end(row, why, visitor)
    return len(others)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
