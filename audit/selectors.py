from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Q, QuerySet

from audit.models import Entry
from qcloud.kernel.errors import Invalid
from qcloud.kernel.scope import Scope, scoped

MAX_PAGE: Final = 500
SORTS: Final = {"at": "id", "actor": "actor_label", "action": "action", "object": "object_kind",
                "outcome": "outcome", "ip": "ip"}  # fmt: skip
"""What a page can be ordered by, and the column that decides."""


@dataclass(frozen=True)
class EntryInfo:
    id: UUID
    at: datetime
    account_id: UUID
    actor_kind: str
    actor_id: UUID | None
    actor_label: str
    on_behalf_of: UUID | None
    action: str
    object_kind: str
    object_id: str
    outcome: str
    reason: str
    ip: str
    request_id: str
    data: dict[str, Any]


@dataclass(frozen=True)
class EntryFilter:
    """Empty fields do not filter. ``action`` matches itself and what begins with it and a dot."""

    action: str = ""
    actor_id: UUID | None = None
    account_id: UUID | None = None
    object_kind: str = ""
    object_id: str = ""
    outcome: str = ""
    request_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    """Exclusive."""
    sort: str = "at"
    descending: bool = True


@dataclass(frozen=True)
class EntryPage:
    entries: tuple[EntryInfo, ...]
    next_cursor: str | None
    """``None``: this was the last page."""


def entries(
    scope: Scope, filters: EntryFilter | None = None, cursor: str | None = None, limit: int = 50
) -> EntryPage:
    """The first ``limit`` entries of the scope's subtree behind ``cursor``: the newest first, or
    as the filter orders them.

    Raises ``Invalid`` for a cursor that no page gave out.
    """
    size = max(1, min(limit, MAX_PAGE))
    wanted = filters or EntryFilter()
    column, sign = SORTS.get(wanted.sort, "id"), "-" if wanted.descending else ""
    with scoped(scope):
        query = _filtered(Entry.objects.order_by(*_order(column, sign)), wanted)
        if cursor:
            query = query.filter(_after(column, cursor, descending=wanted.descending))
        rows = list(query[: size + 1])
    page = tuple(_info(row) for row in rows[:size])
    return EntryPage(page, str(page[-1].id) if len(rows) > size else None)


def _order(column: str, sign: str) -> list[str]:
    return [f"{sign}id"] if column == "id" else [f"{sign}{column}", f"{sign}id"]


def _after(column: str, cursor: str, *, descending: bool) -> Q:
    beyond, position = "lt" if descending else "gt", _position(cursor)
    if column == "id":
        return Q(**{f"id__{beyond}": position})
    last = Entry.objects.filter(id=position).first()
    if last is None:
        raise Invalid("This page link is damaged. Start again from the first page.")
    value = getattr(last, column)
    return Q(**{f"{column}__{beyond}": value}) | Q(**{column: value, f"id__{beyond}": last.id})


def _position(cursor: str) -> UUID:
    try:
        return UUID(cursor)
    except ValueError as error:
        raise Invalid("This page link is damaged. Start again from the first page.") from error


def _filtered(query: QuerySet[Entry], filters: EntryFilter) -> QuerySet[Entry]:
    exact = {
        name: value
        for name in ("actor_id", "account_id", "object_kind", "object_id", "outcome", "request_id")
        if (value := getattr(filters, name))
    }
    query = query.filter(**exact)
    if filters.action:
        query = query.filter(Q(action=filters.action) | Q(action__startswith=f"{filters.action}."))
    if filters.since:
        query = query.filter(at__gte=filters.since)
    if filters.until:
        query = query.filter(at__lt=filters.until)
    return query


def _info(row: Entry) -> EntryInfo:
    names = EntryInfo.__dataclass_fields__
    return EntryInfo(**{name: getattr(row, name) for name in names})
