"""Columns into a file: Parquet, or CSV that no spreadsheet takes for formulas."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import IO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

FORMATS: Final = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}
# As qcloud.kernel.spreadsheet has it, for whole columns.
_FORMULA: Final = "^[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"


def write_pages(
    file: IO[bytes], kind: str, pages: Iterable[pa.Table], progress: Callable[[int], None]
) -> int:
    """Write all pages; ``progress`` hears the rows after each. Returns the rows."""
    writer = _Csv(file) if kind == "csv" else _Parquet(file)
    rows = 0
    for page in pages:
        writer.write(_texts(page))
        rows += page.num_rows
        progress(rows)
    writer.close()
    return rows


class _Csv:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._begun = False

    def write(self, page: pa.Table) -> None:
        if not self._begun:
            self._file.write(b"\xef\xbb\xbf")
        options = csv.WriteOptions(include_header=not self._begun)
        csv.write_csv(_harmless(page), self._file, options)
        self._begun = True

    def close(self) -> None:
        """A file without requests is empty but for its mark."""
        if not self._begun:
            self._file.write(b"\xef\xbb\xbf")


class _Parquet:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._writer: pq.ParquetWriter | None = None

    def write(self, page: pa.Table) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file, page.schema, compression="zstd")
        self._writer.write_table(page)

    def close(self) -> None:
        if self._writer is None:
            pq.write_table(pa.table({"request_id": pa.array([], pa.string())}), self._file)
        else:
            self._writer.close()


def _texts(page: pa.Table) -> pa.Table:
    """Bytes of the engine as text; what is no UTF-8 loses what is not."""
    for place, field in enumerate(page.schema):
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            texts = [v.decode("utf-8", "replace") for v in page[field.name].to_pylist()]
            page = page.set_column(place, field.name, pa.array(texts, pa.string()))
    return page


def _harmless(page: pa.Table) -> pa.Table:
    for place, field in enumerate(page.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            plain = pc.replace_substring(page[field.name], "\0", "")
            marked = pc.binary_join_element_wise("'", plain, "")
            safe = pc.if_else(pc.match_substring_regex(plain, _FORMULA), marked, plain)
            page = page.set_column(place, field.name, safe)
    return page
