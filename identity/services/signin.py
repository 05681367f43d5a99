"""The one way in: throttled, timed alike for everybody, and written to the access log."""

from __future__ import annotations

import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import structlog
from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.http import HttpRequest
from django.middleware.csrf import rotate_token
from redis.exceptions import RedisError

from audit.services import Outcome, record
from identity import access, anomalies, guards, notices
from identity.access import Note, Visitor, access_record, clean
from identity.agents import describe
from identity.alarms import BREAK_GLASS_REASON, LOCKED_REASON
from identity.errors import (
    LocalSignInOff,
    NoPortal,
    SignInRefused,
    SignInThrottled,
    SignInUnavailable,
)
from identity.limits import PORTALS
from identity.locations import locate
from identity.mfa import Demand, demand_of
from identity.models import Session, Stage, User
from identity.otp import engine
from identity.selectors import account_name, tiers_open_to
from identity.services import devices
from identity.sessions import Nobody, SessionStore, session_of
from qcloud.kernel.clock import now
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import unscoped

log: Final = structlog.get_logger(__name__)

SIGN_IN: Final = "identity.session.sign_in"
SIGN_OUT: Final = "identity.session.sign_out"
SIGN_OUT_EVERYWHERE: Final = "identity.session.sign_out_everywhere"


@dataclass(frozen=True)
class Entered:
    """How far the person has come in."""

    user: User
    portal: str
    stage: Stage
    device: str = ""
    """What the browser is to be known by; empty until the person is wholly in."""


@dataclass(frozen=True)
class _Attempt:
    user: User | None
    name: str
    visitor: Visitor

    def log(self, outcome: Outcome, reason: str = "", **known: Any) -> None:
        access_record(
            event=access.SIGN_IN,
            outcome=outcome,
            visitor=self.visitor,
            user=self.user,
            user_name=self.name,
            reason=reason,
            note=Note(**known),
            journal=SIGN_IN,
        )


def sign_in(
    request: HttpRequest,
    *,
    email: str,
    password: str,
    ip: str,
    request_id: str,
    portal: str = "",
    device: str = "",
) -> Entered:
    """Check the password and begin a session of ``portal``; empty: of the person's first one.

    The session is wholly open (``Stage.FULL``) only where no second factor is to be given.
    Each attempt is one row of the access log and one entry of the journal (action
    ``identity.session.sign_in``), under the account that the person works for, else under the
    provider's. The answer and the time it takes do not tell whether the person exists. Must
    be called outside a transaction. Raises ``SignInRefused``, ``SignInThrottled``,
    ``SignInUnavailable``, ``NoPortal``.
    """
    name = clean(email.strip().lower(), 254)
    visitor = Visitor.of(request, ip=ip, request_id=request_id, portal=portal)
    attempt = _Attempt(_person(name), name, visitor)
    _refuse_closed_door(attempt)
    guarded = guarded_name(attempt.user, attempt.name, device)
    _refuse_too_many(request, attempt, guarded)
    user = attempt.user
    nobodys = _nobodys_hash()  # made once, by whoever comes first
    right = check_password(password, user.password if user else nobodys)
    if user is None or not right or not user.is_active:
        _fail(attempt, guarded, right=right)
        raise SignInRefused
    # The password was right: a counter that went away since must not turn the person away.
    with suppress(RedisError):
        guards.was_right(request, guarded)
    chosen = _portal(attempt)
    return _begin(request, attempt, chosen, device)


def _begin(request: HttpRequest, attempt: _Attempt, portal: str, device: str) -> Entered:
    user = attempt.user
    if user is None:
        raise SignInRefused
    visitor = Visitor.of(
        request, ip=attempt.visitor.ip, request_id=attempt.visitor.request_id, portal=portal
    )
    request.session = store = SessionStore(portal=portal)
    row = store.begin(
        user,
        portal=portal,
        site_id=visitor.site.account_id,
        stage=_stage(user, portal),
        factor="password",
        ip=visitor.ip,
        user_agent=visitor.user_agent,
    )
    if row.stage == Stage.FULL:
        return complete(request, row, visitor, device)
    rotate_token(request)
    access_record(
        event=access.PASSWORD,
        outcome=Outcome.ALLOWED,
        visitor=visitor,
        user=user,
        reason="second factor asked" if row.stage == Stage.FACTOR else "set-up asked",
        note=Note(factor="password", session_id=row.public_id),
    )
    return Entered(user, portal, Stage(row.stage))


def _stage(user: User, portal: str) -> Stage:
    if engine().state(user.id).has_totp:
        return Stage.FACTOR
    return Stage.ENROL if demand_of(user.id, portal).is_due(now()) else Stage.FULL


