"""Where the account is told things."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render

from identity.hosts import address_of
from notify.channels import ChannelInfo, channels
from notify.services import channel_change, channel_create, channel_secret_rotate, channel_test
from portal.door import page
from portal.here import Here
from portal.hosts import site_of
from portal.kit import alerting
from portal.kit.forms import Done, Failure, attempt, confirmed
from portal.kit.tables import Cell, Choice, Column, TableSpec, fetch_from, table
from pulse.alerts.services import alert_channel_remove
from qcloud.kernel.errors import Invalid, NotFound
from qcloud.kernel.permissions import Permission

_KINDS: Final = (("mail", "Mail"), ("webhook", "Signed webhook"), ("slack", "Slack or compatible"))


def _spec(here: Here) -> TableSpec[ChannelInfo]:
    return TableSpec(
        name="channels",
        noun="channels",
        sort="name",
        choices=(Choice("kind", "Kind", _KINDS),),
        columns=(
            Column("name", "Channel", lambda c: c.name,
                   lambda c: Cell(c.name, href=here.url("alert-channel", c.id))),
            Column("kind", "Kind", lambda c: c.kind, lambda c: Cell(dict(_KINDS)[c.kind])),
            Column("shown", "To", lambda c: c.shown, lambda c: Cell(c.shown, clip=True)),
            Column("created_by", "Made by", lambda c: c.created_by),
            Column("created_at", "Made", lambda c: c.created_at,
                   lambda c: Cell("", time=c.created_at)),
        ),
    )  # fmt: skip


@page(Permission.NOTIFY_CHANNEL_READ, post=Permission.NOTIFY_CHANNEL_WRITE)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    """The account's channels; POST makes one."""
    failed: Failure | None = None
    if request.method == "POST":
        outcome = attempt(request, here.scope, "create", lambda: _create(request, here))
        if isinstance(outcome, Done):
            made, secret = outcome.result
            return _after(request, here, made, secret)
        failed = outcome
    spec = _spec(here)
    shown = table(
        request, spec, fetch_from(channels(here.scope), spec, kind=lambda c, v: c.kind == v)
    )
    if isinstance(shown, HttpResponseBase):
        return shown
    context = {
        "table": shown,
        "tabs": alerting.tabs(here, "alert-channels"),
        "kinds": _KINDS,
        "failed": failed,
        "may_write": here.may_write(Permission.NOTIFY_CHANNEL_WRITE),
    }
    return render(
        request, "pages/alert_channels.html", context, status=failed.status if failed else 200
    )


@page(Permission.NOTIFY_CHANNEL_READ, post=Permission.NOTIFY_CHANNEL_WRITE)
def detail(request: HttpRequest, here: Here, channel_id: UUID) -> HttpResponseBase:
    """One channel; POST with ``do``: test, change, rotate or remove."""
    row = _row(here, channel_id)
    if request.method != "POST":
        return _shown(request, here, row, None)
    do = request.POST.get("do", "")
    outcome = attempt(request, here.scope, do, lambda: _done(request, here, row, do))
    if isinstance(outcome, Failure):
        return _shown(request, here, row, outcome)
    if do == "rotate":
        made, secret = outcome.result
        return _after(request, here, made, secret)
    words = {
        "test": "A test is on its way; the deliveries say whether it arrived.",
        "change": "The channel was changed.",
        "remove": "The channel was removed.",
    }
    messages.success(request, words[do])
    gone = do == "remove"
    return HttpResponseRedirect(
        here.url("alert-channels") if gone else here.url("alert-channel", row.id)
    )


def _create(request: HttpRequest, here: Here) -> Any:
    return channel_create(
        actor=here.actor,
        kind=request.POST.get("kind", ""),
        name=request.POST.get("name", ""),
        addresses=_addresses(request),
        url=request.POST.get("url", ""),
    )


def _done(request: HttpRequest, here: Here, row: ChannelInfo, do: str) -> Any:
    actor = here.actor
    ways: dict[str, Callable[[], Any]] = {
        "test": lambda: channel_test(
            actor=actor,
            channel_id=row.id,
            link=address_of(site_of(request)) + here.url("alert-channel", row.id),
        ),
        "change": lambda: channel_change(
            actor=actor,
            channel_id=row.id,
            name=request.POST.get("name", ""),
            addresses=_addresses(request),
            url=request.POST.get("url", ""),
        ),
        "rotate": lambda: channel_secret_rotate(actor=actor, channel_id=row.id),
        "remove": lambda: _removed(request, here, row),
    }
    if do not in ways:
        raise Invalid("Choose what is to be done with the channel.")
    return ways[do]()


def _removed(request: HttpRequest, here: Here, row: ChannelInfo) -> None:
    confirmed(request, row.name)
    alert_channel_remove(actor=here.actor, channel_id=row.id)


def _addresses(request: HttpRequest) -> list[str]:
    return request.POST.get("addresses", "").replace(",", " ").split()


def _row(here: Here, channel_id: UUID) -> ChannelInfo:
    found = next((c for c in channels(here.scope) if c.id == channel_id), None)
    if found is None:
        raise NotFound("There is no such channel in this account.")
    return found


def _shown(
    request: HttpRequest, here: Here, row: ChannelInfo, failed: Failure | None
) -> HttpResponseBase:
    context = {
        "channel": row,
        "kind": dict(_KINDS)[row.kind],
        "crumbs": [("Alerts", here.url("alerts")), ("Channels", here.url("alert-channels"))],
        "failed": failed,
        "may_write": here.may_write(Permission.NOTIFY_CHANNEL_WRITE),
    }
    return render(
        request, "pages/alert_channel.html", context, status=failed.status if failed else 200
    )


def _after(request: HttpRequest, here: Here, made: ChannelInfo, secret: str) -> HttpResponseBase:
    """On to the channel; past the page that shows a signing secret this once, if there is one."""
    if not secret:
        messages.success(request, f"{made.name} was made. Send it a test.")
        return HttpResponseRedirect(here.url("alert-channel", made.id))
    answer = render(
        request,
        "pages/alert_channel_secret.html",
        {
            "channel": made,
            "secret": secret,
            "crumbs": [("Alerts", here.url("alerts")), ("Channels", here.url("alert-channels"))],
        },
    )
    answer["Cache-Control"] = "no-store"
    return answer
