"""Reading the access log: filters, order, pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Q

from identity.models import AccessEvent
from qcloud.kernel.errors import Invalid
from qcloud.kernel.scope import Scope, scoped

MAX_PAGE: Final = 500
SORTS: Final = {"at": "id", "user_name": "user_name", "ip": "ip", "event": "event",
                "outcome": "outcome"}  # fmt: skip


@dataclass(frozen=True)
class AccessInfo:
    id: UUID
    at: datetime
    account_id: UUID
    event: str
    outcome: str
    reason: str
    user_id: UUID | None
    user_name: str
    portal: str
    factor: str
    ip: str
    user_agent: str
    place: str
    flags: list[dict[str, str]]
    session_id: UUID | None
    request_id: str


@dataclass(frozen=True)
class AccessFilter:
    """Empty fields do not filter."""

    text: str = ""
    """Part of a user name, an address or a reason."""
    event: str = ""
    outcome: str = ""
    portal: str = ""
    factor: str = ""
    flag: str = ""
    """A kind of anomaly; ``any``: whichever."""
    account_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Exclusive."""
    sort: str = "at"
    descending: bool = True


def access_events(
    scope: Scope, wanted: AccessFilter, cursor: str = "", limit: int = 50
) -> tuple[list[AccessInfo], str]:
    """A page of the scope's subtree and the cursor of the next one, empty at the end.

    Raises ``Invalid`` for a cursor that no page gave out.
    """
    size = max(1, min(limit, MAX_PAGE))
    column = SORTS.get(wanted.sort, "id")
    sign = "-" if wanted.descending else ""
    order = [f"{sign}{column}"] + ([f"{sign}id"] if column != "id" else [])
    with scoped(scope):
        query = AccessEvent.objects.filter(_where(wanted)).order_by(*order)
        if cursor:
            query = query.filter(_after(column, cursor, descending=wanted.descending))
        rows = list(query[: size + 1])
    page = [_info(row) for row in rows[:size]]
    return page, str(page[-1].id) if len(rows) > size else ""


def access_event(scope: Scope, event_id: UUID) -> AccessInfo | None:
    with scoped(scope):
        row = AccessEvent.objects.filter(id=event_id).first()
    return _info(row) if row else None


def _where(wanted: AccessFilter) -> Q:
    exact = {
        name: value
        for name in ("event", "outcome", "portal", "factor", "account_id")
        if (value := getattr(wanted, name))
    }
    where = Q(**exact)
    for word in wanted.text.split():
        where &= Q(user_name__icontains=word) | Q(ip__startswith=word) | Q(reason__icontains=word)
    if wanted.flag == "any":
        where &= ~Q(flags=[])
    elif wanted.flag:
        where &= Q(flags__contains=[{"kind": wanted.flag}])
    if wanted.since:
        where &= Q(at__gte=wanted.since)
    if wanted.until:
        where &= Q(at__lt=wanted.until)
    return where


def _after(column: str, cursor: str, *, descending: bool) -> Q:
    try:
        last = AccessEvent.objects.filter(id=UUID(cursor)).first()
    except ValueError:
        last = None
    if last is None:
        raise Invalid("This page link is damaged. Start again from the first page.")
    beyond = "lt" if descending else "gt"
    if column == "id":
        return Q(**{f"id__{beyond}": last.id})
    value: Any = getattr(last, column)
    return Q(**{f"{column}__{beyond}": value}) | Q(**{column: value, f"id__{beyond}": last.id})


def _info(row: AccessEvent) -> AccessInfo:
    return AccessInfo(**{name: getattr(row, name) for name in AccessInfo.__dataclass_fields__})
