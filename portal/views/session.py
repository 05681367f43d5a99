"""The way in and out, the choice among one's accounts, and how pages look."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote, urlencode

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from identity.errors import (
    LocalSignInOff,
    NoPortal,
    SignInRefused,
    SignInThrottled,
    SignInUnavailable,
)
from identity.selectors import find_memberships, memberships_of
from identity.services import Entered, sign_in, sign_out
from identity.sessions import SessionStore, Stage, session_end
from portal import guests
from portal.client import client_ip
from portal.context import KEYS_COOKIE, THEME_COOKIE, THEMES
from portal.door import public
from portal.here import PORTAL_NAMES, home_of, user_id_of
from portal.hosts import refuse_elsewheres, site_of
from portal.sessions import PREFIX_OF, cookie_name, elsewhere, portal_of, visitor_of
from qcloud.kernel.errors import QCloudError

_YEAR: Final = 365 * 24 * 3600
_MAX_OPTIONS: Final = 20
DEVICE_COOKIE: Final = "qcloud-device"
"""Knows a browser again; opens nothing."""


@public("whoever comes to the bare address is led to sign-in or to their own pages")
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return HttpResponseRedirect(home_in(request, request.portal))  # type: ignore[attr-defined]
    return HttpResponseRedirect(settings.LOGIN_URL)


@public("signing in is what strangers do here")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_page(request: HttpRequest) -> HttpResponse:
    """Of one portal. The bare ``/sign-in`` leads on to the portal of the page asked for, or
    of the person's first account.
    """
    target = safe_next(request)
    portal = portal_of(request.path)
    if request.method == "POST":
        refuse_elsewheres(request, portal or portal_of(target))
        return _try_sign_in(request, portal or portal_of(target), target)
    if not portal and target:
        query = urlencode({"next": target})
        return HttpResponseRedirect(f"{reverse(f'{portal_of(target)}:sign-in')}?{query}")
    return _form(request, target, "", "", 200)


def _try_sign_in(request: HttpRequest, portal: str, target: str) -> HttpResponse:
    email = request.POST.get("email", "")
    # A session of another portal must not be emptied by signing in to this one.
    present = request.session
    try:
        entered = sign_in(
            request,
            email=email,
            password=request.POST.get("password", ""),
            ip=client_ip(request),
            request_id=request.request_id,  # type: ignore[attr-defined]
            portal=portal,
            device=device_of(request),
        )
    except (LocalSignInOff, NoPortal, SignInRefused, SignInThrottled, SignInUnavailable) as error:
        request.session = present  # who mistypes while signed in stays signed in
        return _refused(request, target, email, error)
    request.portal = entered.portal  # type: ignore[attr-defined]
    end_replaced(request)
    return onward(request, entered, target)


def end_replaced(request: HttpRequest) -> None:
    """Whose cookie is overwritten now can never sign out: its session must not live on."""
    replaced = request.COOKIES.get(cookie_name(request.portal))  # type: ignore[attr-defined]
    row = SessionStore(replaced).row if replaced else None
    if row is not None:
        session_end(row, "replaced by a new sign-in", visitor_of(request))


def onward(request: HttpRequest, entered: Entered, target: str) -> HttpResponse:
    """To the next step, or, once wholly in, to the page first meant."""
    portal = entered.portal
    if portal_of(target) != portal:
        target = ""
    if entered.stage != Stage.FULL:
        name = "code" if entered.stage == Stage.FACTOR else "set-up"
        query = f"?{urlencode({'next': target})}" if target else ""
        return HttpResponseRedirect(f"{reverse(f'{portal}:{name}')}{query}")
    response = HttpResponseRedirect(target or home_in(request, portal))
    if entered.device:
        remember(response, DEVICE_COOKIE, entered.device)
    return response


def device_of(request: HttpRequest) -> str:
    return request.COOKIES.get(DEVICE_COOKIE, "")[:100]


def _refused(request: HttpRequest, target: str, email: str, error: QCloudError) -> HttpResponse:
    response = _form(request, target, email, error.message, error.http_status)
    if isinstance(error, SignInThrottled):
        response["Retry-After"] = str(error.data["retry_after_seconds"])
    return response


def _form(request: HttpRequest, target: str, email: str, error: str, status: int) -> HttpResponse:
    portal, local = portal_of(request.path), settings.LOCAL_SIGN_IN
    context = {
        "next": target,
        "email": email,
        "error": error,
        "portal_name": PORTAL_NAMES.get(portal, ""),
        "action": request.path,
        "portal": portal,
        "other": elsewhere(request) if portal else None,
        "is_open": portal in local or (not portal and bool(local)),
    }
    response = render(request, "pages/sign_in.html", context, status=status)
    response["Cache-Control"] = "no-store"
    return response


def safe_next(request: HttpRequest) -> str:
    """Where to go afterwards: only a page of a portal of ours, never another site's."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    path = unquote(target.partition("?")[0])
    # A path that steps back or begins anew could be read otherwise by whoever stands between.
    plain = path.isprintable() and not any(part in path for part in ("//", "\\", "/.."))
    return target if safe and plain and portal_of(target) else ""


def home_in(request: HttpRequest, portal: str) -> str:
    """The first of the person's accounts in that portal; the list of all, if there is none."""
    found = memberships_of(user_id_of(request), site_of(request).path)
    fitting = [m for m in found if PREFIX_OF[m.account.tier] == portal]
    return home_of(fitting[0].account) if fitting else reverse("accounts")


@public("leaving needs no right; without a session it does nothing")
@require_POST
def sign_out_page(request: HttpRequest) -> HttpResponse:
    guests.leave(request)
    sign_out(request, ip=client_ip(request), request_id=request.request_id)  # type: ignore[attr-defined]
    page = reverse(f"{portal_of(request.path)}:sign-in")
    return HttpResponseRedirect(f"{page}?{urlencode({'left': '1'})}")


@public("it lists the accounts of whoever is signed in, nothing to anybody else")
@require_safe
def accounts(request: HttpRequest) -> HttpResponse:
    """The reader's accounts by part of a name: options for the switcher, else a page."""
    if not request.user.is_authenticated:
        return HttpResponseRedirect(f"{settings.LOGIN_URL}?{urlencode({'next': request.path})}")
    words = request.GET.get("q", "").replace("\0", "")[:100]
    found = find_memberships(user_id_of(request), words, _MAX_OPTIONS, site_of(request).path)
    part = request.headers.get("HX-Request-Type") == "partial"
    template = "components/account_options.html" if part else "pages/accounts_mine.html"
    context = {"found": found, "words": words}
    response = render(request, template, context)
    response["Cache-Control"] = "private, no-store"
    response["Vary"] = "Cookie, HX-Request-Type"
    return response


@public("how pages look is kept in the browser and concerns nobody else")
@require_POST
def preferences(request: HttpRequest) -> HttpResponse:
    target = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    response = HttpResponseRedirect(target if safe else reverse("home"))
    theme, keys = request.POST.get("theme", ""), request.POST.get("keys", "")
    if theme in THEMES:
        remember(response, THEME_COOKIE, theme)
    if keys in {"on", "off"}:
        remember(response, KEYS_COOKIE, keys)
        messages.success(request, f"Single-letter keys are {keys}.")
    return response


def remember(response: HttpResponse, name: str, value: str) -> None:
    response.set_cookie(
        name,
        value,
        max_age=_YEAR,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