def factor_demand(row: Session) -> Demand:
    """What the rules of now want of a session's person; nothing where a second factor was given."""
    if row.factor != "password" or row.user is None:
        return Demand()
    return demand_of(row.user.id, row.portal)


def complete(request: HttpRequest, row: Session, visitor: Visitor, device: str) -> Entered:
    """The person is wholly in: note it, and know the browser again."""
    store: Any = request.session
    user = row.user
    if user is None:
        raise SignInRefused
    store.change(proved_at=now(), break_glass=is_break_glass())
    rotate_token(request)
    request.user = user
    guards.succeeded(guarded_name(user, user.email, device))
    location = locate(visitor.ip)
    flags = anomalies.of_sign_in(user, location)
    token, is_new = devices.remember(user, device)
    with unscoped("sign-in: the person is known, its account not yet chosen"):
        User.objects.filter(id=user.id).update(last_login=now())
        known = Note(row.factor, row.public_id, flags, location.columns)
        access_record(
            event=access.SIGN_IN,
            outcome=Outcome.ALLOWED,
            visitor=visitor,
            user=user,
            reason=BREAK_GLASS_REASON if is_break_glass() else "",
            note=known,
            journal=SIGN_IN,
        )
        anomalies.tell(flags, user_name=user.email, visitor=visitor)
        if is_new:
            _tell_of_device(user, visitor)
        if is_break_glass():
            _be_loud(user, visitor)
    return Entered(user, row.portal, Stage.FULL, token)


def hand_over(request: HttpRequest, *, source: Session, visitor: Visitor, device: str) -> Entered:
    """Begin a session of the visitor's portal for somebody who is in another one.

    The new session is as old as ``source`` and was proved when that was: going from portal to
    portal prolongs nothing. What the portal asks of its people is asked anew: a second factor
    where the source has none and the policy wants one. Raises ``NoPortal``, ``LocalSignInOff``.
    """
    user = source.user
    if user is None or source.stage != Stage.FULL:
        raise SignInRefused
    attempt = _Attempt(user, user.email, visitor)
    _refuse_closed_door(attempt)
    portal = _portal(attempt)
    proved = source.factor != "password" or not engine().state(user.id).has_totp
    due = source.factor == "password" and demand_of(user.id, portal).is_due(now())
    request.session = store = SessionStore(portal=portal)
    row = store.begin(
        user,
        portal=portal,
        site_id=visitor.site.account_id,
        stage=Stage.FACTOR if not proved else Stage.ENROL if due else Stage.FULL,
        factor=source.factor,
        ip=visitor.ip,
        user_agent=visitor.user_agent,
    )
    access_record(
        event=access.HAND_OVER,
        outcome=Outcome.ALLOWED,
        visitor=visitor,
        user=user,
        reason=f"from portal “{source.portal}”",
        note=Note(factor=source.factor, session_id=row.public_id),
        journal=SIGN_IN,
    )
    if row.stage != Stage.FULL:
        return Entered(user, portal, Stage(row.stage))
    entered = complete(request, row, visitor, device)
    store.change(begun_at=source.begun_at, proved_at=source.proved_at)
    return entered


def is_break_glass() -> bool:
    """Whether a password opens a door that is closed as a rule."""
    return bool(settings.PRODUCTION and settings.BREAK_GLASS)


def _tell_of_device(user: User, visitor: Visitor) -> None:
    home = access.home(user.id, visitor.portal)
    notices.tell(
        notices.NEW_DEVICE,
        visitor,
        email=user.email,
        account=account_name(home) if home else "",
        when=notices.clock(now()),
        ip=visitor.ip,
        device=describe(visitor.user_agent),
    )


def _be_loud(user: User, visitor: Visitor) -> None:
    log.warning("identity.break_glass_used", user=user.email, ip=visitor.ip)
    record(
        actor=Actor("staff", user.id, user.email, access.home(user.id, "admin"), frozenset(),
                    ip=visitor.ip, request_id=visitor.request_id),
        action="identity.break_glass.enter",
        object_kind="user",
        object_id=user.id,
    )  # fmt: skip
    notices.tell(
        notices.BREAK_GLASS,
        visitor,
        heading="Break-glass sign-in was used",
        lines=[
            (
                f"{user.email} signed in to the cloud administration with a password,"
                f" on {notices.clock(now())} from {visitor.ip}."
            ),
            (
                "If nobody was meant to, close the door (QCLOUD_BREAK_GLASS) and look at the audit"
                " log."
            ),
        ],
    )


