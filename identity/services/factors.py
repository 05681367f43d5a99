"""The second step: giving a code, setting an app up, proving once more who one is.

All of it is about the session's own person; there is nobody else's permission to ask for.
What changes a factor asks for a fresh proof, unless the set-up itself is under way.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.hashers import check_password
from django.http import HttpRequest
from django.middleware.csrf import rotate_token

from audit.services import Outcome, record
from identity import access, guards, notices
from identity.access import Note, Visitor, access_record
from identity.errors import CodeRefused, SetUpNotDue, SignInRefused, StepUpRefused
from identity.factors import Factor, FactorState, Seed
from identity.models import Session, Stage, User
from identity.otp import engine
from identity.services.passwords import sessions_end
from identity.services.signin import SIGN_IN, Entered, complete, count_failure, guarded_name
from identity.sessions import session_end, session_of
from qcloud.kernel.clock import now
from qcloud.kernel.errors import StepUpNeeded
from qcloud.kernel.permissions import FRESH, Actor
from qcloud.kernel.scope import unscoped

MOST_TRIES = 5
"""Wrong codes until the session ends and the password is asked again."""


def second_factor(request: HttpRequest, *, code: str, visitor: Visitor, device: str) -> Entered:
    """Complete a sign-in that waits for its second factor.

    Raises ``CodeRefused`` (the same for wrong, used and hasty codes), ``SignInRefused`` when
    nothing waits or too much was tried.
    """
    row = session_of(request)
    if row is None or row.user is None or row.stage != Stage.FACTOR:
        raise SignInRefused
    guarded = guarded_name(row.user, row.user.email, device)
    if guards.locked_until(guarded):
        # Sessions that were begun before the lock try nothing behind its back.
        session_end(row, "locked", visitor)
        request.session.flush()
        raise SignInRefused
    factor = engine().verify(row.user.id, code)
    if not factor:
        _wrong(request, row, visitor, access.SECOND_FACTOR, guarded)
        raise CodeRefused
    store: Any = request.session
    whole = engine().state(row.user.id).is_complete
    row = store.advance(stage=Stage.FULL if whole else Stage.ENROL, factor=factor, tries=0)
    _note(access.SECOND_FACTOR, row, visitor)
    if row.stage == Stage.ENROL and row.user is not None:
        return Entered(row.user, row.portal, Stage.ENROL)
    return complete(request, row, visitor, device)


def step_up(request: HttpRequest, *, proof: str, visitor: Visitor) -> None:
    """Prove once more that it is the session's person: by a code, or by the password where no
    second factor is set up. Raises ``StepUpRefused``, ``SignInRefused`` without a session.
    """
    row = session_of(request)
    if row is None or row.user is None or row.stage != Stage.FULL:
        raise SignInRefused
    factor = _proved(row.user, proof)
    if not factor:
        _wrong(request, row, visitor, access.STEP_UP)
        raise StepUpRefused
    store: Any = request.session
    store.change(proved_at=now(), tries=0)
    _note(access.STEP_UP, row, visitor, factor)


def _proved(user: User, proof: str) -> str:
    if engine().state(user.id).has_totp:
        return engine().verify(user.id, proof)
    return "password" if check_password(proof, user.password) else ""


def _wrong(
    request: HttpRequest, row: Session, visitor: Visitor, event: str, guarded: str = ""
) -> None:
    """Note it, count it, and end a session that was tried on too often."""
    access_record(
        event=event,
        outcome=Outcome.DENIED,
        visitor=visitor,
        user=row.user,
        reason="wrong, used or hasty code" if event == access.SECOND_FACTOR else "not proved",
        note=Note(session_id=row.public_id),
        journal=SIGN_IN if event == access.SECOND_FACTOR else "identity.session.step_up",
    )
    store: Any = request.session
    if row.user is not None:
        count_failure(guarded or row.user.email, row.user.email, visitor, row.user)
    if row.tries + 1 >= MOST_TRIES:
        session_end(row, "too many wrong codes", visitor)
        store.flush()
        raise SignInRefused
    store.change(tries=row.tries + 1)


def _note(event: str, row: Session, visitor: Visitor, factor: str = "") -> None:
    access_record(
        event=event,
        outcome=Outcome.ALLOWED,
        visitor=visitor,
        user=row.user,
        note=Note(factor=factor or row.factor, session_id=row.public_id),
    )


def factors_of(request: HttpRequest) -> FactorState | None:
    """What the session's person has set up; ``None`` without a session."""
    row = session_of(request)
    return engine().state(row.user.id) if row and row.user else None


