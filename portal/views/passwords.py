"""A new password by mail, and going on from one portal into another."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from identity.errors import LocalSignInOff, NoPortal, SignInRefused
from identity.services import (
    hand_over,
    password_reset,
    password_reset_ask,
    password_reset_user,
)
from portal.door import public
from portal.here import PORTAL_NAMES
from portal.kit.forms import Failure, failure, typed_twice
from portal.sessions import elsewhere, portal_of, visitor_of
from portal.views.session import device_of, end_replaced, onward, safe_next
from qcloud.kernel.errors import Invalid, QCloudError


@public("whoever forgot the password cannot sign in to ask for one")
@require_http_methods(["GET", "HEAD", "POST"])
def forgotten(request: HttpRequest) -> HttpResponse:
    """Asks for a link by mail; the answer is the same whoever asks."""
    portal = portal_of(request.path)
    if request.method != "POST":
        return _shown(request, "pages/forgotten.html")
    try:
        password_reset_ask(
            request,
            email=request.POST.get("email", ""),
            visitor=visitor_of(request, portal),
        )
    except QCloudError as error:
        return _shown(request, "pages/forgotten.html", error=error)
    return _shown(request, "pages/forgotten.html", asked=True)


@public("whoever holds a mailed link sets a new password")
@require_http_methods(["GET", "HEAD", "POST"])
def chosen(request: HttpRequest, token: str) -> HttpResponse:
    failed = None
    try:
        user = password_reset_user(token)
        if request.method == "POST":
            outcome = _set(request, token)
            if outcome is None:
                messages.success(request, "Your new password holds. Sign in with it.")
                page = reverse(f"{portal_of(request.path)}:sign-in")
                return HttpResponseRedirect(page)
            failed = outcome
    except QCloudError as error:
        return _shown(request, "pages/new_password.html", error=error)
    return _shown(request, "pages/new_password.html", failed=failed, email=user.email)


def _set(request: HttpRequest, token: str) -> Failure | None:
    try:
        new = typed_twice(request)
        visitor = visitor_of(request, portal_of(request.path))
        password_reset(token=token, new=new, visitor=visitor)
    except Invalid as error:
        return failure(request, "password", error)
    return None


def _shown(
    request: HttpRequest,
    template: str,
    *,
    error: QCloudError | None = None,
    failed: Failure | None = None,
    **context: object,
) -> HttpResponse:
    portal = portal_of(request.path)
    context |= {
        "portal": portal,
        "portal_name": PORTAL_NAMES[portal],
        "error": error.message if error else failed.message if failed else "",
        "failed": failed,
        "is_over": bool(error),
    }
    status = error.http_status if error else failed.status if failed else 200
    response = render(request, template, context, status=status)
    response["Cache-Control"] = "no-store"
    # The address holds the link's token. No other site learns of it by the policy of all pages;
    # a stricter one would make browsers hide the form's origin, and CSRF protection refuse it.
    return response


@public("whoever is signed in to another portal goes on into this one; others sign in")
@require_POST
def go_on(request: HttpRequest) -> HttpResponse:
    """From another portal's session to one of this portal, by a form of this portal's own
    sign-in page. Both cookies are this browser's.
    """
    source = elsewhere(request)
    target = safe_next(request)
    if source is None:
        return _back(request, target)
    portal = portal_of(request.path)
    try:
        entered = hand_over(
            request,
            source=source,
            visitor=visitor_of(request, portal),
            device=device_of(request),
        )
    except (LocalSignInOff, NoPortal, SignInRefused) as error:
        messages.info(request, error.message)
        return _back(request, target)
    end_replaced(request)
    return onward(request, entered, target)


def _back(request: HttpRequest, target: str) -> HttpResponse:
    page = reverse(f"{portal_of(request.path)}:sign-in")
    return HttpResponseRedirect(f"{page}?{urlencode({'next': target})}" if target else page)
