"""Sessions: Django's database store in a table that only system mode reads, and the two
middlewares that go with it.

``request.user`` is a ``User`` or ``Nobody``. Django's own anonymous user lives in an
application with tables of its own for groups and permissions, which we do not have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.utils.functional import SimpleLazyObject

from identity.backends import EmailBackend
from identity.models import Session, User
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped

__all__ = ["AuthenticationMiddleware", "Nobody", "SessionMiddleware", "SessionStore", "person_of"]


class SessionStore(DatabaseStore):
    """``SESSION_ENGINE = "identity.sessions"``."""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def _get_session_from_db(self) -> Any:
        with unscoped("a session is looked up before its person is known"):
            row = self.model.objects.filter(
                session_key=stored_key(self.session_key), expire_date__gt=now()
            ).first()
        if row is None:
            self._session_key = None
        return row

    def exists(self, session_key: str) -> bool:
        with unscoped("a session is looked up before its person is known"):
            return bool(self.model.objects.filter(session_key=stored_key(session_key)).exists())

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        row = super().create_model_instance(data)
        row.session_key = stored_key(row.session_key)
        return row

    def save(self, must_create: bool = False) -> None:  # noqa: FBT001, FBT002  Django's signature
        with unscoped("a session is looked up before its person is known"):
            super().save(must_create)

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is None:
            return
        with unscoped("a session is looked up before its person is known"):
            self.model.objects.filter(session_key=stored_key(key)).delete()

    @classmethod
    def clear_expired(cls) -> None:
        with unscoped("expired sessions of everybody"):
            super().clear_expired()


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


def person_of(request: HttpRequest) -> User | Nobody:
    """The person the session belongs to.

    A session from before the person's last change of password is thrown away.
    """
    try:
        user_id = UUID(request.session[SESSION_KEY])
    except (KeyError, ValueError):
        return Nobody()
    user = EmailBackend().get_user(user_id)
    if user is None:
        return Nobody()
    if not constant_time_compare(
        request.session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash()
    ):
        request.session.flush()
        return Nobody()
    return user
