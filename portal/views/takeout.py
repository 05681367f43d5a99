"""Settings → Account → Export: everything that the account has, as one archive."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render

from identity.directory import account_state
from identity.services import takeout_open, takeout_remove, takeout_start
from identity.takeouts import takeouts
from portal.door import action, page
from portal.here import Here
from portal.kit.forms import Failure, attempt
from portal.kit.tables import Cell
from qcloud.kernel.erasure import objections
from qcloud.kernel.permissions import Permission

STATES = {
    "waiting": Cell("waiting", tone="info", icon="clock"),
    "running": Cell("being packed", tone="info", icon="clock"),
    "ready": Cell("ready", tone="ok", icon="check"),
    "failed": Cell("failed", tone="danger", icon="danger"),
    "over": Cell("time is over", tone="muted", icon="lock"),
}


@page(Permission.IDENTITY_ACCOUNT_EXPORT, post=Permission.IDENTITY_ACCOUNT_EXPORT)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    """What was packed and what is being packed; POST asks for an archive."""
    if request.method != "POST":
        return _page(request, here, None)
    link = request.build_absolute_uri(here.url("takeout"))
    outcome = attempt(
        request, here.scope, "start", lambda: takeout_start(actor=here.actor, link=link)
    )
    if isinstance(outcome, Failure):
        return _page(request, here, outcome)
    messages.success(request, "It is being packed. You get a mail when it is ready.")
    return HttpResponseRedirect(here.url("takeout"))


@page(Permission.IDENTITY_ACCOUNT_EXPORT)
def file(_request: HttpRequest, here: Here, takeout_id: UUID) -> HttpResponseBase:
    """The archive itself."""
    found, pieces = takeout_open(actor=here.actor, takeout_id=takeout_id)
    response = StreamingHttpResponse(pieces, content_type="application/zip")
    name = f"{here.account.slug}-{found.asked_at:%Y-%m-%d}.zip"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Content-Length"] = str(found.size)
    response["Cache-Control"] = "private, no-store"
    return response


@action(Permission.IDENTITY_ACCOUNT_EXPORT)
def remove(request: HttpRequest, here: Here, takeout_id: UUID) -> HttpResponseBase:
    outcome = attempt(
        request,
        here.scope,
        "remove",
        lambda: takeout_remove(actor=here.actor, takeout_id=takeout_id),
    )
    if isinstance(outcome, Failure):
        return _page(request, here, outcome)
    messages.success(request, "The archive was removed.")
    return HttpResponseRedirect(here.url("takeout"))


def _page(request: HttpRequest, here: Here, failed: Failure | None) -> HttpResponseBase:
    found = takeouts(here.scope)
    going = next((one for one in found if one.is_going), None)
    shown = [
        (one, STATES["over" if one.state == "ready" and not one.can_be_had else one.state])
        for one in found
    ]
    erase_at = account_state(here.scope, here.account.id).erase_at
    context = {
        "going": going,
        "shown": shown,
        "erase_at": erase_at,
        "objections": objections(here.account.id) if erase_at else [],
        "failed": failed,
        "crumbs": [("Account", here.url("own-account"))],
    }
    status = failed.status if failed else 200
    return render(request, "pages/takeout.html", context, status=status)
