"""A batch that comes in columns: an Arrow IPC stream, checked a column at a time.

Everything in it is the sender's word: offsets, dictionaries and lengths are verified before
any value is looked at. What reaches the spool is written anew under our own schema, unless the
batch has nothing else in it to begin with. Whose events they are is not in it: that comes from
the token.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from pulse.errors import MalformedBatch
from pulse.ingest.as_sent import rows_as_sent
from pulse.ingest.batch import CHECKS, Batch, NotPlain, as_replayed, as_stream, constant
from pulse.ingest.clocks import placed
from pulse.ingest.columns import REQUESTS, Column, Shape
from pulse.ingest.uuids import uuid_column
from wire.protocol import MAX_BATCH_DECODED_BYTES, MAX_BATCH_LINES

_UUID: Final = pa.binary(16)
_MOMENT: Final = pa.timestamp("us", "UTC")
_MAX_RECORD_BATCHES: Final = 64
_INDEX: Final = pa.int32()


def parse_columns(
    data: bytes, *, received_at: datetime, replaying: bool, shape: Shape = REQUESTS
) -> Batch:
    """The events in an Arrow IPC stream whose columns have the names of ``wire.events``.

    A column with a default may be left out, none may hold nulls, and columns that we do not
    know are left out. Raises ``MalformedBatch``, naming the column.
    """
    rows = 0 if replaying else rows_as_sent(data, received_at, shape)
    if rows:
        return Batch(rows, pa.py_buffer(data))
    table = _read(data, shape)
    present = set(table.column_names)
    chosen: dict[str, Any] = {}
    for column in shape.columns:
        if column.name in present:
            chosen[column.name] = _checked(column, table[column.name])
        elif column.required:
            raise MalformedBatch(f"the column {column.name} is missing")
        elif column.default:
            chosen[column.name] = constant(column, table.num_rows)
    found = pa.table(chosen)
    if replaying:
        found = as_replayed(found)
    return Batch(found.num_rows, as_stream(placed(found, received_at)))


def _read(data: bytes, shape: Shape) -> pa.Table:
    try:
        with pa.ipc.open_stream(pa.BufferReader(data)) as reader:
            _check_names(reader.schema, shape)
            table = _rows(reader)
        # Offsets and indices are used without looking by everything that follows.
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise MalformedBatch(f"the body is not a whole Arrow IPC stream: {error}") from error
    if not table.num_rows:
        raise MalformedBatch("the batch holds no event")
    return table.combine_chunks()


def _check_names(schema: pa.Schema, shape: Shape) -> None:
    if len(set(schema.names)) != len(schema.names):
        raise MalformedBatch("two columns have one name")
    if len(schema.names) > 4 * len(shape.columns):
        raise MalformedBatch(f"{len(schema.names)} columns are more than an event has")


def _rows(reader: Any) -> pa.Table:
    """Bounded while it is read: a body of few bytes can announce many rows, and buffers in it
    may be compressed once more.
    """
    batches: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in reader:
        batches.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if len(batches) > _MAX_RECORD_BATCHES:
            raise MalformedBatch(f"the limit is {_MAX_RECORD_BATCHES} record batches")
        if rows > MAX_BATCH_LINES:
            raise MalformedBatch(f"the batch has more than {MAX_BATCH_LINES} events")
        if size > MAX_BATCH_DECODED_BYTES:
            raise MalformedBatch(f"the batch takes more than {MAX_BATCH_DECODED_BYTES} bytes")
    return pa.Table.from_batches(batches, reader.schema)


def _checked(column: Column, values: pa.ChunkedArray) -> Any:
    array = values.combine_chunks()
    if array.null_count:
        raise MalformedBatch(f"the column {column.name} holds nulls")
    typed = _typed(column, array)
    if column.kind in {"uuid", "flag", "moment"}:
        return typed
    try:
        return _CHECKED[column.kind](column, typed)
    except (NotPlain, pa.ArrowInvalid):
        raise MalformedBatch(f"the column {column.name} holds a value {_rule(column)}") from None


def _typed(column: Column, array: Any) -> Any:
    """The column in the one type that our own reader of lines makes of it."""
    kind = array.type
    if column.kind == "uuid" and kind == pa.string():
        array = uuid_column(array)
        if array is None:
            raise MalformedBatch(f"the column {column.name} holds a text that is no UUID")
        return array
    if column.kind in {"text", "choice"}:
        return _text(column, array)
    wanted = {"uuid": _UUID, "flag": pa.bool_(), "moment": _MOMENT}.get(column.kind)
    if wanted is not None:
        if kind != wanted:
            raise MalformedBatch(f"the column {column.name} must be {wanted}, not {kind}")
        return array
    if not pa.types.is_integer(kind):
        raise MalformedBatch(f"the column {column.name} must hold whole numbers, not {kind}")
    try:
        return array.cast(pa.int64())
    except pa.ArrowInvalid:
        raise MalformedBatch(f"the column {column.name} holds a value above 2^63-1") from None


def _text(column: Column, array: Any) -> Any:
    kind = array.type
    if pa.types.is_dictionary(kind):
        if kind.value_type != pa.string() or array.dictionary.null_count:
            raise MalformedBatch(f"the dictionary of {column.name} must hold strings, no nulls")
        if not column.dictionary:
            return pc.take(array.dictionary, array.indices)
        return pa.DictionaryArray.from_arrays(array.indices.cast(_INDEX), array.dictionary)
    if kind != pa.string():
        raise MalformedBatch(f"the column {column.name} must be strings, not {kind}")
    return array


_CHECKED: Final = {
    "text": CHECKS["text"],
    "choice": CHECKS["choice"],
    "integer": CHECKS["integer"],
}


def _rule(column: Column) -> str:
    if column.kind == "integer":
        return f"that is not between {column.low} and {column.high}"
    if column.kind == "choice":
        return f"that is none of {', '.join(column.choices)}"
    return f"of more than {column.max_length} bytes" if column.max_length else "of another form"
