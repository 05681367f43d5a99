"""Each portal has a session and a cookie of its own; one of them opens nothing in another."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from identity.access import Visitor
from identity.limits import PORTALS
from identity.sessions import Session, SessionMiddleware, SessionStore, Stage, whose
from portal.client import client_ip
from portal.hosts import refuse_elsewheres, site_of

__all__ = [
    "PORTALS",
    "PREFIX_OF",
    "PortalSessionMiddleware",
    "cookie_name",
    "elsewhere",
    "portal_of",
    "visitor_of",
]

PREFIX_OF: Final = {tier: prefix for prefix, tier in PORTALS.items()}


def cookie_name(prefix: str) -> str:
    return f"{settings.SESSION_COOKIE_NAME}-{prefix}"


def portal_of(path: str) -> str:
    """``c``, ``r``, ``admin``, or empty for pages outside the portals."""
    first = path.split("/", 2)[1] if path.startswith("/") else ""
    return first if first in PORTALS else ""


def visitor_of(request: HttpRequest, portal: str | None = None) -> Visitor:
    """Where the request comes from, for the access log."""
    return Visitor.of(
        request,
        ip=client_ip(request),
        request_id=getattr(request, "request_id", ""),
        portal=request.portal if portal is None else portal,  # type: ignore[attr-defined]
    )


def elsewhere(request: HttpRequest) -> Session | None:
    """A session of another portal that this browser has, wholly open."""
    here = portal_of(request.path)
    for portal in PORTALS:
        key = request.COOKIES.get(cookie_name(portal))
        site_id = site_of(request).account_id
        store = SessionStore(key, portal, site_id=site_id)
        row = whose(store) if key and portal != here else None
        if row is not None and row.stage == Stage.FULL:
            return row
    return None


class PortalSessionMiddleware(SessionMiddleware):
    """Django's middleware, reading and writing the cookie of the address's portal.

    The session is looked up as one of that portal: another portal's, put into this cookie,
    is refused and logged. A page outside the portals (the list of one's accounts) sees
    whichever session there is.
    """

    def process_request(self, request: HttpRequest) -> None:
        portal = portal_of(request.path) or next(
            (prefix for prefix in PORTALS if cookie_name(prefix) in request.COOKIES), "c"
        )
        refuse_elsewheres(request, portal)
        request.portal = portal  # type: ignore[attr-defined]
        request.COOKIES.pop(settings.SESSION_COOKIE_NAME, None)
        key = request.COOKIES.get(cookie_name(portal))
        if key:
            request.COOKIES[settings.SESSION_COOKIE_NAME] = key
        site_id = site_of(request).account_id
        request.session = SessionStore(key, portal, lambda: visitor_of(request), site_id)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        answer = super().process_response(request, response)
        morsel = answer.cookies.pop(settings.SESSION_COOKIE_NAME, None)
        if morsel is not None:
            name = cookie_name(request.portal)  # type: ignore[attr-defined]
            answer.cookies[name] = morsel.value
            answer.cookies[name].update(morsel)
        return answer
