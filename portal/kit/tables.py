"""Lists: columns, filters, sorting, pages and exports, all of it in the address.

A list is described once, by its columns and filters; the page, the column chooser and the
export come from that description.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Generic, TypeVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from portal.kit import formats
from portal.kit.exports import export_response
from portal.kit.urls import with_query

Row = TypeVar("Row")
PAGE: Final = 50
EXPORT_PAGE: Final = 500


@dataclass(frozen=True)
class Cell:
    """What stands in one cell."""

    text: str
    href: str = ""
    tone: str = ""
    """``ok``, ``warn``, ``danger``, ``info``, ``muted``: a badge; empty: plain text."""
    icon: str = ""
    title: str = ""
    sub: str = ""
    """A second, quieter line."""
    peek: bool = False
    code: bool = False
    clip: bool = False
    indent: int = 0
    time: Any = None
    """A moment; takes the place of ``text``."""
    spark: tuple[float | None, ...] = ()
    form: str = ""
    """Name of a dialog that the cell opens, with ``text`` as the button's words."""
    replayed: bool = False
    field: str = ""
    """Name by which programs find the cell's text on the page."""
    rel: str = ""
    """Relation of the link."""


@dataclass(frozen=True)
class Column(Generic[Row]):
    key: str
    label: str
    value: Callable[[Row], Any]
    """For sorting and exports."""
    cell: Callable[[Row], Cell] | None = None
    number: bool = False
    sort: bool = True
    shown: bool = True
    exported: bool = True

    def render(self, row: Row) -> Cell:
        if self.cell:
            return self.cell(row)
        value = self.value(row)
        if self.number and isinstance(value, int):
            return Cell(formats.count(value))
        return Cell(formats.NONE if value is None or value == "" else str(value))


@dataclass(frozen=True)
class Choice:
    """A filter by one of a few values."""

    key: str
    label: str
    options: tuple[tuple[str, str], ...]
    """Value and words."""


@dataclass(frozen=True)
class Query:
    """What the address asks of a list."""

    text: str
    filters: dict[str, str]
    sort: str
    descending: bool
    after: str
    columns: tuple[str, ...]
    export: str


@dataclass(frozen=True)
class Page(Generic[Row]):
    rows: Sequence[Row]
    next_cursor: str
    total: int | None = None
    """Of all pages; ``None`` where counting would cost more than it tells."""


Fetch = Callable[[Query, str, int], Page[Row]]
"""Rows after a cursor, at most so many."""


@dataclass(frozen=True)
class TableSpec(Generic[Row]):
    name: str
    """Of exported files and of the table's id."""
    noun: str
    """``requests``: for sentences."""
    columns: tuple[Column[Row], ...]
    sort: str = ""
    """Default: a column's key, with ``-`` for descending."""
    choices: tuple[Choice, ...] = ()
    searchable: bool = True
    placeholder: str = "Filter"
    page_size: int = PAGE
    row_id: Callable[[Row], str] = field(default=lambda row: str(getattr(row, "id", "")))
    bulk: str = ""
    """Id of a form that takes the rows that were ticked, as ``ids``; empty: nothing to tick."""


def read_query(request: HttpRequest, spec: TableSpec[Any]) -> Query:
    sort = request.GET.get("sort") or spec.sort
    keys = {column.key for column in spec.columns if column.sort}
    key = sort.removeprefix("-")
    if key not in keys:
        sort, key = spec.sort, spec.sort.removeprefix("-")
    allowed = {c.key: {value for value, _ in c.options} for c in spec.choices}
    filters = {
        name: value
        for name in allowed
        if (value := request.GET.get(f"f.{name}", "")) and value in allowed[name]
    }
    wanted = tuple(c for c in request.GET.get("cols", "").split(",") if c)
    chosen = request.GET.getlist("col")
    return Query(
        # No text in a database holds a NUL, and PostgreSQL refuses to be asked for one.
        text=request.GET.get("q", "").replace("\0", "").strip()[:200],
        filters=filters,
        sort=key,
        descending=sort.startswith("-"),
        after=request.GET.get("after", "")[:500],
        columns=tuple(chosen) or wanted,
        export=request.GET.get("export", ""),
    )


def fetch_from(
    rows: Sequence[Row], spec: TableSpec[Row], **tests: Callable[[Row, str], bool]
) -> Fetch[Row]:
    """A fetch over rows that are in memory already; ``tests`` decide the choices."""

    def fetch(query: Query, cursor: str, limit: int) -> Page[Row]:
        kept = [row for row in rows if _matches(row, spec, query, tests)]
        column = next((c for c in spec.columns if c.key == query.sort), None)
        if column:
            kept.sort(key=lambda row: _sort_key(column.value(row)), reverse=query.descending)
        start = _offset(kept, spec, cursor)
        page = kept[start : start + limit]
        more = start + limit < len(kept)
        return Page(page, spec.row_id(page[-1]) if more else "", len(kept))

    return fetch


