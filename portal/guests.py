"""Guests: people of an account above who look into this one for a while."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from audit.services import record
from identity.selectors import AccountInfo, DelegationInfo, last_delegation
from identity.services import delegations_leave
from identity.sessions import SessionStore, Stage, session_end, session_of
from portal.here import Here, user_id_of
from portal.hosts import site_of
from portal.sessions import PORTALS, PREFIX_OF, cookie_name, visitor_of
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Denied

VIEW: Final = "portal.page.view"
"""Action under which the journal keeps each page that a guest looked at."""
_SAME: Final = ("factor", "proved_at", "ip", "user_agent", "site_id", "break_glass")
_REMEMBERED: Final = timedelta(days=1)


def leave(request: HttpRequest) -> None:
    """The person signs out: its looks end, and with them the sessions that they opened."""
    own = session_of(request)
    if own is None or own.user is None or own.stage != Stage.FULL:
        return
    seen = visitor_of(request, own.portal)
    looks = delegations_leave(
        user=own.user, portal=own.portal, ip=seen.ip, request_id=seen.request_id
    )
    if not looks:
        return
    for portal in set(PORTALS) - {own.portal}:
        other = SessionStore(
            request.COOKIES.get(cookie_name(portal)), portal, site_id=own.site_id
        ).row
        if other is not None and other.user == own.user:
            session_end(other, "signed out during delegated access", seen)


def note(request: HttpRequest, here: Here) -> None:
    """Write down that a guest looks at this page, in the transaction that shows it: a page
    that cannot be noted is not shown.
    """
    if here.actor.delegation is None or request.method == "POST":
        return
    record(actor=here.actor, action=VIEW, object_kind="page", object_id=request.path)


def farewell(request: HttpRequest, account: AccountInfo) -> Denied | None:
    """What a guest of a moment ago is told; ``None`` for a stranger."""
    last = last_delegation(user_id_of(request), account.id)
    if last is None or now() - last.until > _REMEMBERED:
        return None
    return Denied(
        f"Your delegated access to {account.name} is over: {_why(last)}."
        " Nothing was changed. Ask for it again in your own portal, with a reason.",
        code="identity.delegation_over",
    )


def _why(last: DelegationInfo) -> str:
    if last.ended_at is not None:
        return f"{last.ended_by} ended it at {last.ended_at:%H:%M} UTC"
    if last.expires_at <= now():
        return f"its time was up at {last.expires_at:%H:%M} UTC"
    return f"you may not look into accounts for {last.home_name} any more"


def let_in(request: HttpRequest, response: HttpResponse, target: AccountInfo) -> None:
    """A session in the portal of ``target`` for the person of this one, as well proved.

    By itself it opens nothing there: the door asks for running access at each request.
    """
    portal, own, own_site = PREFIX_OF[target.tier], session_of(request), site_of(request).account_id
    present = SessionStore(request.COOKIES.get(cookie_name(portal)), portal, site_id=own_site).row
    if own is None or own.user is None or portal == own.portal:
        return
    if present is not None and present.user == own.user and present.stage == Stage.FULL:
        return
    if present is not None:
        session_end(present, "replaced by delegated access", visitor_of(request, portal))
    store = SessionStore(portal=portal)
    columns = {name: getattr(own, name) for name in _SAME}
    store.begin(own.user, portal=portal, stage=Stage.FULL, **columns)
    # As old as the one it comes from: looking in prolongs nothing.
    store.change(begun_at=own.begun_at)
    response.set_cookie(
        cookie_name(portal),
        store.session_key or "",
        max_age=store.get_expiry_age(),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