def set_up_seed(request: HttpRequest) -> Seed:
    """The seed of the set-up that goes on. Raises ``SignInRefused``, ``StepUpNeeded``."""
    user = _setting_up(request)
    return engine().seed(user.id, user.email)


def set_up_try(request: HttpRequest, *, code: str, visitor: Visitor) -> tuple[str, ...]:
    """Take the app if the code is of it; returns the recovery codes, shown this once.

    Raises ``CodeRefused``, ``SignInRefused``, ``StepUpNeeded``.
    """
    user = _setting_up(request)
    if not engine().confirm_seed(user.id, code):
        row = session_of(request)
        if row is not None:
            _wrong(request, row, visitor, access.ENROLMENT)
        raise CodeRefused
    _changed(user, visitor, "identity.mfa.totp_set")
    # Whoever came in with the password alone must not stay, nor put another app in its place.
    sessions_end(user, "a second factor was set up", visitor, keep=session_of(request))
    return engine().codes_make(user.id)


def set_up_codes(request: HttpRequest, *, visitor: Visitor) -> tuple[str, ...]:
    """New recovery codes in place of the old ones. Raises as ``set_up_seed``, and
    ``SetUpNotDue`` before there is an app.
    """
    user = _setting_up(request)
    if not engine().state(user.id).has_totp:
        raise SetUpNotDue
    codes = engine().codes_make(user.id)
    _changed(user, visitor, "identity.mfa.recovery_made")
    return codes


def set_up_finish(request: HttpRequest, *, code: str, visitor: Visitor, device: str) -> Entered:
    """Show that the recovery codes are stored; the set-up is done and the session whole.

    Raises ``CodeRefused``, ``SignInRefused``, ``SetUpNotDue``.
    """
    row = session_of(request)
    if row is None or row.user is None or row.stage == Stage.FACTOR:
        raise SignInRefused
    if not engine().state(row.user.id).has_totp:
        raise SetUpNotDue
    if not engine().codes_confirm(row.user.id, code):
        _wrong(request, row, visitor, access.ENROLMENT)
        raise CodeRefused
    store: Any = request.session
    was_whole = row.stage == Stage.FULL
    # The session was begun with less than it stands for now: it gets a new key.
    row = store.advance(stage=Stage.FULL, factor="totp", tries=0, proved_at=now())
    _note(access.ENROLMENT, row, visitor)
    rotate_token(request)
    if was_whole and row.user is not None:
        return Entered(row.user, row.portal, Stage.FULL)
    return complete(request, row, visitor, device)


def factors_remove(request: HttpRequest, *, visitor: Visitor) -> None:
    """Take away app and codes. Raises ``StepUpNeeded``, ``SignInRefused``."""
    user = _setting_up(request)
    engine().remove(user.id)
    _changed(user, visitor, "identity.mfa.remove")


def _setting_up(request: HttpRequest) -> User:
    row = session_of(request)
    if row is None or row.user is None or row.stage == Stage.FACTOR:
        raise SignInRefused
    if row.stage == Stage.FULL and (row.proved_at is None or abs(now() - row.proved_at) > FRESH):
        raise StepUpNeeded
    return row.user


_TOLD = {
    "identity.mfa.totp_set": ("A second factor was set up", "An authenticator app was set up"),
    "identity.mfa.recovery_made": ("New recovery codes", "New recovery codes were made"),
    "identity.mfa.remove": ("Your second factor was removed", "App and codes were removed"),
}


def _changed(user: User, visitor: Visitor, action: str) -> None:
    scope = access.home(user.id, visitor.portal)
    with unscoped("second factors: what a person changes of its own"):
        record(
            actor=Actor(
                "staff",
                user.id,
                user.email,
                scope,
                frozenset(),
                ip=visitor.ip,
                request_id=visitor.request_id,
            ),
            action=action,
            object_kind="user",
            object_id=user.id,
        )
        notices.changed(user, visitor, *_TOLD[action])


__all__ = [
    "Factor",
    "factors_of",
    "factors_remove",
    "second_factor",
    "set_up_codes",
    "set_up_finish",
    "set_up_seed",
    "set_up_try",
    "step_up",
]
