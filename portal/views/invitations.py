"""The page behind the link of an invitation. Looking changes nothing: mail scanners look."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from audit.services import Outcome, Who, record_attempt
from identity.services import (
    Invited,
    invitation_accept,
    invitation_accept_new,
    invitation_by_token,
)
from identity.sessions import Session, Stage, session_of
from portal.client import client_ip
from portal.door import public
from portal.here import home_of
from portal.hosts import site_of
from portal.kit.forms import Failure, failure
from portal.sessions import PREFIX_OF, portal_of
from portal.views.errors import error_page
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound, QCloudError


@public("whoever holds the link is asked; agreeing needs the login of the address it was sent to")
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """What somebody is asked, and the button to agree."""
    try:
        invited = invitation_by_token(token)
    except QCloudError as error:
        return _sealed(error_page(request, error))
    held = site_of(request).holds(invited.account.path)
    if PREFIX_OF[invited.account.tier] != portal_of(request.path) or not held:
        return _sealed(error_page(request, NotFound("There is no page at this address.")))
    row = session_of(request)
    session = row if row is not None and row.stage == Stage.FULL else None
    if session is not None and _address(session) != invited.invitation.email:
        return _somebody_elses(request, invited, session)
    if request.method == "POST":
        return _answer(request, token, invited, session)
    return _show(request, invited, session, None)


def _address(session: Session) -> str:
    return session.user.email if session.user else ""


def _answer(
    request: HttpRequest, token: str, invited: Invited, session: Session | None
) -> HttpResponse:
    try:
        if session is not None and session.user is not None:
            invitation_accept(user=session.user, token=token, **_seen(request))
            messages.success(request, f"You work for {invited.account.name} now.")
            return HttpResponseRedirect(home_of(invited.account))
        account, user = invitation_accept_new(
            token=token,
            name=request.POST.get("name", ""),
            password=request.POST.get("password", ""),
            **_seen(request),
        )
    except (Conflict, Invalid) as error:
        return _show(request, invited, session, failure(request, "accept", error))
    except QCloudError as error:
        _journal(request, invited, session, error)
        return _sealed(error_page(request, error))
    messages.success(request, f"Welcome, {user.name}. Sign in with the password you chose.")
    sign_in = reverse(f"{PREFIX_OF[account.tier]}:sign-in")
    return HttpResponseRedirect(f"{sign_in}?{urlencode({'next': home_of(account)})}")


def _seen(request: HttpRequest) -> dict[str, str]:
    return {
        "ip": client_ip(request),
        "request_id": request.request_id,  # type: ignore[attr-defined]
    }


def _show(
    request: HttpRequest, invited: Invited, session: Session | None, failed: Failure | None
) -> HttpResponse:
    portal = portal_of(request.path)
    context = {
        "invited": invited,
        "session": session,
        "failed": failed,
        "sign_in": f"{reverse(f'{portal}:sign-in')}?{urlencode({'next': request.path})}",
    }
    status = failed.status if failed else 200
    return _sealed(render(request, "pages/invitation.html", context, status=status))


def _somebody_elses(request: HttpRequest, invited: Invited, session: Session) -> HttpResponse:
    error = Denied(
        "This invitation is for another e-mail address than the one you are signed in with."
        " Sign out, then open the link again; or ask for an invitation of your own.",
        code="identity.invitation_of_another",
    )
    _journal(request, invited, session, error)
    sign_out = reverse(f"{portal_of(request.path)}:sign-out")
    context = {"error": error, "sign_out": sign_out, "email": _address(session)}
    return _sealed(render(request, "pages/invitation_refused.html", context, status=403))


def _journal(
    request: HttpRequest, invited: Invited, session: Session | None, error: QCloudError
) -> None:
    user = session.user if session else None
    seen = _seen(request)
    label = user.email if user else invited.invitation.email
    record_attempt(
        who=Who("staff", user.id if user else None, label, seen["ip"], seen["request_id"]),
        scope=invited.account.scope,
        action="identity.invitation.accept",
        outcome=Outcome.DENIED,
        reason=error.message,
        object_kind="invitation",
        object_id=invited.invitation.id,
    )


def _sealed(response: HttpResponse) -> HttpResponse:
    """The address is a secret: no cache keeps the page, no link from it tells where it was."""
    response["Cache-Control"] = "no-store"
    return response
