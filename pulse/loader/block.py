"""Frames into one block of the event store."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from pulse.loader.routing import routes_of
from pulse.loader.vendors import vendor_of
from pulse.routes.book import RouteBook
from pulse.spool.frames import Frame
from pulse.store.kinds import KINDS

_EXTERNAL = "egress-external"


class Hour(NamedTuple):
    """An hour of one environment that has new events."""

    account_id: UUID
    environment_id: UUID
    start: datetime


def events_of(frame: Frame) -> pa.Table:
    """The frame's events, without copying them. Raises ``pa.ArrowInvalid``."""
    return pa.ipc.open_stream(pa.py_buffer(frame.payload)).read_all()


def by_kind(frames: Sequence[Frame]) -> dict[str, list[Frame]]:
    """The frames of each kind, in their order."""
    found: dict[str, list[Frame]] = {}
    for frame in frames:
        found.setdefault(frame.header.kind, []).append(frame)
    return found


def block_of(frames: Sequence[Frame], load_id: UUID, book: RouteBook | None = None) -> pa.Table:
    """The rows of all frames, which are of one kind, as columns of its table, one chunk each.

    A column that no event of a frame has is null there; the store fills in its default.
    Paths are learned from, and their templates stored with the rows: what is learned later
    changes no row that is there. Raises ``pa.ArrowInvalid`` or a database error.
    """
    tables = [_with_origin(frame, events_of(frame)) for frame in frames]
    table = pa.concat_tables(tables, promote_options="default")
    table = table.unify_dictionaries().combine_chunks()
    for name in ("source_ip", "destination_ip"):
        if name in table.column_names:
            addresses = _addresses(table[name].combine_chunks())
            table = table.set_column(table.column_names.index(name), name, addresses)
    table = table.append_column("load_id", _repeated(load_id, table.num_rows))
    for name in KINDS[frames[0].header.kind].derived:
        column = _vendors(table) if name == "vendor" else routes_of(table, book or RouteBook())
        table = table.append_column(name, column)
    return table


def hours_of(frames: Sequence[Frame]) -> set[Hour]:
    """Every hour that the frames have requests in: nothing else is usage."""
    found = set()
    for frame in _requests(frames):
        hours = pc.unique(pc.floor_temporal(events_of(frame)["timestamp"], unit="hour"))
        header = frame.header
        found |= {Hour(header.account_id, header.environment_id, h) for h in hours.to_pylist()}
    return found


def quarters_of(frames: Sequence[Frame]) -> dict[UUID, set[datetime]]:
    """By account, when each quarter of an hour begins that the frames have requests in."""
    found: dict[UUID, set[datetime]] = {}
    for frame in _requests(frames):
        moments = events_of(frame)["timestamp"]
        quarters = pc.unique(pc.floor_temporal(moments, multiple=15, unit="minute"))
        found.setdefault(frame.header.account_id, set()).update(quarters.to_pylist())
    return found


def _requests(frames: Sequence[Frame]) -> list[Frame]:
    return [frame for frame in frames if frame.header.kind == "request"]


def _with_origin(frame: Frame, events: pa.Table) -> pa.Table:
    header, rows = frame.header, events.num_rows
    for name in ("account_id", "environment_id", "agent_id"):
        events = events.append_column(name, _repeated(getattr(header, name), rows))
    received = pa.scalar(header.received_at, pa.timestamp("ms", "UTC"))
    return events.append_column("received_at", pa.repeat(received, rows))


def _repeated(value: UUID, rows: int) -> Any:
    buffers = [None, pa.py_buffer(value.bytes * rows)]
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), rows, buffers)


def _addresses(texts: Any) -> Any:
    """IPv6 in sixteen bytes, IPv4 mapped into it; whatever is no address becomes ``::``.

    The engine would refuse the whole block for one text that is not an address.
    """
    encoded = pc.dictionary_encode(pc.fill_null(texts, ""))
    distinct = [_packed(text) for text in encoded.dictionary.to_pylist()]
    return pc.take(pa.array(distinct, pa.binary(16)), encoded.indices)


def _packed(text: str) -> bytes:
    try:
        if ":" in text:
            return socket.inet_pton(socket.AF_INET6, text)
        return _MAPPED + socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError):
        return bytes(16)


_MAPPED = bytes(10) + b"\xff\xff"


def _vendors(table: pa.Table) -> Any:
    if "host" not in table.column_names or not table.num_rows:
        return pa.repeat(pa.scalar(""), table.num_rows)
    hosts = table["host"].combine_chunks()
    if not isinstance(hosts, pa.DictionaryArray):
        hosts = pc.dictionary_encode(hosts)
    names = pa.array([vendor_of(host) for host in hosts.dictionary.to_pylist()], pa.string())
    external = pc.equal(_plain(table["direction"]), _EXTERNAL)
    vendors = pc.if_else(external, pc.take(names, hosts.indices), "")
    return pc.dictionary_encode(pc.fill_null(vendors, ""))


def _plain(column: pa.ChunkedArray) -> Any:
    return column.cast(pa.string())
