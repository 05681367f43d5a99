"""Addresses that keep the page's state and change a part of it."""

from __future__ import annotations

from django.http import HttpRequest, QueryDict


def with_query(request: HttpRequest, **changes: str | None) -> str:
    """The page's own address with parameters set, or removed by ``None``.

    A double underscore stands for a dot: ``f__status="5xx"`` sets ``f.status``. Whatever
    changes, the drawer closes and the list starts at its first page unless asked otherwise.
    """
    query = request.GET.copy()
    for name in ("peek", "after", "export", "dialog"):
        query.pop(name, None)
    for name, value in changes.items():
        _set(query, name.replace("__", "."), value)
    text = query.urlencode(safe="/:,")
    return f"{request.path}?{text}" if text else request.path


def _set(query: QueryDict, name: str, value: str | None) -> None:
    if value is None or value == "":
        query.pop(name, None)
    else:
        query[name] = value


def hidden_fields(request: HttpRequest, *, without: set[str]) -> list[tuple[str, str]]:
    """The parameters that a form of this page must carry along."""
    dropped = without | {"peek", "after", "export", "dialog"}
    pairs = ((name, str(value)) for name, value in request.GET.items())
    return [(name, value) for name, value in pairs if name not in dropped and value]


def state_of(request: HttpRequest) -> str:
    """The parameters that make the page what it is, without what is open on it or exported."""
    query = request.GET.copy()
    for name in ("peek", "after", "export", "dialog"):
        query.pop(name, None)
    return query.urlencode()
