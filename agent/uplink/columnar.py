"""A batch of lines in columns, for a platform that takes them: less for it to read.

Needs pyarrow, which not every node has: without it the lines go as they are.
"""

from __future__ import annotations

import importlib.util
from typing import Any, Final
from uuid import UUID

import msgspec

from wire.events import EVENT_TYPES

_DISTINCT: Final = frozenset(
    {
        "path", "request_id", "connection_id", "lookup_id", "check_id", "addresses",
        "auth_token_mask", "auth_token_hash", "object_digest", "digest", "url", "headers",
    }
)  # fmt: skip
"""Texts that seldom repeat; of the others each is sent once a batch."""
_BLOCK: Final = 4 * 1024 * 1024
_MAX_INT8: Final = 127


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
        # A default that is not empty is sent, so that the platform has nothing to add.
        if values.null_count < table.num_rows or (not field.required and field.default):
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
    if values.type == pa.int64():
        return _narrow(values, pc.min_max(values).as_py())
    if field.type is UUID:
        return _identities(values)
    if values.type == pa.string() and field.name not in _DISTINCT:
        encoded = pc.dictionary_encode(values)
        size = pa.int8() if len(encoded.dictionary) <= _MAX_INT8 else pa.int32()
        return pa.DictionaryArray.from_arrays(encoded.indices.cast(size), encoded.dictionary)
    return values


def _narrow(values: Any, extremes: dict[str, int]) -> Any:
    """In the smallest type without a sign that holds them all."""
    import pyarrow as pa

    for bits, kind in ((8, pa.uint8()), (16, pa.uint16()), (32, pa.uint32())):
        if extremes["min"] >= 0 and extremes["max"] < 1 << bits:
            return values.cast(kind)
    return values


def _identities(values: Any) -> Any:
    """UUIDs in sixteen bytes each."""
    import pyarrow as pa

    octets = bytes.fromhex("".join(values.to_pylist()).replace("-", ""))
    if len(octets) != 16 * len(values):
        raise ValueError("a line has an id that is no UUID")
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(values), [None, pa.py_buffer(octets)]
    )


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
