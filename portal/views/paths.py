"""Templates of paths: which there are for a host, one by hand, and away with one."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render

from portal.door import action, page
from portal.here import Here
from portal.kit import formats
from portal.kit.forms import Done, Failure, attempt
from portal.kit.tables import Cell, Choice, Column, TableSpec, fetch_from, table
from pulse.routes.selectors import (
    HostInfo,
    TemplateInfo,
    path_host,
    path_hosts,
    template_of,
    templates,
)
from pulse.routes.services import template_add, template_forget, template_restore
from qcloud.kernel.errors import Invalid, NotFound
from qcloud.kernel.permissions import Permission

_OTHERS: Final = "all other hosts"
_ORIGINS: Final = (("learned", "Learned"), ("hand", "By hand"))
_STATES: Final = (("used", "In use"), ("forgotten", "Forgotten"))


def _hosts(here: Here) -> TableSpec[HostInfo]:
    return TableSpec(
        name="path-hosts",
        noun="hosts",
        sort="host",
        placeholder="Filter by host",
        columns=(
            Column("host", "Host", lambda h: h.host or _OTHERS,
                   lambda h: Cell(h.host or _OTHERS, href=here.url("path-host", h.id), clip=True,
                                  title=h.host or _OTHERS)),
            Column("templates", "Templates", lambda h: h.templates, number=True),
            Column("full", "Room", lambda h: "no" if h.full_since else "yes", _room),
            Column("changed", "Last change", lambda h: h.changed_at or h.seen_at,
                   lambda h: Cell(formats.NONE, time=h.changed_at)),
            Column("seen", "Called", lambda h: h.seen_at, lambda h: Cell("", time=h.seen_at)),
            Column("version", "Version", lambda h: h.version, number=True, shown=False),
        ),
    )  # fmt: skip


def _room(row: HostInfo) -> Cell:
    if row.full_since is None:
        return Cell("Learning", tone="ok", icon="check")
    return Cell("Full", tone="warn", icon="warn")


@page(Permission.PULSE_ROUTE_READ, post=Permission.PULSE_ROUTE_WRITE)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    """The account's hosts; POST adds a template to one of them or to a new one."""
    failed: Failure | None = None
    if request.method == "POST":
        outcome = attempt(request, here.scope, "template", lambda: _added(request, here))
        if isinstance(outcome, Done):
            messages.success(request, "Loads from now on count by it.")
            return HttpResponseRedirect(_back(request, here))
        failed = outcome
    known = path_hosts(here.scope)
    spec = _hosts(here)
    shown = table(request, spec, fetch_from(known, spec))
    if isinstance(shown, HttpResponseBase):
        return shown
    context = {
        "table": shown,
        "failed": failed,
        "host": request.GET.get("host", ""),
        "may_write": here.may_write(Permission.PULSE_ROUTE_WRITE),
    }
    return render(request, "pages/paths.html", context, status=failed.status if failed else 200)


def _added(request: HttpRequest, here: Here) -> TemplateInfo:
    return template_add(
        actor=here.actor,
        host=request.POST.get("host", ""),
        template=request.POST.get("template", ""),
    )


def _back(request: HttpRequest, here: Here) -> str:
    host = request.POST.get("host", "").strip().lower()
    found = next((h for h in path_hosts(here.scope) if h.host == host), None)
    return here.url("path-host", found.id) if found else here.url("paths")


