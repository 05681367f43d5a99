"""Whether a batch in columns may go to the spool with the very bytes that were sent.

This way only ever says yes. What it does not like is read again, column by column, by
``pulse.ingest.columnar``, which writes it anew or names what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from pulse.ingest.clocks import AHEAD, BEHIND
from pulse.ingest.columns import Column, Shape
from wire.protocol import MAX_BATCH_LINES

Check = Callable[[Any, datetime], bool]
"""Of one column of a batch that arrived at that moment."""

_CONTINUED: Final = b"\xff\xff\xff\xff"
_MAX_SCHEMA: Final = 64 * 1024
_MAX_CHOICES: Final = 64
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INDICES: Final = frozenset({pa.int8(), pa.int16(), pa.int32()})
# Each fits into 64 signed bits, which is what a load becomes when its batches differ.
_INTEGERS: Final = {
    pa.int8(): (-(2**7), 2**7 - 1),
    pa.int16(): (-(2**15), 2**15 - 1),
    pa.int32(): (-(2**31), 2**31 - 1),
    pa.int64(): (-(2**63), 2**63 - 1),
    pa.uint8(): (0, 2**8 - 1),
    pa.uint16(): (0, 2**16 - 1),
    pa.uint32(): (0, 2**32 - 1),
}


def rows_as_sent(data: bytes, received_at: datetime, shape: Shape) -> int:
    """How many events there are, if every one is as ``wire.events`` has it and of a time that
    can be right; 0 otherwise.
    """
    checks = _checks_of(_schema_in(data), shape)
    if checks is None:
        return 0
    try:
        batch = _only_batch(data)
    except (pa.ArrowException, OSError, ValueError):
        return 0
    if batch is None:
        return 0
    sound = all(
        not column.null_count and check(column, received_at)
        for column, check in zip(batch.columns, checks, strict=True)
    )
    return int(batch.num_rows) if sound else 0


def _schema_in(data: bytes) -> bytes:
    """The stream's first message, byte for byte."""
    if data[:4] != _CONTINUED:
        return b""
    return data[: min(8 + int.from_bytes(data[4:8], "little"), _MAX_SCHEMA)]


def _only_batch(data: bytes) -> Any:
    """The stream's record batch, verified; ``None`` unless it is all there is."""
    source = pa.BufferReader(data)
    with pa.ipc.open_stream(source) as reader:
        batch = next(reader, None)
        if batch is None or next(reader, None) is not None or source.tell() != len(data):
            return None
    if batch.num_rows > MAX_BATCH_LINES or batch.nbytes > len(data):
        return None
    # Offsets and indices are used without looking by everything that follows.
    batch.validate(full=True)
    return batch


@lru_cache(maxsize=256)
def _checks_of(schema: bytes, shape: Shape) -> tuple[Check, ...] | None:
    """A check for each column in its order; ``None``: not a schema of ours.

    Notes beside the columns would reach the engine, which reads some: none may be there.
    """
    try:
        found = pa.ipc.read_schema(pa.py_buffer(schema))
        # A name that is not UTF-8 raises here.
        names = found.names
    except (pa.ArrowException, OSError, ValueError):
        return None
    known = {column.name: column for column in shape.columns}
    needed = {column.name for column in shape.columns if column.required or column.default}
    if len(set(names)) != len(names) or not needed <= set(names) <= set(known):
        return None
    if found.metadata or any(field.metadata for field in found):
        return None
    checks = [_check_of(known[field.name], field.type) for field in found]
    return None if None in checks else tuple(check for check in checks if check is not None)


def _check_of(column: Column, kind: pa.DataType) -> Check | None:
    if column.kind in {"text", "choice"}:
        return _text_check(column, kind)
    if column.kind == "integer":
        return _integer_check(column, kind)
    if column.kind == "moment":
        return _is_in_time if kind == pa.timestamp("us", "UTC") else None
    wanted = pa.binary(16) if column.kind == "uuid" else pa.bool_()
    return _is_anything if kind == wanted else None


def _text_check(column: Column, kind: pa.DataType) -> Check | None:
    if kind == pa.string() and column.kind == "text":
        return partial(_is_text, column)
    if not pa.types.is_dictionary(kind) or kind.value_type != pa.string():
        return None
    if kind.index_type not in _INDICES:
        return None
    return partial(_are_texts if column.kind == "text" else _are_choices, column)


def _integer_check(column: Column, kind: pa.DataType) -> Check | None:
    if kind not in _INTEGERS or column.low is None or column.high is None:
        return None
    low, high = _INTEGERS[kind]
    return _is_anything if column.low <= low <= high <= column.high else partial(_is_within, column)


def _is_anything(_values: Any, _received_at: datetime) -> bool:
    """The type allows nothing that the contract does not."""
    return True


def _is_within(column: Column, values: Any, _received_at: datetime) -> bool:
    extremes = pc.min_max(values).as_py()
    return bool(column.low <= extremes["min"] and extremes["max"] <= column.high)


def _is_in_time(values: Any, received_at: datetime) -> bool:
    extremes = pc.min_max(values.view(pa.int64())).as_py()
    earliest, latest = _microseconds(received_at - BEHIND), _microseconds(received_at + AHEAD)
    return bool(earliest <= extremes["min"] and extremes["max"] <= latest)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _are_texts(column: Column, values: Any, received_at: datetime) -> bool:
    distinct = values.dictionary
    return not distinct.null_count and _is_text(column, distinct, received_at)


def _are_choices(column: Column, values: Any, _received_at: datetime) -> bool:
    distinct = values.dictionary
    return len(distinct) <= _MAX_CHOICES and set(distinct.to_pylist()) <= set(column.choices)


def _is_text(column: Column, values: Any, _received_at: datetime) -> bool:
    # Bytes, which are never fewer than the characters that the contract counts.
    most = column.max_length
    if most is not None and values.nbytes > most:
        longest = pc.max(pc.binary_length(values)).as_py()
        if longest is not None and longest > most:
            return False
    if column.pattern is None:
        return True
    return bool(pc.all(pc.match_substring_regex(values, column.pattern)).as_py())
