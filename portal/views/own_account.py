"""Settings → Account: what an account says about itself, and who looks after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render

from identity.directory import account_state
from identity.services import account_profile_set, allow_list_set
from portal.door import action, page
from portal.here import Here
from portal.kit.forms import Failure, attempt
from portal.kit.quotas import quota_lines
from portal.views.accounts import STATES, zones
from qcloud.kernel.erasure import objections
from qcloud.kernel.permissions import Permission


@page(Permission.IDENTITY_ACCOUNT_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    return _page(request, here, None)


@action(Permission.IDENTITY_ACCOUNT_WRITE)
def profile(request: HttpRequest, here: Here) -> HttpResponseBase:
    return _change(
        request,
        here,
        "profile",
        lambda: account_profile_set(
            actor=here.actor,
            account_id=here.account.id,
            name=request.POST.get("name", ""),
            timezone=request.POST.get("timezone", ""),
        ),
    )


@action(Permission.IDENTITY_ACCOUNT_WRITE)
def networks(request: HttpRequest, here: Here) -> HttpResponseBase:
    return _change(
        request,
        here,
        "networks",
        lambda: allow_list_set(
            actor=here.actor,
            account_id=here.account.id,
            networks=request.POST.get("networks", ""),
        ),
    )


def _change(
    request: HttpRequest, here: Here, form: str, change: Callable[[], Any]
) -> HttpResponseBase:
    outcome = attempt(request, here.scope, form, change)
    if isinstance(outcome, Failure):
        return _page(request, here, outcome)
    messages.success(request, "The account was changed.")
    return HttpResponseRedirect(here.url("own-account"))


def _page(request: HttpRequest, here: Here, failed: Failure | None) -> HttpResponseBase:
    state = account_state(here.scope, here.account.id)
    typed = failed.values if failed else {}
    may_write = here.may_write(Permission.IDENTITY_ACCOUNT_WRITE)
    context = {
        "account": state.info,
        "standing": state,
        "objections": objections(here.account.id) if state.erase_at else [],
        "state": STATES[state.info.state],
        "failed": failed,
        "lines": []
        if here.portal == "admin"
        else quota_lines(here.scope, here.account.scope, state.quotas),
        "typed": {
            "name": typed.get("name", state.info.name),
            "timezone": typed.get("timezone", state.info.timezone),
            "networks": typed.get("networks", state.info.allow_list),
        },
        "zones": zones(),
        "own_address": here.actor.ip,
        "may_write": may_write,
        "may_export": here.portal != "admin" and here.may(Permission.IDENTITY_ACCOUNT_EXPORT),
        "fixed": not may_write,
    }
    status = failed.status if failed else 200
    return render(request, "pages/own_account.html", context, status=status)
