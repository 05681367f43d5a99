"""Sessions: Django's database store in a table that only system mode reads, and the two
middlewares that go with it.

A session is bound to one portal and bears, in columns, whose it is, how far the person has
come in and when it was last used. ``request.user`` is a ``User`` or ``Nobody``. Django's own
anonymous user lives in an application with tables of its own for groups and permissions,
which we do not have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.contrib.auth import HASH_SESSION_KEY
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.utils.functional import SimpleLazyObject

from audit.services import Outcome
from identity.access import PORTAL_REFUSED, SESSION_END, Note, Visitor, access_record
from identity.limits import STEP, limits
from identity.models import Session, Stage, User
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped

__all__ = [
    "AuthenticationMiddleware",
    "Nobody",
    "Session",
    "SessionMiddleware",
    "SessionStore",
    "Stage",
    "person_of",
    "session_of",
]

_CLOCKS: Final = timedelta(minutes=5)
"""So far clocks of servers may be apart. A session from a later future began before a clock was
set back, and would last too long.
"""
TOUCH: Final = timedelta(seconds=30)
"""A session's last use is written this often at most."""


_COLUMNS: Final = (
    "public_id",
    "user",
    "portal",
    "site_id",
    "stage",
    "factor",
    "begun_at",
    "seen_at",
    "proved_at",
    "ip",
    "user_agent",
    "tries",
    "break_glass",
)


class SessionStore(DatabaseStore):
    """``SESSION_ENGINE = "identity.sessions"``.

    With ``portal`` given, a session of another portal, or of another site's host name, is none
    at all.
    """

    def __init__(
        self,
        session_key: str | None = None,
        portal: str | None = None,
        visitor: Any = None,
        site_id: UUID | None = None,
    ) -> None:
        super().__init__(session_key)
        self._portal = portal
        self._site_id = site_id
        self._visitor: Callable[[], Visitor] | None = visitor
        self._row: Session | None = None
        self.ended = False
        """The cookie named a session that is over."""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    @property
    def row(self) -> Session | None:
        """What the table says of this session beside its data."""
        self._get_session()  # type: ignore[attr-defined]  # Django's stubs leave it out
        return self._row

    def _get_session_from_db(self) -> Any:
        with unscoped("a session is looked up before its person is known", savepoint=False):
            row = (
                Session.objects.select_related("user")
                .filter(session_key=stored_key(self.session_key))
                .first()
            )
        over = self._over(row) if row else ""
        if row is not None and over:
            self._refuse(row, over)
        self.ended = row is None or bool(over)
        self._row = None if self.ended else row
        if self._row is None:
            self._session_key = None
        return self._row

    def _over(self, row: Session) -> str:
        if self._portal is not None and row.portal != self._portal:
            return f"a session of portal “{row.portal}” was shown to another"
        if self._portal is not None and row.site_id != self._site_id:
            return "a session of one host name was shown to another"
        return why_over(row, now())

    def _refuse(self, row: Session, why: str) -> None:
        if " was shown to another" not in why:
            session_end(row, why, self._visitor() if self._visitor else None)
        elif row.user is not None and self._visitor:
            access_record(
                event=PORTAL_REFUSED,
                outcome=Outcome.DENIED,
                visitor=self._visitor(),
                user=row.user,
                reason=why,
                note=Note(session_id=row.public_id),
            )

    def begin(self, user: User, **columns: Any) -> Session:
        """A new session under a new key; whatever this store held before is gone."""
        self.flush()
        self._session_cache = {HASH_SESSION_KEY: user.get_session_auth_hash()}
        moment = now()
        self._site_id = columns.get("site_id")
        columns |= {"user": user, "begun_at": moment, "seen_at": moment}
        self._row = Session(**columns)
        self.create()
        return self._row

    def advance(self, **columns: Any) -> Session:
        """The same session under a new key: its person has come further in."""
        before = self.row
        with unscoped("a session is looked up before its person is known"):
            # Of two answers that arrive together one finds the session gone.
            gone = Session.objects.filter(session_key=stored_key(self.session_key)).delete()[0]
            if before is None or not gone:
                raise UpdateError
            self._row = Session(**{name: getattr(before, name) for name in _COLUMNS} | columns)
            self.create()
        return self._row

    def change(self, **columns: Any) -> None:
        """Write columns of the row as it is."""
        with unscoped("a session is looked up before its person is known"):
            key = stored_key(self.session_key)
            if not Session.objects.filter(session_key=key).update(**columns):
                raise UpdateError
        for name, value in columns.items():
            setattr(self._row, name, value)

    def touch(self) -> None:
        """The person did something: the idle limit counts from here."""
        row = self.row
        if row is not None and now() - row.seen_at > TOUCH:
            self.change(seen_at=now())

    def exists(self, session_key: str) -> bool:
        with unscoped("a session is looked up before its person is known"):
            return bool(Session.objects.filter(session_key=stored_key(session_key)).exists())

    def save(self, must_create: bool = False) -> None:  # noqa: FBT001, FBT002  Django's signature
        if self.session_key is None:
            self.create()
            return
        data = self.encode(self._get_session(no_load=must_create))  # type: ignore[attr-defined]
        key = stored_key(self.session_key)
        with unscoped("a session is looked up before its person is known"):
            if not must_create:
                if not Session.objects.filter(session_key=key).update(session_data=data):
                    raise UpdateError
                return
            self._row = row = self._row or Session()
            row.session_key, row.session_data = key, data
            row.expire_date = ends_at(row)
            row.save(force_insert=True)

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is None:
            return
        with unscoped("a session is looked up before its person is known"):
            Session.objects.filter(session_key=stored_key(key)).delete()

    def flush(self) -> None:
        super().flush()
        self._row = None

    def get_expiry_age(self, **kwargs: Any) -> int:
        """Seconds that the cookie lives: until the session ends in any case."""
        del kwargs
        return max(0, int((ends_at(self._row or Session()) - now()).total_seconds()))

    @classmethod
    def clear_expired(cls) -> None:
        sessions_sweep()


