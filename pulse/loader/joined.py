"""Tables of many batches in one: the same columns may come in types of different width."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

_ENCODED = pa.dictionary(pa.int32(), pa.string())
_PLACE = pa.int8()
_MAX_INT8 = 127


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """All rows, one chunk a column; what a table has no column for is null there.

    Raises ``pa.ArrowInvalid`` when types cannot meet.
    """
    wide = _wide({table.schema for table in tables})
    plain = [field.name for field in wide if field.type == pa.string()]
    # The empty one comes first and says what the others widen to.
    alike = [wide.empty_table(), *(_decoded(table, plain) for table in tables)]
    table = pa.concat_tables(alike, promote_options="permissive")
    return table.unify_dictionaries().combine_chunks()


def narrowed(table: pa.Table) -> pa.Table:
    """The same, with places of one byte in dictionaries of few texts: less to send and to read.

    Every column has one chunk.
    """
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            array = table[field.name].combine_chunks()
            if len(array.dictionary) <= _MAX_INT8:
                few = pa.DictionaryArray.from_arrays(array.indices.cast(_PLACE), array.dictionary)
                table = table.set_column(place, field.name, few)
    return table


def _wide(schemas: set[pa.Schema]) -> pa.Schema:
    """Dictionaries grow when they are joined. A column is one only where all tables have it so."""
    found: dict[str, pa.DataType] = {}
    for schema in schemas:
        for field in schema:
            kind = _ENCODED if pa.types.is_dictionary(field.type) else field.type
            if found.setdefault(field.name, kind) != kind:
                found[field.name] = pa.int64() if pa.types.is_integer(kind) else pa.string()
    return pa.schema(found.items())


def _decoded(table: pa.Table, plain: Sequence[str]) -> pa.Table:
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type) and field.name in plain:
            table = table.set_column(place, field.name, table[field.name].cast(pa.string()))
    return table
