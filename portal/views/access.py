"""Every attempt to get in: who, when, from where, with what, and how it ended."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render

from identity.access import EVENTS
from identity.access_log import AccessFilter, AccessInfo, access_event, access_events
from identity.agents import describe
from identity.anomalies import KINDS
from identity.locations import has_database
from identity.selectors import saved_views
from identity.services import locked_names, name_unlock, view_delete, view_save
from portal.door import action, page, personal
from portal.here import PORTAL_NAMES, Here
from portal.kit import formats
from portal.kit.accounts import first_names, learn
from portal.kit.forms import Failure, attempt
from portal.kit.ranges import TimeRange, range_picker, read_range
from portal.kit.tables import Cell, Choice, Column, Page, Query, TableSpec, table
from portal.kit.urls import state_of, with_query
from portal.views.audit import OUTCOMES
from portal.views.my import FACTORS
from qcloud.kernel.permissions import Permission


def _spec(request: HttpRequest, names: dict[UUID, str]) -> TableSpec[AccessInfo]:
    account = (Choice("account", "Account", tuple((str(i), n) for i, n in names.items())),)
    return TableSpec(
        name="access",
        noun="attempts",
        sort="-at",
        placeholder="Filter by name, address or reason",
        choices=(
            Choice("outcome", "Outcome", tuple((k, k) for k in OUTCOMES)),
            Choice("event", "What", tuple(EVENTS.items())),
            Choice("portal", "Portal", tuple(PORTAL_NAMES.items())),
            Choice("factor", "Factor", tuple(FACTORS.items())),
            Choice("flag", "Flag", (("any", "any flag"), *KINDS.items())),
            *(account if len(names) > 1 else ()),
        ),
        columns=_columns(request, names),
    )


def _columns(request: HttpRequest, names: dict[UUID, str]) -> tuple[Column[AccessInfo], ...]:
    return (
        Column("at", "Time", lambda e: e.at, lambda e: _peek(request, e)),
        Column("user_name", "User name", lambda e: e.user_name),
        Column("event", "What", lambda e: e.event, lambda e: Cell(EVENTS.get(e.event, e.event))),
        Column("outcome", "Outcome", lambda e: e.outcome, lambda e: OUTCOMES[e.outcome]),
        Column(
            "reason",
            "Reason",
            lambda e: e.reason,
            lambda e: Cell(e.reason or formats.NONE, clip=True, title=e.reason),
            sort=False,
        ),
        Column("flags", "Flags", _flag_names, _flags, sort=False),
        Column(
            "factor",
            "Factor",
            lambda e: e.factor,
            lambda e: Cell(FACTORS.get(e.factor, e.factor) or formats.NONE),
            sort=False,
        ),
        Column("ip", "From", lambda e: e.ip, lambda e: Cell(e.ip or formats.NONE, sub=e.place)),
        Column(
            "device",
            "Device",
            lambda e: e.user_agent,
            lambda e: Cell(describe(e.user_agent), title=e.user_agent),
            sort=False,
        ),
        Column(
            "portal",
            "Portal",
            lambda e: e.portal,
            lambda e: Cell(PORTAL_NAMES.get(e.portal, formats.NONE)),
            sort=False,
            shown=False,
        ),
        Column(
            "account",
            "Account",
            lambda e: names.get(e.account_id, str(e.account_id)),
            sort=False,
            shown=len(names) > 1,
        ),
        Column(
            "request_id",
            "Request id",
            lambda e: e.request_id,
            lambda e: Cell(e.request_id or formats.NONE, code=True),
            sort=False,
            shown=False,
        ),
    )


def _flag_names(event: AccessInfo) -> str:
    return "; ".join(f"{KINDS.get(f['kind'], f['kind'])}: {f['why']}" for f in event.flags)


def _flags(event: AccessInfo) -> Cell:
    if not event.flags:
        return Cell(formats.NONE)
    first = event.flags[0]
    return Cell(
        KINDS.get(first["kind"], first["kind"]),
        tone="warn",
        icon="warn",
        title=_flag_names(event),
    )


def _peek(request: HttpRequest, event: AccessInfo) -> Cell:
    return Cell(
        formats.when(event.at),
        href=with_query(request, after=request.GET.get("after"), peek=str(event.id)),
        title=formats.utc(event.at),
        peek=True,
        time=event.at,
    )


@page(Permission.AUDIT_ACCESS_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    chosen = read_range(request, default="7d")
    names = first_names(here, request.GET.get("f.account", ""))

    def fetch(query: Query, cursor: str, limit: int) -> Page[AccessInfo]:
        page = _fetch(here, chosen, query, cursor, limit)
        learn(here, names, (row.account_id for row in page.rows))
        return page

    shown = table(
        request,
        _spec(request, names),
        fetch,
    )
    if isinstance(shown, HttpResponseBase):
        return shown
    event = _event(here, request.GET.get("peek", ""))
    context = {
        "table": shown,
        "picker": range_picker(request, chosen),
        "event": event,
        "device": describe(event.user_agent) if event else "",
        "kinds": KINDS,
        "names": names,
        "has_locations": has_database(),
        "locked": locked_names(here.actor) if here.may(Permission.IDENTITY_STAFF_READ) else [],
        "may_unlock": here.may_write(Permission.IDENTITY_STAFF_WRITE),
        "views": saved_views(here.actor, "access"),
        "views_page": "access",
        "views_query": state_of(request),
    }
    return render(request, "pages/access.html", context)


def _fetch(
    here: Here, chosen: TimeRange, query: Query, cursor: str, limit: int
) -> Page[AccessInfo]:
    account = query.filters.get("account")
    wanted = AccessFilter(
        text=query.text,
        account_id=UUID(account) if account else None,
        since=chosen.since,
        until=chosen.until,
        sort=query.sort,
        descending=query.descending,
        **{k: query.filters.get(k, "") for k in ("event", "outcome", "portal", "factor", "flag")},
    )
    rows, following = access_events(here.scope, wanted, cursor, limit)
    return Page(rows, following)


def _event(here: Here, event_id: str) -> AccessInfo | None:
    try:
        return access_event(here.scope, UUID(event_id))
    except ValueError:
        return None


@action(Permission.IDENTITY_STAFF_WRITE)
def unlock(request: HttpRequest, here: Here, user_id: UUID) -> HttpResponseBase:
    outcome = attempt(
        request, here.scope, "unlock", lambda: name_unlock(actor=here.actor, user_id=user_id)
    )
    if isinstance(outcome, Failure):
        messages.info(request, outcome.message)
    else:
        messages.success(request, "The name is unlocked.")
    return HttpResponseRedirect(here.url("access"))


_VIEWS: Final = "kept filters are the reader's own; the list's own right is asked for inside"


@personal(_VIEWS, "POST")
def view_keep(request: HttpRequest, here: Here) -> HttpResponseBase:
    posted = request.POST
    name = posted.get("page", "")
    outcome = attempt(
        request,
        here.scope,
        "view",
        lambda: view_save(
            actor=here.actor, page=name, name=posted.get("name", ""), query=posted.get("query", "")
        ),
    )
    if isinstance(outcome, Failure):
        messages.info(request, outcome.message)
    else:
        messages.success(request, "The view was saved.")
    target = here.url(name if name in {"access", "audit"} else "my-sign-in")
    query = posted.get("query", "")
    return HttpResponseRedirect(f"{target}?{query}" if query.isprintable() and query else target)


@personal(_VIEWS, "POST")
def view_drop(request: HttpRequest, here: Here, view_id: UUID) -> HttpResponseBase:
    outcome = attempt(
        request, here.scope, "view", lambda: view_delete(actor=here.actor, view_id=view_id)
    )
    messages.info(
        request, outcome.message if isinstance(outcome, Failure) else "The view was deleted."
    )
    back = request.POST.get("page", "")
    return HttpResponseRedirect(here.url(back if back in {"access", "audit"} else "my-sign-in"))