def break_glass_now() -> list[str]:
    """Who is in by the break-glass door at this moment."""
    if not is_break_glass():
        return []
    with unscoped("sign-in: who came through the break-glass door"):
        rows = Session.objects.select_related("user").filter(break_glass=True, stage=Stage.FULL)
        return sorted({row.user.email for row in rows if row.user})


def sign_out(request: HttpRequest, *, ip: str, request_id: str) -> None:
    """End the session. Harmless without one."""
    row = session_of(request)
    if row is not None:
        access_record(
            event=access.SIGN_OUT,
            outcome=Outcome.ALLOWED,
            visitor=Visitor.of(request, ip=ip, request_id=request_id, portal=row.portal),
            user=row.user,
            note=Note(factor=row.factor, session_id=row.public_id),
            journal=SIGN_OUT,
        )
    request.session.flush()
    request.user = Nobody()  # type: ignore[assignment]  # Django's own would need its tables


def _person(name: str) -> User | None:
    with unscoped("sign-in: a person is looked up before any account is known"):
        user: User | None = User.objects.filter(email=name).first()
    return user


def guarded_name(user: User | None, name: str, device: str) -> str:
    """Under which name failures count. A browser that the person used before has a count of
    its own: whoever guesses elsewhere cannot lock the person out of it.
    """
    if devices.is_known(user, device):
        return f"{hashlib.sha256(device.encode()).hexdigest()[:16]} {name}"[:254]
    return name


def _portal(attempt: _Attempt) -> str:
    """Raises ``NoPortal`` for a person without an account, or an invitation, there."""
    wanted, user = attempt.visitor.portal, attempt.user
    found = tiers_open_to(user.id, user.email, attempt.visitor.site.path) if user else []
    portals = [next(p for p, t in PORTALS.items() if t is tier) for tier in found]
    if (wanted and wanted not in portals) or not portals:
        access_record(
            event=access.PORTAL_REFUSED,
            outcome=Outcome.DENIED,
            visitor=attempt.visitor,
            user=attempt.user,
            reason="works for no account of this portal" if portals else "works for no account",
            journal=SIGN_IN,
        )
        raise NoPortal(anywhere=bool(portals))
    return wanted or portals[0]


def _fail(attempt: _Attempt, guarded: str, *, right: bool) -> None:
    flags = anomalies.of_failure(attempt.visitor)
    attempt.log(Outcome.DENIED, _why(attempt.user, right=right), flags=flags)
    anomalies.tell(flags, user_name=attempt.name, visitor=attempt.visitor)
    count_failure(guarded, attempt.name, attempt.visitor, attempt.user)


def count_failure(guarded: str, name: str, visitor: Visitor, user: User | None) -> None:
    """Count a failure under ``guarded``; the one that locks it is logged and mailed."""
    if not guards.failed(guarded):
        return
    _Attempt(user, name, visitor).log(Outcome.DENIED, LOCKED_REASON)
    # Whether anybody bears the name is found out elsewhere, later.
    notices.tell(
        notices.LOCKED,
        visitor,
        email=name,
        when=notices.clock(now()),
        until=notices.clock(now() + guards.lock_for()),
        ip=visitor.ip,
    )


def _refuse_closed_door(attempt: _Attempt) -> None:
    """Raises ``LocalSignInOff`` where passwords open nothing, whoever comes."""
    open_to = settings.LOCAL_SIGN_IN
    portal = attempt.visitor.portal
    if portal in open_to or (not portal and settings.LOCAL_SIGN_IN):
        return
    attempt.log(Outcome.DENIED, "local sign-in is off")
    raise LocalSignInOff(portal in {"", "admin"})


def _why(user: User | None, *, right: bool) -> str:
    if user is None:
        return "no such person"
    return "wrong password" if not right else "this person is inactive"


def _refuse_too_many(request: HttpRequest, attempt: _Attempt, guarded: str) -> None:
    """Raises ``SignInThrottled`` or ``SignInUnavailable``, journalled."""
    try:
        throttled = guards.throttled(request, guarded, attempt.visitor.ip)
    except RedisError as error:
        attempt.log(Outcome.FAILED, "attempts cannot be counted")
        raise SignInUnavailable from error
    if throttled:
        attempt.log(Outcome.DENIED, "too many attempts")
        raise SignInThrottled
    if guards.locked_until(guarded):
        attempt.log(Outcome.DENIED, "locked")
        raise SignInThrottled


@lru_cache(maxsize=1)
def _nobodys_hash() -> str:
    """What a password is checked against where there is no person: it costs the same."""
    return make_password(secrets.token_urlsafe(32))
