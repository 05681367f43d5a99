"""The recording format, version 1: JSON lines. ``docs/wire/recording.md`` describes it."""

from __future__ import annotations

from typing import Final

import msgspec

from agent.capture.source import Chunk, Connection, Flow, Kind, Role

FORMAT: Final = "qcloud-recording"
VERSION: Final = 1


class RecordingError(Exception):
    """The file is not a recording that can be read; the message says where and why."""


class Header(msgspec.Struct, kw_only=True, tag_field="type", tag="header", rename="camel"):
    """The first line."""

    format: str = FORMAT
    version: int = VERSION
    started_at: str
    """RFC 3339, UTC: when ``ns`` 0 was."""
    hostname: str = ""


class ConnectionLine(
    msgspec.Struct, kw_only=True, tag_field="type", tag="connection", rename="camel"
):
    """Before the first chunk of its connection."""

    key: int
    pid: int
    role: str
    tls: bool
    local_ip: str
    local_port: int
    remote_ip: str
    remote_port: int
    netns: int = 0
    exe: str = ""
    comm: str = ""
    uid: int = 0
    user: str = ""
    container_id: str = ""


class DataLine(msgspec.Struct, kw_only=True, tag_field="type", tag="data", gc=False):
    """Bytes of one call."""

    key: int
    flow: str
    ns: int
    """Nanoseconds since the header's ``startedAt``."""
    length: int
    data: bytes
    """Base64; may be shorter than ``length``."""


class CloseLine(msgspec.Struct, kw_only=True, tag_field="type", tag="close", gc=False):
    key: int
    ns: int


Line = Header | ConnectionLine | DataLine | CloseLine

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


def encode(line: Line) -> bytes:
    return _encoder.encode(line) + b"\n"


def decode(line: bytes) -> Line:
    """Raises ``msgspec.DecodeError``."""
    return _decoder.decode(line)


def connection_line(connection: Connection) -> ConnectionLine:
    facts = connection._asdict() | {"role": connection.role.name.lower()}
    return ConnectionLine(**facts)


def chunk_line(chunk: Chunk, start_ns: int) -> DataLine | CloseLine:
    ns = chunk.monotonic_ns - start_ns
    if chunk.kind == Kind.CLOSE:
        return CloseLine(key=chunk.connection, ns=ns)
    flow = Flow(chunk.flow).name.lower()
    return DataLine(key=chunk.connection, flow=flow, ns=ns, length=chunk.length, data=chunk.data)


def connection_of(line: ConnectionLine) -> Connection:
    """Raises ``KeyError`` for an unknown role."""
    facts = {name: getattr(line, name) for name in line.__struct_fields__}
    return Connection(**facts | {"role": Role[line.role.upper()]})


def chunk_of(line: DataLine | CloseLine, start_ns: int) -> Chunk:
    """Raises ``KeyError`` for an unknown flow."""
    if isinstance(line, CloseLine):
        return Chunk(Kind.CLOSE, line.key, Flow.RECEIVED, start_ns + line.ns, 0, b"")
    flow = Flow[line.flow.upper()]
    length = max(line.length, len(line.data))
    return Chunk(Kind.DATA, line.key, flow, start_ns + line.ns, length, line.data)
