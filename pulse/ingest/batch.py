"""A batch of lines into columns, without a Python object an event.

The fast way reads the whole batch with Arrow's JSON reader and checks whole columns. It
only ever says yes: whatever it does not like goes the exact way, line by line with the
decoder of ``wire.events``, which accepts the batch after all or names the line.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pulse.errors import MalformedBatch, MalformedLine
from pulse.ingest.clocks import placed
from pulse.ingest.columns import REQUESTS, TYPE_KEY, Column, Shape
from pulse.ingest.reader import read_lines
from pulse.ingest.uuids import uuid_column
from wire.events import Event, decode_event
from wire.protocol import MAX_BATCH_LINES, MAX_LINE_BYTES

_NULL: Final = int.from_bytes(b"null", "little")
_MAX_INT8: Final = 127
# What is written, read and sent again until it is in the store is as narrow as its values.
_WIDTHS: Final = (
    (0, 2**8 - 1, pa.uint8()),
    (0, 2**16 - 1, pa.uint16()),
    (0, 2**32 - 1, pa.uint32()),
    (-(2**63), 2**63 - 1, pa.int64()),
)


@dataclass(frozen=True)
class Batch:
    rows: int
    payload: pa.Buffer
    """An Arrow IPC stream of columns of the event store. A column that no event has is left
    out, if its default is zero, false or empty: another batch in the same block may have it,
    and what is missing there becomes exactly that."""


class NotPlain(Exception):
    """The fast way will not vouch for this batch."""


def parse_batch(
    data: bytes, *, received_at: datetime, replaying: bool, shape: Shape = REQUESTS
) -> Batch:
    """The events in ``data``, one JSON object a line, all of one kind.

    ``replaying`` marks every event as replayed. Raises ``MalformedLine`` (which line and
    why) or ``MalformedBatch``.
    """
    try:
        table = _read_fast(data, shape)
    except (NotPlain, pa.ArrowInvalid):
        table = _read_exactly(data, shape)
    if replaying:
        table = as_replayed(table)
    return Batch(table.num_rows, as_stream(placed(table, received_at)))


def _read_fast(data: bytes, shape: Shape) -> pa.Table:
    ends = _check_lines(data)
    lines = len(ends)
    table = read_lines(data, ends, shape)
    if table.num_rows != lines:
        raise NotPlain
    table = table.combine_chunks()
    _require(pc.all(pc.equal(table[TYPE_KEY], shape.kind), skip_nulls=False).as_py())
    present = set(table.column_names)
    chosen = {}
    for column in shape.columns:
        values = table[column.key].combine_chunks() if column.key in present else None
        if column.required and (values is None or values.null_count):
            raise NotPlain
        if values is not None and values.null_count < lines:
            chosen[column.name] = CHECKS[column.kind](column, _filled(column, values))
        elif column.default:
            chosen[column.name] = constant(column, lines)
    return pa.table(chosen)


def _check_lines(data: bytes) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Where the lines end, when each looks like one object.

    Arrow's reader crashes on a file that is the word ``null``, takes ``{}{}`` for two rows
    and does not look at the encoding of strings, so none of these may reach it.
    """
    # Arrays and not methods of bytes: several times faster, and every batch pays for it.
    octets = np.frombuffer(data, dtype=np.uint8)
    newlines = octets == ord("\n")
    # Counted first: the places of 64 million line ends would take half a gigabyte.
    count = np.count_nonzero(newlines)
    if count > MAX_BATCH_LINES:
        raise MalformedBatch(f"the batch has {count} lines, the limit is {MAX_BATCH_LINES}")
    ends = np.flatnonzero(newlines)
    if not data.endswith(b"}\n") or octets[0] != ord("{"):
        raise NotPlain
    if (octets[ends[:-1] + 1] != ord("{")).any() or (octets[ends - 1] != ord("}")).any():
        raise NotPlain
    if np.diff(ends, prepend=-1).max() > MAX_LINE_BYTES or _says_null(data):
        raise NotPlain
    if not data.isascii():
        _require_utf8(data)
    return ends