def ends_at(row: Session) -> datetime:
    """The latest moment at which the session can still be used."""
    whole = row.stage == Stage.FULL
    return row.begun_at + (limits(row.portal).absolute if whole else STEP)


def why_over(row: Session, moment: datetime) -> str:
    """Why the session has ended, empty while it goes on. The limits are those of now."""
    if moment >= min(row.expire_date, ends_at(row)) or moment < row.begun_at - _CLOCKS:
        return "its time was up"
    if row.stage == Stage.FULL and moment - row.seen_at >= limits(row.portal).idle:
        return "not used for too long"
    return ""


def over_at(row: Session) -> datetime:
    """When a session of somebody who has come in whole ends, if it is not used before."""
    return min(row.expire_date, ends_at(row), row.seen_at + limits(row.portal).idle)


def session_end(row: Session, why: str, visitor: Visitor | None = None) -> None:
    """Take the session away, and say so in the access log if it was a person's."""
    with unscoped("a session ends"):
        gone, _ = Session.objects.filter(session_key=row.session_key).delete()
        if gone and row.user is not None:
            access_record(
                event=SESSION_END,
                outcome=Outcome.ALLOWED,
                visitor=visitor or Visitor(row.ip, row.user_agent, "", row.portal),
                user=row.user,
                reason=why,
                note=Note(factor=row.factor, session_id=row.public_id),
            )


def sessions_sweep(most: int = 1_000) -> int:
    """End what nobody came back to; returns how many. Can be repeated."""
    moment = now()
    with unscoped("expired sessions of everybody"):
        rows = list(Session.objects.select_related("user").order_by("seen_at")[:most])
    over = [(row, why) for row in rows if (why := why_over(row, moment))]
    for row, why in over:
        session_end(row, why)
    return len(over)


def stored_key(session_key: str | None) -> str:
    """The key under which a cookie's session lies in the table."""
    return hashlib.sha256((session_key or "").encode()).hexdigest()


class Nobody:
    """A visitor who has not signed in."""

    id = None
    pk = None
    email: Final = ""
    name: Final = ""
    is_active: Final = False
    is_authenticated: Final = False
    is_anonymous: Final = True


class AuthenticationMiddleware:
    """Stands after the session middleware. The database is asked when the person is needed."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.user = SimpleLazyObject(lambda: person_of(request))  # type: ignore[assignment]
        return self.get_response(request)


def session_of(request: HttpRequest) -> Session | None:
    """The row of a session that is someone's, whatever its stage; from before the person's
    last change of password it is thrown away.
    """
    return whose(request.session)


def whose(store: Any) -> Session | None:
    """As ``session_of``, for a store."""
    row: Session | None = store.row
    if row is None or row.user is None or not row.user.is_active:
        return None
    known = store.get(HASH_SESSION_KEY, "")
    if not constant_time_compare(known, row.user.get_session_auth_hash()):
        store.flush()
        return None
    return row


def person_of(request: HttpRequest) -> User | Nobody:
    """The person the session belongs to, once it has come all the way in."""
    row = session_of(request)
    if row is None or row.user is None or row.stage != Stage.FULL:
        return Nobody()
    return row.user