def _matches(
    row: Row, spec: TableSpec[Row], query: Query, tests: dict[str, Callable[[Row, str], bool]]
) -> bool:
    if any(not tests[name](row, value) for name, value in query.filters.items()):
        return False
    if not query.text:
        return True
    haystack = " ".join(str(column.value(row) or "") for column in spec.columns).casefold()
    return all(word in haystack for word in query.text.casefold().split())


def _sort_key(value: Any) -> tuple[bool, Any]:
    return (value is not None, value.casefold() if isinstance(value, str) else value)


def _offset(rows: Sequence[Row], spec: TableSpec[Row], cursor: str) -> int:
    """After the row with this id; the beginning if that row has gone."""
    if not cursor:
        return 0
    return next((i + 1 for i, row in enumerate(rows) if spec.row_id(row) == cursor), 0)


@dataclass(frozen=True)
class Head:
    column: Column[Any]
    href: str
    direction: str
    """``ascending``, ``descending`` or empty."""


@dataclass(frozen=True)
class Line:
    id: str
    cells: tuple[tuple[Column[Any], Cell], ...]


@dataclass(frozen=True)
class Table:
    """What ``components/table.html`` shows."""

    spec: TableSpec[Any]
    query: Query
    heads: tuple[Head, ...]
    lines: tuple[Line, ...]
    total: int | None
    next_href: str
    first_href: str
    csv_href: str
    json_href: str
    chips: tuple[tuple[str, str], ...]
    """Words of an active filter, and the address without it."""
    chosen: frozenset[str]

    @property
    def choices(self) -> list[tuple[Choice, str]]:
        """Filters with their present value."""
        return [(c, self.query.filters.get(c.key, "")) for c in self.spec.choices]

    @property
    def choice_names(self) -> frozenset[str]:
        return frozenset(f"f.{c.key}" for c in self.spec.choices)

    @property
    def is_filtered(self) -> bool:
        return bool(self.chips)

    @property
    def sentence(self) -> str:
        shown = f"{len(self.lines):,}"
        if self.total is None:
            more = " and more" if self.next_href else ""
            return f"{shown} {self.spec.noun}{more}"
        return f"{shown} of {self.total:,} {self.spec.noun}"


def table(
    request: HttpRequest, spec: TableSpec[Row], fetch: Fetch[Row]
) -> Table | HttpResponseBase:
    """The list for this address, or the file if the address asks for an export."""
    query = read_query(request, spec)
    if query.export in {"csv", "json"}:
        return _export(spec, query, fetch)
    page = fetch(query, query.after, spec.page_size)
    columns = _columns(spec, query)
    return Table(
        spec=spec,
        query=query,
        heads=tuple(_head(request, column, query) for column in columns),
        lines=tuple(
            Line(spec.row_id(row), tuple((c, c.render(row)) for c in columns)) for row in page.rows
        ),
        total=page.total,
        next_href=with_query(request, after=page.next_cursor) if page.next_cursor else "",
        first_href=with_query(request) if query.after else "",
        csv_href=with_query(request, export="csv"),
        json_href=with_query(request, export="json"),
        chips=tuple(_chips(request, spec, query)),
        chosen=frozenset(column.key for column in columns),
    )


def _columns(spec: TableSpec[Row], query: Query) -> tuple[Column[Row], ...]:
    wanted = [column for column in spec.columns if column.key in query.columns]
    return tuple(wanted) or tuple(column for column in spec.columns if column.shown)


def _head(request: HttpRequest, column: Column[Any], query: Query) -> Head:
    if not column.sort:
        return Head(column, "", "")
    current = query.sort == column.key
    descending = not query.descending if current else column.number
    direction = ("descending" if query.descending else "ascending") if current else ""
    return Head(
        column, with_query(request, sort=f"{'-' if descending else ''}{column.key}"), direction
    )


def _chips(request: HttpRequest, spec: TableSpec[Any], query: Query) -> Iterator[tuple[str, str]]:
    if query.text:
        yield f"“{query.text}”", with_query(request, q=None)
    for choice in spec.choices:
        value = query.filters.get(choice.key)
        if value:
            words = dict(choice.options)[value]
            yield f"{choice.label}: {words}", with_query(request, **{f"f.{choice.key}": None})


def _export(spec: TableSpec[Row], query: Query, fetch: Fetch[Row]) -> HttpResponseBase:
    columns = [column for column in spec.columns if column.exported]
    rows = ([column.value(row) for column in columns] for row in _every(query, fetch))
    return export_response(query.export, spec.name, [c.key for c in columns], rows)


def _every(query: Query, fetch: Fetch[Row]) -> Iterator[Row]:
    cursor = ""
    while True:
        page = fetch(query, cursor, EXPORT_PAGE)
        yield from page.rows
        if not page.next_cursor:
            return
        cursor = page.next_cursor


def options(values: Iterable[str], most: int = 200) -> tuple[tuple[str, str], ...]:
    """Distinct values as options, in order."""
    return tuple((value, value) for value in islice(sorted({v for v in values if v}), most))
