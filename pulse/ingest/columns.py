"""The columns of a batch, worked out from ``wire.events``: the contract stands there alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec
import pyarrow as pa

from wire.events import EVENT_TYPES, Event

# Free text that seldom repeats gains nothing from a dictionary.
_DISTINCT: Final = frozenset(
    {
        "path", "source_ip", "destination_ip", "auth_token_mask", "auth_token_hash",
        "object_digest", "digest", "url", "addresses", "headers",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One field of the event and what its values must be."""

    name: str
    """In the event store."""
    key: str
    """On the wire."""
    kind: str
    """``text``, ``choice``, ``integer``, ``flag``, ``uuid`` or ``moment``."""
    required: bool
    default: Any = None
    max_length: int | None = None
    pattern: str | None = None
    low: int | None = None
    high: int | None = None
    choices: tuple[str, ...] = ()

    @property
    def dictionary(self) -> bool:
        """Whether the values repeat enough to be stored once each."""
        return self.kind in {"text", "choice"} and self.name not in _DISTINCT

    @property
    def read_as(self) -> pa.DataType:
        """What the JSON reader makes of it."""
        return _READ_AS[self.kind]


_READ_AS: Final = {
    "text": pa.string(),
    "choice": pa.string(),
    "uuid": pa.string(),
    "integer": pa.int64(),
    "flag": pa.bool_(),
    "moment": pa.timestamp("us"),
}


def _column(field: msgspec.inspect.Field) -> Column:
    kind: Any = field.type
    default = None if field.required else field.default
    constraints: dict[str, Any] = {}
    if isinstance(kind, msgspec.inspect.StrType):
        name = "text"
        constraints = {"max_length": kind.max_length, "pattern": kind.pattern}
    elif isinstance(kind, msgspec.inspect.IntType):
        name = "integer"
        constraints = {"low": kind.ge, "high": kind.le}
    elif isinstance(kind, msgspec.inspect.EnumType):
        name = "choice"
        constraints = {"choices": tuple(str(member.value) for member in kind.cls)}
        default = None if default is None else str(default.value)
    else:
        name = _PLAIN[type(kind)]
    return Column(field.name, field.encode_name, name, field.required, default, **constraints)


_PLAIN: Final = {
    msgspec.inspect.BoolType: "flag",
    msgspec.inspect.UUIDType: "uuid",
    msgspec.inspect.DateTimeType: "moment",
}


TYPE_KEY: Final = "type"


@dataclass(frozen=True, eq=False)
class Shape:
    """What events of one kind look like."""

    kind: str
    """What stands in ``type``."""
    columns: tuple[Column, ...]
    wire: pa.Schema
    """By the names on the wire, ``type`` first."""


def _shape(kind: str, struct: type[Event]) -> Shape:
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)  # noqa: S101  tells mypy, never false
    columns = tuple(_column(field) for field in info.fields)
    fields = [pa.field(TYPE_KEY, pa.string()), *(pa.field(c.key, c.read_as) for c in columns)]
    return Shape(kind, columns, pa.schema(fields))


SHAPES: Final = {kind: _shape(kind, struct) for kind, struct in EVENT_TYPES.items()}
REQUESTS: Final = SHAPES["request"]
