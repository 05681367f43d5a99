"""Settings → Sign-in: one's own sessions, second factor and password."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render

from identity.agents import describe
from identity.mfa import demand_of
from identity.services import (
    factors_of,
    factors_remove,
    my_session_end,
    my_sessions,
    my_sessions_end,
    password_change,
)
from portal.door import personal
from portal.here import PORTAL_NAMES, Here
from portal.kit.forms import Done, Failure, failure, typed_twice
from portal.sessions import visitor_of
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Denied, Invalid, NotFound

FACTORS: Final = {
    "password": "password",
    "totp": "password and app",
    "recovery": "password and recovery code",
}
_WHY: Final = "it shows and changes what is the reader's own, whatever the role"


@personal(_WHY)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    return _index(request, here, None)


def _index(request: HttpRequest, here: Here, failed: Failure | None) -> HttpResponseBase:
    demand = demand_of(here.user_id)
    context = {
        "sessions": [
            {
                "info": info,
                "device": describe(info.user_agent),
                "portal": PORTAL_NAMES.get(info.portal, info.portal),
                "factor": FACTORS.get(info.factor, info.factor),
            }
            for info in my_sessions(request)
        ],
        "factors": factors_of(request),
        "demand": demand,
        "is_due": demand.is_due(now()),
        "failed": failed,
        "set_up": f"/{here.portal}/set-up",
    }
    status = failed.status if failed else 200
    return render(request, "pages/my_sign_in.html", context, status=status)


@personal(_WHY, "POST")
def session_end(request: HttpRequest, here: Here, session_id: UUID) -> HttpResponseBase:
    try:
        my_session_end(request, session_id=session_id, visitor=visitor_of(request))
        messages.success(request, "The session has ended.")
    except NotFound as error:
        messages.info(request, error.message)
    return HttpResponseRedirect(here.url("my-sign-in"))


@personal(_WHY, "POST")
def sessions_end(request: HttpRequest, here: Here) -> HttpResponseBase:
    ended = my_sessions_end(request, visitor=visitor_of(request))
    messages.success(request, f"{ended} other session{'s' if ended != 1 else ''} ended.")
    return HttpResponseRedirect(here.url("my-sign-in"))


@personal(_WHY, "POST")
def password(request: HttpRequest, here: Here) -> HttpResponseBase:
    outcome = _change(request)
    if isinstance(outcome, Failure):
        return _index(request, here, outcome)
    messages.success(request, "Your password was changed; your other sessions have ended.")
    return HttpResponseRedirect(here.url("my-sign-in"))


def _change(request: HttpRequest) -> Done | Failure:
    try:
        new = typed_twice(request)
        password_change(
            request,
            present=request.POST.get("present", ""),
            new=new,
            visitor=visitor_of(request),
        )
    except Invalid as error:
        return failure(request, "password", error)
    return Done(None)


@personal(_WHY, "POST")
def factor_remove(request: HttpRequest, here: Here) -> HttpResponseBase:
    """Refused where the policy wants a second factor."""
    if demand_of(here.user_id).is_required:
        raise Denied(
            "A second factor is required of you: it can be replaced, not removed."
            " The provider's administrators decide who needs one."
        )
    factors_remove(request, visitor=visitor_of(request))
    messages.success(request, "Your second factor was removed.")
    return HttpResponseRedirect(here.url("my-sign-in"))
