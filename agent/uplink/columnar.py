"""A batch of lines in columns, for a platform that takes them: less for it to read.

Needs pyarrow, which not every node has: without it the lines go as they are.
"""

from __future__ import annotations

import importlib.util
from typing import Any, Final

import msgspec

from wire.events import EVENT_TYPES

_DISTINCT: Final = frozenset(
    {
        "path", "request_id", "connection_id", "lookup_id", "addresses", "auth_token_mask",
        "auth_token_hash", "object_digest", "digest", "url",
        "headers",
    }
)  # fmt: skip
"""Texts that seldom repeat; of the others each is sent once a batch."""
_BLOCK: Final = 4 * 1024 * 1024


def is_possible() -> bool:
    return importlib.util.find_spec("pyarrow") is not None


def columns_of(lines: bytes, kind: str = "request") -> bytes:
    """The events of these lines, all of one kind, as an Arrow IPC stream.

    Columns are named as in ``wire.events``. A column that no line has is left out. Raises
    ``ValueError`` for lines that are no events.
    """
    import pyarrow as pa
    import pyarrow.json as pj

    schema = _schema(kind)
    table = pj.read_json(
        pa.BufferReader(lines),
        read_options=pj.ReadOptions(use_threads=False, block_size=_BLOCK),
        parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    ).combine_chunks()
    columns = {}
    for field in msgspec.structs.fields(EVENT_TYPES[kind]):
        values = table[field.encode_name].combine_chunks()
        if values.null_count < table.num_rows:
            columns[field.name] = _array(field, values)
    found = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, found.schema) as writer:
        writer.write_table(found)
    whole: bytes = sink.getvalue().to_pybytes()
    return whole


def _array(field: msgspec.structs.FieldInfo, values: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if values.null_count:
        if field.required:
            raise ValueError(f"a line has no {field.encode_name}")
        values = pc.fill_null(values, field.default)
    if values.type == pa.timestamp("us"):
        return values.cast(pa.timestamp("us", "UTC"))
    if values.type == pa.string() and field.name not in _DISTINCT:
        return pc.dictionary_encode(values)
    return values


def _schema(kind: str) -> Any:
    import pyarrow as pa

    kinds = {
        msgspec.inspect.IntType: pa.int64(),
        msgspec.inspect.BoolType: pa.bool_(),
        msgspec.inspect.DateTimeType: pa.timestamp("us"),
    }
    info = msgspec.inspect.type_info(EVENT_TYPES[kind])
    assert isinstance(info, msgspec.inspect.StructType)  # noqa: S101  tells mypy, never false
    return pa.schema([(f.encode_name, kinds.get(type(f.type), pa.string())) for f in info.fields])
