"""One frame: a batch with its origin, guarded by a checksum.

Layout, little endian: magic ``QCF1``, header length, payload length, CRC-32 of header and
payload (four bytes each), header (JSON, ``FrameHeader``), payload (Arrow IPC stream).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

MAGIC: Final = b"QCF1"
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


def encode_frame(header: FrameHeader, payload: memoryview) -> tuple[bytes, memoryview]:
    """The frame as two buffers, so that the payload is not copied."""
    head = _encoder.encode(header)
    checksum = zlib.crc32(payload, zlib.crc32(head))
    return _PREFIX.pack(MAGIC, len(head), len(payload), checksum) + head, payload


def scan(segment: memoryview) -> Iterator[Frame | Damage]:
    """Every whole frame in order, and between them what is damaged or cut off."""
    offset = 0
    while offset < len(segment):
        found = _frame_at(segment, offset)
        if found is None:
            following = _next_frame(segment, offset + 1)
            yield Damage(offset, following - offset)
            offset = following
        else:
            frame, offset = found
            yield frame


def _frame_at(segment: memoryview, offset: int) -> tuple[Frame, int] | None:
    if offset + _PREFIX.size > len(segment):
        return None
    magic, head_size, size, checksum = _PREFIX.unpack_from(segment, offset)
    start = offset + _PREFIX.size
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


def _next_frame(segment: memoryview, start: int) -> int:
    """Where the next whole frame begins, or the end."""
    data = bytes(segment[start:])
    position = data.find(MAGIC)
    while position != -1:
        if _frame_at(segment, start + position) is not None:
            return start + position
        position = data.find(MAGIC, position + 1)
    return len(segment)