def _templates(*, may_write: bool) -> TableSpec[TemplateInfo]:
    return TableSpec(
        name="path-templates",
        noun="templates",
        sort="template",
        placeholder="Filter by template",
        choices=(Choice("origin", "Origin", _ORIGINS), Choice("state", "State", _STATES)),
        columns=(
            Column("template", "Template", lambda t: t.text,
                   lambda t: Cell(t.text, code=True, clip=True, title=t.text)),
            Column("origin", "Origin", lambda t: dict(_ORIGINS)[t.origin]),
            Column("state", "State", lambda t: dict(_STATES)[_state(t)],
                   lambda t: Cell("Forgotten", tone="muted", icon="close") if t.forgotten
                   else Cell("In use", tone="ok", icon="check")),
            Column("changed", "Since", lambda t: t.changed_at,
                   lambda t: Cell("", time=t.changed_at)),
            Column("by", "By", lambda t: t.changed_by),
            Column("version", "Version", lambda t: t.version, number=True, shown=False),
            Column("do", "Change", lambda _t: "", lambda t: _change(t) if may_write else Cell(""),
                   sort=False, exported=False),
        ),
    )  # fmt: skip


def _state(row: TemplateInfo) -> str:
    return "forgotten" if row.forgotten else "used"


def _change(row: TemplateInfo) -> Cell:
    return Cell("Use again" if row.forgotten else "Forget", form=f"template-{row.id}")


@page(Permission.PULSE_ROUTE_READ)
def detail(request: HttpRequest, here: Here, path_host_id: UUID) -> HttpResponseBase:
    return _detail(request, here, path_host_id, None)


@action(Permission.PULSE_ROUTE_WRITE)
def change(request: HttpRequest, here: Here, template_id: UUID) -> HttpResponseBase:
    """POST with ``do``: forget or restore, and the ``host`` whose page to go back to."""
    name = f"template-{template_id}"
    outcome = attempt(request, here.scope, name, lambda: _changed(request, here, template_id))
    host_id = _id(request.POST.get("host_id", ""))
    if isinstance(outcome, Failure):
        if host_id is None or path_host(here.scope, host_id) is None:
            raise NotFound("There is no such template in this account.")
        return _detail(request, here, host_id, outcome)
    words = "forgotten" if outcome.result.forgotten else "in use again"
    messages.success(request, f"{outcome.result.text} is {words}. Rows that are there stay.")
    where = here.url("path-host", host_id) if host_id else here.url("paths")
    return HttpResponseRedirect(where)


def _changed(request: HttpRequest, here: Here, template_id: UUID) -> TemplateInfo:
    wanted = request.POST.get("do", "")
    if wanted == "forget":
        return template_forget(actor=here.actor, template_id=template_id)
    if wanted == "restore":
        return template_restore(actor=here.actor, template_id=template_id)
    raise Invalid("Choose what to do with the template.")


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _detail(
    request: HttpRequest, here: Here, host_id: UUID, failed: Failure | None
) -> HttpResponseBase:
    found = path_host(here.scope, host_id)
    if found is None:
        raise NotFound("There is no such host in this account.")
    may_write = here.may_write(Permission.PULSE_ROUTE_WRITE)
    rows = templates(here.scope, host_id)
    spec = _templates(may_write=may_write)
    fetch = fetch_from(
        rows,
        spec,
        origin=lambda t, value: t.origin == value,
        state=lambda t, value: _state(t) == value,
    )
    shown = table(request, spec, fetch)
    if isinstance(shown, HttpResponseBase):
        return shown
    asked = request.GET.get("path", "")
    context: dict[str, Any] = {
        "host": found,
        "name": found.host or _OTHERS,
        "table": shown,
        "rows": rows if may_write else [],
        "failed": failed,
        "asked": asked,
        "answer": template_of(here.scope, host_id, asked) if asked else None,
        "crumbs": [("Path templates", here.url("paths"))],
        "live": f"{here.url('live')}?{urlencode({'from': 'now-24h', 'f.host': found.host})}",
        "add": f"{here.url('paths')}?{urlencode({'host': found.host, 'dialog': 'template'})}",
        "may_write": may_write,
        "full_for": _since(found.full_since),
    }
    return render(request, "pages/path_host.html", context, status=failed.status if failed else 200)


def _since(moment: datetime | None) -> str:
    return formats.when(moment) if moment else ""
