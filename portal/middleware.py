"""Headers that every response bears, and the nonce of the page's scripts."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from portal.views.errors import not_allowed

_POLICY: Final = (
    "default-src 'none'; "
    "script-src 'self' 'nonce-{nonce}'; "
    "style-src 'self'; "
    "img-src 'self'; "
    "connect-src 'self'; "
    "form-action 'self'; "
    "base-uri 'none'; "
    "frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; "
    # hx-csp makes the one policy by which swapped-in pages reach the document.
    "trusted-types htmx"
)
_FEATURES: Final = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


def _with_page(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """A refused method says so on a page; Django's own answer is empty."""
    if response.status_code != HTTPStatus.METHOD_NOT_ALLOWED:
        return response
    page = not_allowed(request)
    page["Allow"] = response["Allow"]
    return page


class SecurityHeadersMiddleware:
    """Sets ``request.csp_nonce`` before the view and the policy after it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        nonce = secrets.token_urlsafe(18)
        request.csp_nonce = nonce  # type: ignore[attr-defined]  # read by templates
        response = _with_page(request, self._get_response(request))
        response["Content-Security-Policy"] = _POLICY.format(nonce=nonce)
        response["X-Content-Type-Options"] = "nosniff"
        response["X-Frame-Options"] = "DENY"
        response["Referrer-Policy"] = "same-origin"
        response["Cross-Origin-Opener-Policy"] = "same-origin"
        response["Cross-Origin-Resource-Policy"] = "same-origin"
        response["Permissions-Policy"] = _FEATURES
        return response
