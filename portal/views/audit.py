"""Who did what, allowed or not."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from audit.selectors import EntryFilter, EntryInfo, entries
from identity.selectors import saved_views
from portal.door import page
from portal.here import Here
from portal.kit import formats
from portal.kit.accounts import first_names, learn
from portal.kit.ranges import TimeRange, range_picker, read_range
from portal.kit.tables import Cell, Choice, Column, Page, Query, TableSpec, table
from portal.kit.urls import state_of, with_query
from qcloud.kernel.permissions import Permission

OUTCOMES: Final = {
    "allowed": Cell("allowed", tone="ok", icon="check"),
    "denied": Cell("denied", tone="danger", icon="lock"),
    "failed": Cell("failed", tone="warn", icon="warn"),
}


def _spec(request: HttpRequest, names: dict[UUID, str]) -> TableSpec[EntryInfo]:
    return TableSpec(
        name="audit",
        noun="entries",
        sort="-at",
        placeholder="Filter by action, such as fleet.token",
        choices=(
            Choice("outcome", "Outcome", tuple((k, k) for k in OUTCOMES)),
            Choice("account", "Account", tuple((str(i), n) for i, n in names.items())),
        )
        if len(names) > 1
        else (Choice("outcome", "Outcome", tuple((k, k) for k in OUTCOMES)),),
        columns=(
            Column("at", "Time", lambda e: e.at, lambda e: _peek(request, e)),
            Column(
                "actor",
                "Who",
                lambda e: e.actor_label,
                lambda e: Cell(
                    e.actor_label or formats.NONE,
                    sub="" if e.actor_kind == "staff" else e.actor_kind,
                ),
            ),
            Column(
                "action",
                "Action",
                lambda e: e.action,
                lambda e: Cell(e.action, code=True),
            ),
            Column(
                "object",
                "Object",
                lambda e: f"{e.object_kind} {e.object_id}".strip(),
                lambda e: Cell(e.object_kind or formats.NONE, sub=e.object_id[:60]),
            ),
            Column("outcome", "Outcome", lambda e: e.outcome, lambda e: OUTCOMES[e.outcome]),
            Column(
                "reason",
                "Reason",
                lambda e: e.reason,
                lambda e: Cell(e.reason or formats.NONE, clip=True, title=e.reason),
                sort=False,
            ),
            Column(
                "account",
                "On account",
                lambda e: names.get(e.account_id, str(e.account_id)),
                sort=False,
                shown=len(names) > 1,
            ),
            Column("ip", "From", lambda e: e.ip),
            Column(
                "request_id",
                "Request id",
                lambda e: e.request_id,
                lambda e: Cell(e.request_id or formats.NONE, code=True),
                sort=False,
                shown=False,
            ),
        ),
    )


def _peek(request: HttpRequest, entry: EntryInfo) -> Cell:
    return Cell(
        formats.when(entry.at),
        href=with_query(request, after=request.GET.get("after"), peek=str(entry.id)),
        title=formats.utc(entry.at),
        peek=True,
    )


@page(Permission.AUDIT_LOG_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    chosen = read_range(request, default="7d")
    names = first_names(here, request.GET.get("f.account", ""))

    def fetch(query: Query, cursor: str, limit: int) -> Page[EntryInfo]:
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
    context = {
        "table": shown,
        "picker": range_picker(request, chosen),
        "entry": _entry(here, request.GET.get("peek", "")),
        "names": names,
        "views": saved_views(here.actor, "audit"),
        "views_page": "audit",
        "views_query": state_of(request),
    }
    return render(request, "pages/audit.html", context)


def _fetch(here: Here, chosen: TimeRange, query: Query, cursor: str, limit: int) -> Page[EntryInfo]:
    account = query.filters.get("account")
    found = entries(
        here.scope,
        EntryFilter(
            action=query.text.strip("."),
            outcome=query.filters.get("outcome", ""),
            account_id=UUID(account) if account else None,
            since=chosen.since,
            until=chosen.until,
            sort=query.sort,
            descending=query.descending,
        ),
        cursor or None,
        limit,
    )
    return Page(found.entries, found.next_cursor or "")


def _entry(here: Here, entry_id: str) -> EntryInfo | None:
    """The entry that the drawer shows: the newest not above this id is itself."""
    try:
        position = UUID(entry_id)
    except ValueError:
        return None
    following = UUID(int=min(position.int + 1, 2**128 - 1))
    page_of_one = entries(here.scope, None, str(following), 1)
    found = next(iter(page_of_one.entries), None)
    return found if found and found.id == position else None
