"""Lists as files: CSV for spreadsheets, JSON for programs, streamed row by row."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.http import StreamingHttpResponse

from portal.kit import formats

_FORMULA_STARTS: Final = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
)
"""Also in full width, which spreadsheets of East Asian languages take for the same."""


def spreadsheet_safe(value: object) -> str:
    """The value as a cell that no spreadsheet takes for a formula.

    Text that begins like one gets an apostrophe in front, as OWASP's note on CSV injection
    advises; numbers stay numbers.
    """
    if value is None:
        return ""
    if isinstance(value, datetime):
        return formats.iso(value)
    if isinstance(value, bool | int | float | Decimal):
        return str(value)
    text = str(value).replace("\0", "")
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


class _Line:
    """A file that gives back what is written to it."""

    def write(self, value: str) -> str:
        return value


def csv_lines(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield "\ufeff" + writer.writerow([spreadsheet_safe(head) for head in heads])
    for row in rows:
        yield writer.writerow([spreadsheet_safe(value) for value in row])


def json_lines(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """One JSON array, an object a line."""
    yield "["
    for i, row in enumerate(rows):
        yield (
            ("," if i else "")
            + "\n"
            + json.dumps(dict(zip(heads, row, strict=True)), default=_plain)
        )
    yield "\n]\n"


def _plain(value: Any) -> Any:
    return formats.iso(value) if isinstance(value, datetime) else str(value)


def export_response(
    kind: str, name: str, heads: Sequence[str], rows: Iterable[Sequence[object]]
) -> StreamingHttpResponse:
    """``kind`` is ``csv`` or ``json``; ``name`` has no extension."""
    lines = csv_lines(heads, rows) if kind == "csv" else json_lines(heads, rows)
    content_type = "text/csv; charset=utf-8" if kind == "csv" else "application/json"
    response = StreamingHttpResponse(lines, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}.{kind}"'
    response["Cache-Control"] = "private, no-store"
    return response
