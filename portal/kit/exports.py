"""Lists as files: CSV for spreadsheets, JSON for programs, streamed row by row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.http import StreamingHttpResponse

from portal.kit import formats
from qcloud.kernel.spreadsheet import csv_lines, spreadsheet_safe

__all__ = ["csv_lines", "export_response", "json_lines", "spreadsheet_safe"]


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
