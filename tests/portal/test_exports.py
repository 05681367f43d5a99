from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kit.exports import csv_lines, export_response, json_lines, spreadsheet_safe


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_text_that_begins_like_a_formula_becomes_text(start: str) -> None:
    assert spreadsheet_safe(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (-5, "-5"),
        (Decimal("-1.50"), "-1.50"),
        (None, ""),
        ("a=b", "a=b"),
        (datetime(2026, 11, 21, 9, 0, tzinfo=UTC), "2026-11-21T09:00:00Z"),
    ],
)
def test_numbers_times_and_plain_text_stay(value: object, cell: str) -> None:
    assert spreadsheet_safe(value) == cell


@given(st.lists(st.lists(st.text(), min_size=2, max_size=2)))
def test_no_cell_of_a_csv_begins_a_formula(rows: list[list[str]]) -> None:
    text = "".join(csv_lines(["a", "b"], rows)).removeprefix("\ufeff")
    for row in csv.reader(io.StringIO(text, newline="")):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)


@given(st.lists(st.tuples(st.text(), st.integers())))
def test_json_is_one_array_of_all_rows(rows: list[tuple[str, int]]) -> None:
    document = json.loads("".join(json_lines(["name", "n"], rows)))
    assert document == [{"name": name, "n": n} for name, n in rows]


def test_a_file_has_its_name_and_is_kept_by_nobody() -> None:
    response = export_response("csv", "agents", ["name"], [["node-1"]])
    assert response["Content-Disposition"] == 'attachment; filename="agents.csv"'
    assert response["Cache-Control"] == "private, no-store"
    assert b"".join(response) == b"\xef\xbb\xbfname\r\nnode-1\r\n"
