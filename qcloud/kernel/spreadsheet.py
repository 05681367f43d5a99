"""Rows as CSV that no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

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
        return iso(value)
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


def iso(moment: datetime) -> str:
    """UTC, ISO 8601."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
