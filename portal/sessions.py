"""Each portal has a session cookie of its own: two accounts in two tabs do not mix."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from identity.sessions import SessionMiddleware
from qcloud.kernel.scope import Tier

PORTALS: Final = {"c": Tier.CUSTOMER, "r": Tier.RESELLER, "admin": Tier.CLOUD}
"""First part of an address, and whose portal it is."""

PREFIX_OF: Final = {tier: prefix for prefix, tier in PORTALS.items()}


def cookie_name(prefix: str) -> str:
    return f"{settings.SESSION_COOKIE_NAME}-{prefix}"


def portal_of(path: str) -> str:
    """``c``, ``r``, ``admin``, or empty for pages outside the portals."""
    first = path.split("/", 2)[1] if path.startswith("/") else ""
    return first if first in PORTALS else ""


class PortalSessionMiddleware(SessionMiddleware):
    """Django's middleware, reading and writing the cookie of the address's portal.

    A page outside the portals (the sign-in form) sees whichever session there is; it names
    the portal it signs in to by ``request.portal``.
    """

    def process_request(self, request: HttpRequest) -> None:
        portal = portal_of(request.path) or next(
            (prefix for prefix in PORTALS if cookie_name(prefix) in request.COOKIES), "c"
        )
        request.portal = portal  # type: ignore[attr-defined]
        request.COOKIES.pop(settings.SESSION_COOKIE_NAME, None)
        if cookie_name(portal) in request.COOKIES:
            request.COOKIES[settings.SESSION_COOKIE_NAME] = request.COOKIES[cookie_name(portal)]
        super().process_request(request)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        answer = super().process_response(request, response)
        morsel = answer.cookies.pop(settings.SESSION_COOKIE_NAME, None)
        if morsel is not None:
            name = cookie_name(request.portal)  # type: ignore[attr-defined]
            answer.cookies[name] = morsel.value
            answer.cookies[name].update(morsel)
        return answer
