"""The way in and out, the choice among one's accounts, and how pages look."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from identity.errors import SignInRefused, SignInThrottled, SignInUnavailable
from identity.selectors import MembershipInfo, memberships_of
from identity.services import sign_in, sign_out
from identity.sessions import SessionStore
from portal.client import client_ip
from portal.context import KEYS_COOKIE, THEME_COOKIE, THEMES
from portal.door import public
from portal.here import home_of, user_id_of
from portal.sessions import PREFIX_OF, cookie_name, portal_of
from qcloud.kernel.errors import QCloudError

_YEAR: Final = 365 * 24 * 3600
_MAX_OPTIONS: Final = 20


@public("whoever comes to the bare address is led to sign-in or to their own pages")
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        target = _first_home(request, portal_of(request.path))
        if target:
            return HttpResponseRedirect(target)
    return HttpResponseRedirect(settings.LOGIN_URL)


@public("signing in is what strangers do here")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_page(request: HttpRequest) -> HttpResponse:
    target = _safe_next(request)
    if request.method == "POST":
        return _try_sign_in(request, target)
    return _form(request, target, "", "", 200)


def _try_sign_in(request: HttpRequest, target: str) -> HttpResponse:
    email = request.POST.get("email", "")
    # A session of another portal must not be emptied by signing in to this one.
    present, request.session = request.session, SessionStore()
    try:
        user = sign_in(
            request,
            email=email,
            password=request.POST.get("password", ""),
            ip=client_ip(request),
            request_id=request.request_id,  # type: ignore[attr-defined]
        )
    except (SignInRefused, SignInThrottled, SignInUnavailable) as error:
        request.session = present  # who mistypes while signed in stays signed in
        return _refused(request, target, email, error)
    memberships = memberships_of(user.id)
    chosen = _chosen(memberships, target)
    if chosen is None:
        return _form(request, "", email, "You are not a member of any account (any more).", 403)
    request.portal = PREFIX_OF[chosen.account.tier]  # type: ignore[attr-defined]
    _end_replaced(request)
    return HttpResponseRedirect(target or home_of(chosen.account))


def _end_replaced(request: HttpRequest) -> None:
    """Whose cookie is overwritten now can never sign out: its session must not live on."""
    replaced = request.COOKIES.get(cookie_name(request.portal))  # type: ignore[attr-defined]
    if replaced:
        SessionStore(replaced).delete()


def _chosen(memberships: list[MembershipInfo], target: str) -> MembershipInfo | None:
    """The account whose portal the session is for: the one asked for, else the first."""
    wanted = portal_of(target)
    fitting = [m for m in memberships if PREFIX_OF[m.account.tier] == wanted]
    return next(iter(fitting or memberships), None)


def _refused(request: HttpRequest, target: str, email: str, error: QCloudError) -> HttpResponse:
    response = _form(request, target, email, error.message, error.http_status)
    if isinstance(error, SignInThrottled):
        response["Retry-After"] = str(error.data["retry_after_seconds"])
    return response


def _form(request: HttpRequest, target: str, email: str, error: str, status: int) -> HttpResponse:
    context = {"next": target, "email": email, "error": error}
    response = render(request, "pages/sign_in.html", context, status=status)
    response["Cache-Control"] = "no-store"
    return response


def _safe_next(request: HttpRequest) -> str:
    """Where to go afterwards; only a page of ours, never another site's."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return target if safe and portal_of(target) else ""


def _first_home(request: HttpRequest, portal: str) -> str:
    chosen = _chosen(memberships_of(user_id_of(request)), f"/{portal}/")
    return home_of(chosen.account) if chosen else ""


@public("leaving needs no right; without a session it does nothing")
@require_POST
def sign_out_page(request: HttpRequest) -> HttpResponse:
    sign_out(request, ip=client_ip(request), request_id=request.request_id)  # type: ignore[attr-defined]
    return HttpResponseRedirect(f"{settings.LOGIN_URL}?{urlencode({'left': '1'})}")


@public("it lists the accounts of whoever is signed in, nothing to anybody else")
@require_safe
def accounts(request: HttpRequest) -> HttpResponse:
    """The reader's accounts by part of a name: options for the switcher, else a page."""
    if not request.user.is_authenticated:
        return HttpResponseRedirect(f"{settings.LOGIN_URL}?{urlencode({'next': request.path})}")
    words = request.GET.get("q", "").casefold().split()
    found = [
        membership
        for membership in memberships_of(user_id_of(request))
        if all(
            w in f"{membership.account.name} {membership.account.slug}".casefold() for w in words
        )
    ]
    part = request.headers.get("HX-Request-Type") == "partial"
    template = "components/account_options.html" if part else "pages/accounts_mine.html"
    context = {"found": found[:_MAX_OPTIONS], "words": request.GET.get("q", "")}
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
        _remember(response, THEME_COOKIE, theme)
    if keys in {"on", "off"}:
        _remember(response, KEYS_COOKIE, keys)
        messages.success(request, f"Single-letter keys are {keys}.")
    return response


def _remember(response: HttpResponse, name: str, value: str) -> None:
    response.set_cookie(
        name,
        value,
        max_age=_YEAR,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
