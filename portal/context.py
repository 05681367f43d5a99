"""What every template of the portal can use without its view naming it."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest

from identity.brands import BrandInfo, brand_for_host, brand_of
from portal.hosts import named_host

THEMES: Final = ("system", "light", "dark")
THEME_COOKIE: Final = "qcloud-theme"
KEYS_COOKIE: Final = "qcloud-keys"
_FRAGMENTS: Final = {"main#main": "main", "div#peek": "peek"}


def portal(request: HttpRequest) -> dict[str, Any]:
    theme = request.COOKIES.get(THEME_COOKIE, "system")
    return {
        "brand": brand(request),
        "here": getattr(request, "here", None),
        "csp_nonce": getattr(request, "csp_nonce", ""),
        "layout": layout(request),
        "theme": theme if theme in THEMES else "system",
        "themes": THEMES,
        "keys_off": request.COOKIES.get(KEYS_COOKIE) == "off",
        "request_id": getattr(request, "request_id", ""),
    }


def brand(request: HttpRequest) -> BrandInfo:
    """Of the account that the page belongs to; outside one, of the host name."""
    here = getattr(request, "here", None)
    if here is not None:
        return brand_of(here.account.path)
    return brand_for_host(named_host(request))


def layout(request: HttpRequest) -> str:
    """The template that a page extends: whole, or the part that htmx asked for."""
    partial = request.headers.get("HX-Request-Type") == "partial"
    part = _FRAGMENTS.get(request.headers.get("HX-Target", "")) if partial else None
    return f"layouts/{part or 'page'}.html"
