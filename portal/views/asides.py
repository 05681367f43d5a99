"""Health → Refused batches: what the event store does not take, and the decision on each."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render

from identity.selectors import children
from portal.door import action, page
from portal.here import Here
from portal.kit import formats
from portal.kit.forms import Failure, attempt, confirmed
from portal.kit.tables import Cell, Choice, Column, TableSpec, fetch_from, table
from pulse.asides import Aside, batch_aside_drop, batch_aside_retry, batches_aside
from qcloud.kernel.errors import Invalid
from qcloud.kernel.permissions import Permission

_STATES: Final = {
    "kept": Cell("kept", tone="warn", icon="pause"),
    "retry": Cell("to be tried again", tone="info", icon="replay"),
    "drop": Cell("to be dropped", tone="danger", icon="clock"),
}
_SAID: Final = {
    "retry": "The batch is tried again within seconds. Refused again, it comes back here.",
    "drop": "The batch is dropped within seconds. Its events are given up.",
}
DROP: Final = "drop"
"""What is typed to confirm that events are given up."""


def _spec(names: dict[UUID, str], *, may: bool) -> TableSpec[Aside]:
    def whose(row: Aside) -> str:
        return names.get(row.account_id, str(row.account_id))

    return TableSpec(
        name="refused-batches",
        noun="refused batches",
        sort="created_at",
        placeholder="Filter by account or reason",
        choices=(Choice("state", "State", tuple((k, c.text) for k, c in _STATES.items())),),
        columns=(
            Column("account", "Account", whose),
            Column("kind", "Kind", lambda r: r.kind),
            Column("rows", "Events", lambda r: r.rows,
                   lambda r: Cell(formats.count(r.rows)), number=True),
            Column("reason", "The store says", lambda r: r.reason,
                   lambda r: Cell(r.reason, clip=True, title=r.reason)),
            Column("state", "State", lambda r: r.state, lambda r: _STATES[r.state]),
            Column("created_at", "Since", lambda r: r.created_at,
                   lambda r: Cell("", time=r.created_at)),
            Column("agent", "Agent", lambda r: str(r.agent_id), shown=False),
            Column("id", "Batch", lambda r: str(r.id), lambda r: Cell(str(r.id), code=True),
                   shown=False),
            Column("decide", "Decide", lambda _r: "", lambda r: _decide(r) if may else Cell(""),
                   sort=False, exported=False),
        ),
    )  # fmt: skip


def _decide(row: Aside) -> Cell:
    return Cell("Decide…", form=f"decide-{row.id}") if row.state == "kept" else Cell(formats.NONE)


@page(Permission.QCLOUD_PLATFORM_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    """The oldest first."""
    return _page(request, here, None)


@action(Permission.QCLOUD_SETTINGS_WRITE)
def decide(request: HttpRequest, here: Here, batch_id: UUID) -> HttpResponseBase:
    """``step``: ``retry``, or ``drop`` with that word typed once more."""
    step = request.POST.get("step", "")
    outcome = attempt(
        request, here.scope, f"decide-{batch_id}", lambda: _step(request, here, batch_id, step)
    )
    if isinstance(outcome, Failure):
        return _page(request, here, outcome)
    messages.success(request, _SAID[step])
    return HttpResponseRedirect(here.url("asides"))


def _step(request: HttpRequest, here: Here, batch_id: UUID, step: str) -> None:
    if step == "retry":
        batch_aside_retry(actor=here.actor, batch_id=batch_id)
    elif step == "drop":
        confirmed(request, DROP)
        batch_aside_drop(actor=here.actor, batch_id=batch_id)
    else:
        raise Invalid("Choose what to do with the batch.")


def _page(request: HttpRequest, here: Here, failed: Failure | None) -> HttpResponseBase:
    may = here.may_write(Permission.QCLOUD_SETTINGS_WRITE)
    rows = batches_aside(actor=here.actor)
    spec = _spec({info.id: info.name for info in children(here.scope)}, may=may)
    shown = table(request, spec, fetch_from(rows, spec, state=lambda r, v: r.state == v))
    if isinstance(shown, HttpResponseBase):
        return shown
    listed = {line.id for line in shown.lines}
    context = {
        "table": shown,
        "open": [r for r in rows if may and r.state == "kept" and str(r.id) in listed],
        "events": sum(row.rows for row in rows),
        "oldest": formats.ago(rows[0].created_at) if rows else "",
        "rows": len(rows),
        "failed": failed,
        "word": DROP,
        "may_write": may,
        "crumbs": [("Health", here.url("health"))],
    }
    return render(request, "pages/asides.html", context, status=failed.status if failed else 200)
