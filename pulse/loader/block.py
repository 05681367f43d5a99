"""Frames into one block of the event store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import pyarrow as pa

from pulse.loader.derived import addresses, vendors
from pulse.loader.joined import joined, narrowed
from pulse.loader.routing import routes_of
from pulse.routes.book import RouteBook
from pulse.spool.frames import Frame
from pulse.store.kinds import KINDS

_HOUR: Final = 3_600
_QUARTER: Final = 900


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
    They stand in the table's order, as far as the frames' order makes it.

    A column that no event of a frame has is null there; the store fills in its default.
    Paths are learned from, and their templates stored with the rows: what is learned later
    changes no row that is there. Raises ``pa.ArrowInvalid`` or a database error.
    """
    pairs = sorted(((frame, events_of(frame)) for frame in frames), key=_place)
    frames = [frame for frame, _ in pairs]
    table = _with_origin(frames, joined([events for _, events in pairs]))
    for name in ("source_ip", "destination_ip"):
        if name in table.column_names:
            place = table.column_names.index(name)
            table = table.set_column(place, name, addresses(table[name]))
    table = table.append_column("load_id", _identities(load_id.bytes * table.num_rows))
    for name in KINDS[frames[0].header.kind].derived:
        column = _vendors(table) if name == "vendor" else routes_of(table, book or RouteBook())
        table = table.append_column(name, column)
    return narrowed(table)


def _place(pair: tuple[Frame, pa.Table]) -> tuple[bytes, int]:
    """In the table's order, which is by account and time. Batches of one agent overtake each
    other; the engine sorts only what is not sorted already, a tenth of the work of a load.
    """
    frame, events = pair
    moments = events["timestamp"]
    return frame.header.account_id.bytes, moments[0].value if len(moments) else 0


def hours_of(frames: Sequence[Frame]) -> set[Hour]:
    """Every hour that the frames have requests in: nothing else is usage."""
    return {
        Hour(frame.header.account_id, frame.header.environment_id, start)
        for frame in _requests(frames)
        for start in _starts(frame, _HOUR)
    }


def quarters_of(frames: Sequence[Frame]) -> dict[UUID, set[datetime]]:
    """By account, when each quarter of an hour begins that the frames have requests in."""
    found: dict[UUID, set[datetime]] = {}
    for frame in _requests(frames):
        found.setdefault(frame.header.account_id, set()).update(_starts(frame, _QUARTER))
    return found


def _requests(frames: Sequence[Frame]) -> list[Frame]:
    return [frame for frame in frames if frame.header.kind == "request"]


def _starts(frame: Frame, seconds: int) -> set[datetime]:
    """When each span of that length begins that the frame has events in, in UTC."""
    moments = events_of(frame)["timestamp"].combine_chunks().view(pa.int64()).to_numpy()
    spans = moments // (seconds * 1_000_000)
    # Events come nearly in order: only where the span changes is there something to see.
    seen = {*spans[:1].tolist(), *spans[1:][spans[1:] != spans[:-1]].tolist()}
    return {datetime.fromtimestamp(span * seconds, UTC) for span in seen}


def _with_origin(frames: Sequence[Frame], events: pa.Table) -> pa.Table:
    """``events`` are those of all frames, in their order."""
    headers = [frame.header for frame in frames]
    for name in ("account_id", "environment_id", "agent_id"):
        octets = b"".join(getattr(header, name).bytes * header.rows for header in headers)
        events = events.append_column(name, _identities(octets))
    received = [
        pa.repeat(pa.scalar(header.received_at, pa.timestamp("ms", "UTC")), header.rows)
        for header in headers
    ]
    return events.append_column("received_at", pa.concat_arrays(received))


def _identities(octets: bytes) -> Any:
    buffers = [None, pa.py_buffer(octets)]
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(octets) // 16, buffers)


def _vendors(table: pa.Table) -> Any:
    if "host" not in table.column_names:
        return pa.repeat(pa.scalar(""), table.num_rows)
    return vendors(table["host"], table["direction"])
