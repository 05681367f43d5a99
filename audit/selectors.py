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


@dataclass(frozen=True)
class EntryPage:
    entries: tuple[EntryInfo, ...]
    next_cursor: str | None
    """``None``: this was the last page."""


def entries(
    scope: Scope, filters: EntryFilter | None = None, cursor: str | None = None, limit: int = 50
) -> EntryPage:
    """The newest ``limit`` entries of the scope's subtree, older than ``cursor``.

    Raises ``Invalid`` for a cursor that no page gave out.
    """
    size = max(1, min(limit, MAX_PAGE))
    with scoped(scope):
        query = _filtered(Entry.objects.order_by("-id"), filters or EntryFilter())
        if cursor:
            query = query.filter(id__lt=_position(cursor))
        rows = list(query[: size + 1])
    page = tuple(_info(row) for row in rows[:size])
    return EntryPage(page, str(page[-1].id) if len(rows) > size else None)


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
