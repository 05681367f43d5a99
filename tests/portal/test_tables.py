"""Lists: filter, sort, page, choose columns, export; all of it in the address."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import pytest
from django.http import StreamingHttpResponse
from django.test import RequestFactory

from portal.kit.tables import Cell, Choice, Column, Table, TableSpec, fetch_from, table


@dataclass(frozen=True)
class Row:
    id: int
    name: str
    size: int | None


ROWS = [Row(i, f"row-{i % 7}-{i}", None if i == 5 else i * 10) for i in range(25)]
SPEC: TableSpec[Row] = TableSpec(
    name="rows",
    noun="rows",
    sort="name",
    page_size=10,
    choices=(Choice("kind", "Kind", (("even", "even"), ("odd", "odd"))),),
    columns=(
        Column("name", "Name", lambda r: r.name),
        Column("size", "Size", lambda r: r.size, lambda r: Cell(f"{r.size} B"), number=True),
        Column("hidden", "Hidden", lambda r: r.id, shown=False),
    ),
)


def shown(query: str) -> Table:
    fetch = fetch_from(ROWS, SPEC, kind=lambda r, value: (r.id % 2 == 0) == (value == "even"))
    result = table(RequestFactory().get(f"/rows?{query}"), SPEC, fetch)
    assert isinstance(result, Table)
    return result


def ids(result: Table) -> list[int]:
    return [int(line.id) for line in result.lines]


def test_all_pages_together_are_all_rows_once() -> None:
    seen: list[int] = []
    result = shown("sort=-size")
    seen += ids(result)
    while result.next_href:
        result = shown(result.next_href.partition("?")[2])
        seen += ids(result)
    assert sorted(seen) == [row.id for row in ROWS]
    assert seen[0] == 24
    assert result.first_href == "/rows?sort=-size"


def test_rows_without_a_value_come_last_when_descending() -> None:
    pages = shown("sort=size")
    assert ids(pages)[0] == 5


@pytest.mark.parametrize("sort", ["nonsense", "-nonsense", ""])
def test_an_unknown_order_is_the_usual_one(sort: str) -> None:
    assert ids(shown(f"sort={sort}")) == ids(shown(""))


def test_filters_narrow_and_each_can_be_removed() -> None:
    result = shown("q=row-1&f.kind=odd&sort=size&f.other=kept")
    assert ids(result) == [1, 15]
    assert result.chips == (
        ("“row-1”", "/rows?f.kind=odd&sort=size&f.other=kept"),
        ("Kind: odd", "/rows?q=row-1&sort=size&f.other=kept"),
    )


def test_a_value_that_is_no_choice_does_not_filter() -> None:
    assert shown("f.kind=<script>").total == len(ROWS)


def test_columns_are_chosen_and_the_usual_ones_are_shown_otherwise() -> None:
    assert [head.column.key for head in shown("").heads] == ["name", "size"]
    assert [head.column.key for head in shown("cols=hidden,name").heads] == ["name", "hidden"]
    assert [head.column.key for head in shown("col=size&col=hidden").heads] == ["size", "hidden"]
    assert [head.column.key for head in shown("cols=none").heads] == ["name", "size"]


def test_a_head_turns_the_order_round() -> None:
    name, size = shown("sort=name").heads
    assert (name.direction, name.href) == ("ascending", "/rows?sort=-name")
    assert (size.direction, size.href) == ("", "/rows?sort=-size")


def test_an_export_is_the_whole_filter_in_its_order() -> None:
    fetch = fetch_from(ROWS, SPEC, kind=lambda r, value: (r.id % 2 == 0) == (value == "even"))
    request = RequestFactory().get("/rows?f.kind=even&sort=-size&export=csv&cols=name")
    answer = table(request, SPEC, fetch)
    assert isinstance(answer, StreamingHttpResponse)
    text = b"".join(answer).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [int(row["hidden"]) for row in rows] == list(range(24, -1, -2))
    assert list(rows[0]) == ["name", "size", "hidden"]


def test_numbers_without_a_cell_of_their_own_are_grouped() -> None:
    spec: TableSpec[Row] = TableSpec(
        name="rows",
        noun="rows",
        columns=(Column("size", "Size", lambda r: r.size, number=True),),
    )
    rows = [Row(1, "a", 1_234_567), Row(2, "b", 0), Row(3, "c", None)]
    found = table(RequestFactory().get("/rows"), spec, fetch_from(rows, spec))
    assert isinstance(found, Table)
    assert [line.cells[0][1].text for line in found.lines] == ["1,234,567", "0", "–"]
