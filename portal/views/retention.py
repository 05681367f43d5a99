"""Settings → Retention: how long what is kept, what may not go, what went."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone

from fleet.selectors import EnvironmentInfo, environments
from portal.door import action, page
from portal.here import Here
from portal.kit import formats
from portal.kit.forms import Done, Failure, attempt, failure
from portal.kit.tables import Cell, Choice, Column, TableSpec, fetch_from, table
from portal.kit.tabs import Tab
from pulse.retention.choosing import (
    Effect,
    Run,
    retention_choose,
    retention_of,
    retention_preview,
    retention_undo,
)
from pulse.retention.holds import (
    Extent,
    HoldInfo,
    hold_release,
    hold_release_ask,
    hold_release_cancel,
    hold_set,
    holds,
)
from pulse.retention.kinds import KINDS, Kind
from qcloud.kernel.errors import Invalid
from qcloud.kernel.permissions import Permission

_TABS: Final = (
    ("retention", "Retention"),
    ("retention-holds", "Legal holds"),
    ("retention-runs", "Removals"),
)
_KINDS: Final = tuple((kind.value, about.label) for kind, about in KINDS.items())
_STATES: Final = {
    "in force": Cell("in force", tone="warn", icon="lock"),
    "to be lifted": Cell("in force, to be lifted", tone="warn", icon="clock"),
    "lifted": Cell("lifted", tone="muted", icon="check"),
}


@page(Permission.PULSE_RETENTION_READ, post=Permission.PULSE_RETENTION_WRITE)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    """What holds; POST changes it, after the preview."""
    if request.method != "POST":
        return _index(request, here, None)
    outcome = attempt(
        request,
        here.scope,
        "choose",
        lambda: retention_choose(actor=here.actor, wanted=_wanted(request.POST)),
    )
    if isinstance(outcome, Failure):
        return _index(request, here, outcome)
    waits = outcome.result.holds_from is not None
    messages.success(
        request,
        "Saved. What is shorter holds from the next run, and can be taken back until then."
        if waits
        else "Saved. It holds from now on.",
    )
    return HttpResponseRedirect(here.url("retention"))


@page(Permission.PULSE_RETENTION_WRITE)
def preview(request: HttpRequest, here: Here) -> HttpResponseBase:
    """What a choice would remove, and when; nothing is changed."""
    try:
        wanted = _wanted(request.GET)
        effects = retention_preview(here.scope, wanted)
    except Invalid as error:
        return _index(request, here, failure(request, "choose", error), typed=request.GET.dict())
    context = {
        "effects": effects,
        "rows": sum(effect.rows or 0 for effect in effects),
        "run": retention_of(here.scope).next_run,
        "shorter": [effect for effect in effects if effect.wanted < effect.days],
        "longer": [effect for effect in effects if effect.wanted > effect.days],
        "sentence": _sentence(effects),
        "crumbs": [("Retention", here.url("retention"))],
    }
    return render(request, "pages/retention_preview.html", context)


@action(Permission.PULSE_RETENTION_WRITE)
def undo(request: HttpRequest, here: Here) -> HttpResponseBase:
    outcome = attempt(request, here.scope, "undo", lambda: retention_undo(actor=here.actor))
    if isinstance(outcome, Failure):
        return _index(request, here, outcome)
    messages.success(request, "Taken back: everything is kept as long as before.")
    return HttpResponseRedirect(here.url("retention"))


def _index(
    request: HttpRequest, here: Here, failed: Failure | None, *, typed: dict[str, str] | None = None
) -> HttpResponseBase:
    found = retention_of(here.scope)
    values = typed or (failed.values if failed else {})
    errors = failed.fields if failed else {}
    context = {
        "retention": found,
        "lines": [
            (one, values.get(one.kind, str(one.wanted)), errors.get(one.kind, ""))
            for one in found.kept
        ],
        "tabs": _tabs(here, "retention"),
        "held": sum(one.state != "lifted" for one in holds(here.scope)),
        "failed": failed,
        "may_write": here.may_write(Permission.PULSE_RETENTION_WRITE)
        and here.scope.environments is None,
    }
    status = failed.status if failed else 200
    return render(request, "pages/retention.html", context, status=status)


def _wanted(form: Any) -> dict[Kind, int]:
    """Whole days by kind. Raises ``Invalid``."""
    found, wrong = {}, {}
    for kind in Kind:
        text = str(form.get(kind, "")).strip()
        if text.isascii() and text.isdigit() and len(text) <= 5:
            found[kind] = int(text)
        else:
            wrong[kind.value] = "A whole number of days."
    if wrong:
        raise Invalid("Nothing was changed.", fields=wrong)
    return found


def _sentence(effects: list[Effect]) -> str:
    changed = [e for e in effects if e.wanted != e.days]
    if not changed:
        return "These are the days that hold already."
    return "; ".join(f"{e.about.label}: {e.days} → {e.wanted} days" for e in changed) + "."


def _tabs(here: Here, current: str) -> list[Tab]:
    return [Tab(label, here.url(name), name == current) for name, label in _TABS]


_RUNS: Final[TableSpec[Run]] = TableSpec(
    name="removals",
    noun="removals",
    sort="-marked_at",
    choices=(Choice("kind", "Kind", _KINDS),),
    columns=(
        Column("kind", "What", lambda r: r.about.label),
        Column("through", "Older than", lambda r: r.through, lambda r: Cell("", time=r.through)),
        Column(
            "state",
            "State",
            lambda r: "done" if r.is_done else "about to go",
            lambda r: (
                Cell("done", tone="ok", icon="check", sub=r.trouble)
                if r.is_done
                else Cell("about to go", tone="info", icon="clock", sub=r.trouble)
            ),
        ),
        Column("rows_before", "Rows before", lambda r: r.rows_before, number=True),
        Column("rows_deleted", "Removed", lambda r: r.rows_deleted, number=True),
        Column("rows_after", "Kept by holds", lambda r: r.rows_after, number=True),
        Column("marked_at", "Decided", lambda r: r.marked_at, lambda r: Cell("", time=r.marked_at)),
        Column(
            "finished_at",
            "Done",
            lambda r: r.finished_at,
            lambda r: Cell("", time=r.finished_at) if r.finished_at else Cell(formats.NONE),
        ),
    ),
)


@page(Permission.PULSE_RETENTION_READ)
def runs(request: HttpRequest, here: Here) -> HttpResponseBase:
    """What was removed, counted."""
    rows = retention_of(here.scope).runs
    shown = table(request, _RUNS, fetch_from(rows, _RUNS, kind=lambda r, v: r.kind == v))
    if isinstance(shown, HttpResponseBase):
        return shown
    context = {"table": shown, "tabs": _tabs(here, "retention-runs")}
    return render(request, "pages/retention_runs.html", context)


def _hold_spec(names: dict[UUID, str], *, may: bool) -> TableSpec[HoldInfo]:
    def place(hold: HoldInfo) -> str:
        if hold.environment_id is None:
            return "the whole account"
        return names.get(hold.environment_id, "a removed environment")

    return TableSpec(
        name="holds",
        noun="legal holds",
        sort="-set_at",
        choices=(Choice("state", "State", tuple((name, name) for name in _STATES)),),
        columns=(
            Column("reason", "Reason", lambda h: h.reason,
                   lambda h: Cell(h.reason, sub=_lifting(h))),
            Column("state", "State", lambda h: h.state, lambda h: _STATES[h.state]),
            Column("place", "Of", place),
            Column("since", "From", lambda h: h.since, lambda h: _bound(h.since, "the beginning")),
            Column("until", "To", lambda h: h.until, lambda h: _bound(h.until, "without end")),
            Column("set_at", "Set", lambda h: h.set_at,
                   lambda h: Cell("", time=h.set_at, sub=h.set_by)),
            Column("change", "Lift", lambda _h: "", lambda h: _change(h) if may else Cell(""),
                   sort=False, exported=False),
        ),
    )  # fmt: skip


def _lifting(hold: HoldInfo) -> str:
    if hold.released_at is not None:
        return f"Lifted by {hold.released_by}: {hold.release_reason}"
    if hold.release_asked_at is None:
        return ""
    return f"{hold.release_asked_by} asked to lift it: {hold.release_reason}"


def _bound(moment: datetime | None, words: str) -> Cell:
    return Cell(words, tone="") if moment is None else Cell("", time=moment)


def _change(hold: HoldInfo) -> Cell:
    if hold.state == "lifted":
        return Cell(formats.NONE)
    label = "Lift…" if hold.state == "in force" else "Second step…"
    return Cell(label, form=f"lift-{hold.id}", tone="danger")


@page(Permission.PULSE_RETENTION_READ, post=Permission.PULSE_HOLD_WRITE)
def hold_list(request: HttpRequest, here: Here) -> HttpResponseBase:
    """What may not go; POST sets a hold."""
    failed: Failure | None = None
    if request.method == "POST":
        outcome = attempt(request, here.scope, "hold", lambda: _set(request, here))
        if isinstance(outcome, Done):
            messages.success(request, "The hold is in force: nothing of it is removed.")
            return HttpResponseRedirect(here.url("retention-holds"))
        failed = outcome
    return _holds(request, here, failed)


@action(Permission.PULSE_HOLD_WRITE)
def hold_change(request: HttpRequest, here: Here, hold_id: UUID) -> HttpResponseBase:
    """``step``: ``ask``, ``cancel`` or ``lift``."""
    step = request.POST.get("step", "")
    outcome = attempt(
        request, here.scope, f"lift-{hold_id}", lambda: _step(request, here, hold_id, step)
    )
    if isinstance(outcome, Failure):
        return _holds(request, here, outcome)
    messages.success(request, _SAID[step])
    return HttpResponseRedirect(here.url("retention-holds"))


_SAID: Final = {
    "ask": "The first step is done. The hold stays in force until the second.",
    "cancel": "The hold stays in force.",
    "lift": "The hold is lifted. What is too old goes with the next run.",
}


def _step(request: HttpRequest, here: Here, hold_id: UUID, step: str) -> HoldInfo:
    if step == "ask":
        reason = request.POST.get("reason", "")
        return hold_release_ask(actor=here.actor, hold_id=hold_id, reason=reason)
    if step == "cancel":
        return hold_release_cancel(actor=here.actor, hold_id=hold_id)
    if step == "lift":
        return hold_release(actor=here.actor, hold_id=hold_id)
    raise Invalid("Choose what to do with the hold.")


def _named(place: EnvironmentInfo) -> str:
    return f"{place.name} (closed)" if place.closed_at else place.name


def _holds(request: HttpRequest, here: Here, failed: Failure | None) -> HttpResponseBase:
    places = environments(here.scope, closed=True)
    # Also while the account is closing: only without holds can it be erased.
    may = here.may(Permission.PULSE_HOLD_WRITE) and here.scope.environments is None
    spec = _hold_spec({place.id: _named(place) for place in places}, may=may)
    rows = holds(here.scope)
    shown = table(request, spec, fetch_from(rows, spec, state=lambda h, v: h.state == v))
    if isinstance(shown, HttpResponseBase):
        return shown
    context = {
        "table": shown,
        "tabs": _tabs(here, "retention-holds"),
        "open": [row for row in rows if row.state != "lifted"],
        "environments": [("", "the whole account"), *((str(p.id), _named(p)) for p in places)],
        "zone": timezone.get_current_timezone_name(),
        "failed": failed,
        "may_write": may,
    }
    return render(
        request, "pages/retention_holds.html", context, status=failed.status if failed else 200
    )


def _set(request: HttpRequest, here: Here) -> HoldInfo:
    try:
        place = UUID(text) if (text := request.POST.get("environment", "")) else None
    except ValueError:
        raise Invalid("No hold was set.", fields={"environment": "Choose from the list."}) from None
    last = _day(request, "until")
    extent = Extent(place, _day(request, "since"), last + timedelta(days=1) if last else None)
    return hold_set(actor=here.actor, extent=extent, reason=request.POST.get("reason", ""))


def _day(request: HttpRequest, name: str) -> datetime | None:
    """The beginning of a day of the reader's zone, in UTC. Raises ``Invalid``."""
    text = request.POST.get(name, "")
    try:
        day = datetime.strptime(text, "%Y-%m-%d") if text else None  # noqa: DTZ007  its zone follows
        return timezone.make_aware(day).astimezone(UTC) if day else None
    except (ValueError, OverflowError):
        raise Invalid("No hold was set.", fields={name: "A day, or empty."}) from None
