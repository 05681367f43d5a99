"""One frame: a batch with its origin, guarded by a checksum.

A segment begins with ``QCS1``, its *mark* (16 random bytes) and the CRC-32 of both. Each
frame, little endian: the mark, magic ``QCF1``, header length, payload length, CRC-32 of
header and payload (four bytes each), header (JSON, ``FrameHeader``), payload (Arrow IPC
stream).

Behind damage the next frame is searched byte by byte, through payload that agents wrote.
Nobody outside knows the mark, so nobody can hide a frame in there that names another agent.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Final
from uuid import UUID

import msgspec

MAGIC: Final = b"QCF1"
MARK_SIZE: Final = 16
_OPENING: Final = struct.Struct(f"<4s{MARK_SIZE}sI")
_OPENING_MAGIC: Final = b"QCS1"
OPENING_SIZE: Final = _OPENING.size
_PREFIX: Final = struct.Struct("<4sIII")
_MAX_HEADER: Final = 16 * 1024
_MAX_PAYLOAD: Final = 1 << 30


class FrameHeader(msgspec.Struct, kw_only=True, frozen=True):
    """Where a batch came from; ``sequence`` is the agent's own number of it."""

    agent_id: UUID
    account_id: UUID
    environment_id: UUID
    boot_id: UUID
    sequence: int
    rows: int
    received_at: datetime
    kind: str = "request"
    """Of all its events. Frames from before have none and hold requests."""


@dataclass(frozen=True)
class Frame:
    header: FrameHeader
    payload: memoryview
    offset: int
    """Of its first byte in the segment."""


@dataclass(frozen=True)
class Damage:
    """Bytes of a segment that are no frame."""

    offset: int
    size: int


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(FrameHeader)


def opening(mark: bytes) -> bytes:
    """The first bytes of a segment."""
    return _OPENING.pack(_OPENING_MAGIC, mark, zlib.crc32(_OPENING_MAGIC + mark))


def mark_of(segment: memoryview) -> bytes | None:
    """The mark of a segment; ``None`` when its opening is not whole."""
    if len(segment) < OPENING_SIZE:
        return None
    magic, mark, checksum = _OPENING.unpack_from(segment)
    if magic != _OPENING_MAGIC or zlib.crc32(magic + mark) != checksum:
        return None
    return bytes(mark)


def encode_frame(header: FrameHeader, payload: memoryview) -> tuple[bytes, memoryview]:
    """What follows the mark, as two buffers, so that the payload is not copied."""
    head = _encoder.encode(header)
    checksum = zlib.crc32(payload, zlib.crc32(head))
    return _PREFIX.pack(MAGIC, len(head), len(payload), checksum) + head, payload


def scan(segment: memoryview) -> Iterator[Frame | Damage]:
    """Every whole frame in order, and between them what is damaged or cut off."""
    mark = mark_of(segment)
    if mark is None:
        if len(segment):
            yield Damage(0, len(segment))
        return
    offset = OPENING_SIZE
    while offset < len(segment):
        found = _frame_at(segment, offset, mark)
        if found is None:
            following = _next_frame(segment, offset + 1, mark)
            yield Damage(offset, following - offset)
            offset = following
        else:
            frame, offset = found
            yield frame


def frame_sizes(file: BinaryIO) -> Iterator[tuple[FrameHeader, int]]:
    """Header and bytes (header and payload) of each frame up to the first damage, without
    reading a payload and so without checking one.
    """
    mark = mark_of(memoryview(file.read(OPENING_SIZE)))
    while mark is not None and file.read(MARK_SIZE) == mark:
        prefix = file.read(_PREFIX.size)
        if len(prefix) < _PREFIX.size:
            return
        magic, head_size, size, _checksum = _PREFIX.unpack(prefix)
        if magic != MAGIC or head_size > _MAX_HEADER or size > _MAX_PAYLOAD:
            return
        try:
            header = _decoder.decode(file.read(head_size))
        except msgspec.MsgspecError:
            return
        yield header, _PREFIX.size + head_size + size
        file.seek(size, os.SEEK_CUR)


def _frame_at(segment: memoryview, offset: int, mark: bytes) -> tuple[Frame, int] | None:
    start = offset + MARK_SIZE + _PREFIX.size
    if start > len(segment) or segment[offset : offset + MARK_SIZE] != mark:
        return None
    magic, head_size, size, checksum = _PREFIX.unpack_from(segment, offset + MARK_SIZE)
    end = start + head_size + size
    if magic != MAGIC or head_size > _MAX_HEADER or size > _MAX_PAYLOAD or end > len(segment):
        return None
    if zlib.crc32(segment[start:end]) != checksum:
        return None
    try:
        header = _decoder.decode(segment[start : start + head_size])
    except msgspec.MsgspecError:
        return None
    return Frame(header, segment[start + head_size : end], offset), end


def _next_frame(segment: memoryview, start: int, mark: bytes) -> int:
    """Where the next whole frame begins, or the end."""
    data = bytes(segment[start:])
    position = data.find(mark)
    while position != -1:
        if _frame_at(segment, start + position, mark) is not None:
            return start + position
        position = data.find(mark, position + 1)
    return len(segment)