def _require_utf8(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError:
        raise NotPlain from None


def _says_null(data: bytes) -> bool:
    """Arrow takes ``null`` for a field that is left out; the contract does not.

    Four bytes at a time, at each of four offsets: a third of what a search takes, which stops
    at every ``n``.
    """
    return any(
        (np.frombuffer(data, "<u4", (len(data) - offset) // 4, offset) == _NULL).any()
        for offset in range(4)
    )


def _filled(column: Column, values: Any) -> Any:
    return pc.fill_null(values, column.default) if values.null_count else values


def constant(column: Column, rows: int) -> Any:
    """The default of a column that no event has."""
    if not column.dictionary:
        return pa.repeat(pa.scalar(column.default, column.read_as), rows)
    indices = pa.array(np.zeros(rows, dtype=np.int8))
    return pa.DictionaryArray.from_arrays(indices, pa.array([column.default], column.read_as))


def _text(column: Column, values: Any) -> Any:
    encoded = _encoded(values) if column.dictionary else values
    # What repeats is checked once.
    distinct = encoded.dictionary if column.dictionary else values
    # Bytes, which are never fewer than the characters that the contract counts.
    if column.max_length is not None and distinct.nbytes > column.max_length:
        _require(pc.max(pc.binary_length(distinct)).as_py() <= column.max_length)
    if column.pattern is not None:
        _require(pc.all(pc.match_substring_regex(distinct, column.pattern)).as_py())
    return encoded


def _choice(column: Column, values: Any) -> Any:
    encoded = _encoded(values)
    known = pc.is_in(encoded.dictionary, value_set=pa.array(column.choices))
    _require(pc.all(known).as_py())
    return encoded


def _encoded(values: Any) -> Any:
    """As a dictionary with the narrowest places: most columns have few different texts."""
    encoded = pc.dictionary_encode(values)
    if len(encoded.dictionary) > _MAX_INT8:
        return encoded
    return pa.DictionaryArray.from_arrays(encoded.indices.cast(pa.int8()), encoded.dictionary)


def _integer(column: Column, values: Any) -> Any:
    extremes = pc.min_max(values).as_py()
    low, high = extremes["min"], extremes["max"]
    # In Python: a comparison of Arrow's costs as much as a thousand values.
    _require(low >= column.low and high <= column.high)
    return values.cast(next(kind for least, most, kind in _WIDTHS if least <= low and high <= most))


def _moment(_column: Column, values: Any) -> Any:
    return values.cast(pa.timestamp("us", "UTC"))


def _uuid(_column: Column, values: Any) -> Any:
    converted = uuid_column(values)
    if converted is None:
        raise NotPlain
    return converted


def _flag(_column: Column, values: Any) -> Any:
    return values


CHECKS: Final = {
    "text": _text,
    "choice": _choice,
    "integer": _integer,
    "moment": _moment,
    "uuid": _uuid,
    "flag": _flag,
}


def _require(holds: Any) -> None:
    if not holds:
        raise NotPlain


def _read_exactly(data: bytes, shape: Shape) -> pa.Table:
    events = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if number > MAX_BATCH_LINES + 1:
            raise MalformedBatch(f"the batch has more than {MAX_BATCH_LINES} lines")
        if line.strip():
            events.append(_decoded(number, line, shape.kind))
    if not events:
        raise MalformedBatch("the batch holds no event")
    return pa.table({column.name: _array(column, events) for column in shape.columns})


def _decoded(number: int, line: bytes, kind: str) -> Event:
    if len(line) > MAX_LINE_BYTES:
        raise MalformedLine(number, f"it has {len(line)} bytes, the limit is {MAX_LINE_BYTES}")
    try:
        event = decode_event(line, kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedLine(number, str(error)) from error
    moment = event.timestamp
    event.timestamp = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return event


def _array(column: Column, events: list[Event]) -> Any:
    values = [getattr(event, column.name) for event in events]
    if column.kind == "uuid":
        return pa.array([value.bytes for value in values], pa.binary(16))
    if column.kind == "moment":
        return pa.array(values, pa.timestamp("us", "UTC"))
    if column.kind == "choice":
        values = [str(value.value) for value in values]
    array = pa.array(values, column.read_as)
    return pc.dictionary_encode(array) if column.dictionary else array


def as_replayed(table: pa.Table) -> pa.Table:
    """The events as those of an agent that feeds a recording; every kind has the field."""
    name, values = "replayed", pa.repeat(pa.scalar(True), table.num_rows)
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, values)
    return table.append_column(name, values)


def as_stream(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()
