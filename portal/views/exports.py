"""Traffic → Exports: the requests of a filter as a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render

from fleet.selectors import environments
from portal.door import action, page
from portal.here import Here
from portal.kit import formats
from portal.kit.forms import Failure, attempt
from portal.kit.ranges import read_range
from portal.kit.tables import Cell
from portal.kit.traffic import read_filter
from portal.kit.urls import with_query
from pulse.exports.services import (
    ExportInfo,
    export_create,
    export_open,
    export_remove,
    exports,
)
from pulse.exports.writing import FORMATS
from pulse.store.pages import count_requests
from qcloud.kernel.permissions import Permission

_STATES: Final = {
    "waiting": Cell("waiting", tone="info", icon="clock"),
    "running": Cell("being written", tone="info", icon="clock"),
    "ready": Cell("ready", tone="ok", icon="check"),
    "failed": Cell("failed", tone="danger", icon="danger"),
    "over": Cell("time is over", tone="muted", icon="lock"),
}


@dataclass(frozen=True)
class _Line:
    one: ExportInfo
    state: Cell
    words: str
    span: str
    """Of the requests that are in it."""


@page(Permission.PULSE_EXPORT_CREATE, post=Permission.PULSE_EXPORT_CREATE)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    """What was written and is being written; POST asks for the filter of the address."""
    if request.method != "POST":
        return _page(request, here, None)
    link = request.build_absolute_uri(here.url("exports"))
    outcome = attempt(
        request,
        here.scope,
        "export",
        lambda: export_create(
            actor=here.actor,
            chosen=_chosen(request, here),
            kind=request.POST.get("format", ""),
            link=link,
        ),
    )
    if isinstance(outcome, Failure):
        return _page(request, here, outcome)
    messages.success(request, "It is being written. You get a mail when it is ready.")
    return HttpResponseRedirect(here.url("exports"))


@page(Permission.PULSE_EXPORT_CREATE)
def file(_request: HttpRequest, here: Here, export_id: UUID) -> HttpResponseBase:
    """The file itself."""
    found, pieces = export_open(actor=here.actor, export_id=export_id)
    response = StreamingHttpResponse(pieces, content_type=FORMATS[found.format])
    name = f"{here.account.slug}-requests-{found.asked_at:%Y-%m-%d}.{found.format}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Content-Length"] = str(found.size)
    response["Cache-Control"] = "private, no-store"
    return response


@action(Permission.PULSE_EXPORT_CREATE)
def remove(request: HttpRequest, here: Here, export_id: UUID) -> HttpResponseBase:
    outcome = attempt(
        request, here.scope, "remove", lambda: export_remove(actor=here.actor, export_id=export_id)
    )
    if isinstance(outcome, Failure):
        return _page(request, here, outcome)
    messages.success(request, "The export was removed.")
    return HttpResponseRedirect(here.url("exports"))


def _chosen(request: HttpRequest, here: Here) -> Any:
    chosen = read_range(request, default="24h")
    return read_filter(request, chosen, environments(here.scope))


def _page(request: HttpRequest, here: Here, failed: Failure | None) -> HttpResponseBase:
    names = {place.id: place.name for place in environments(here.scope)}
    shown = [_line(one, names) for one in exports(here.scope)]
    chosen = _chosen(request, here)
    context = {
        "going": [line for line in shown if line.one.is_going],
        "shown": shown,
        "chosen": chosen,
        "count": count_requests(here.scope, chosen),
        "action": with_query(request),
        "requests_href": here.url("requests") + with_query(request).removeprefix(request.path),
        "formats": (("csv", "CSV, for spreadsheets"), ("parquet", "Parquet, for programs")),
        "failed": failed,
        "crumbs": [("Requests", here.url("requests"))],
    }
    return render(request, "pages/exports.html", context, status=failed.status if failed else 200)


def _line(one: ExportInfo, names: dict[UUID, str]) -> _Line:
    chosen = one.filter
    places = [names.get(i, "a removed environment") for i in chosen.environments]
    words = ", ".join(filter(None, (*places, one.words)))
    span = f"{formats.when(chosen.since)} – {formats.when(chosen.until)}"
    state = "over" if one.state == "ready" and not one.can_be_had else one.state
    return _Line(one, _STATES[state], words or "all requests", span)
