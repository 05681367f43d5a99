"""A batch: lines of events under one sequence number, compressed once and never changed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

import zstandard

ENCODING: Final = "zstd"
MAX_LINES: Final = 5_000
"""Far below the platform's limits: a batch stays under 1 MB compressed, which is what
many a reverse proxy accepts by default."""
MAX_BYTES: Final = 8 * 1024 * 1024
"""Of a batch before compression."""

_LEVEL: Final = 1
_NAME: Final = re.compile(r"([0-9]{12})-([0-9]{1,6})\.ndjson\.zst\Z")


class Batch(NamedTuple):
    """One file of the spool."""

    boot: UUID
    sequence: int
    events: int
    size: int
    """Bytes of the file, which are the bytes sent."""
    path: Path
    recovered: bool
    """Left by an earlier run: it may have been sent, its answer not heard."""


def compress(lines: bytes) -> bytes:
    """One zstd frame with its checksum and its size."""
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(lines)


def decompress(data: bytes) -> bytes:
    """Raises ``zstandard.ZstdError`` when the file is not what was written."""
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=4 * MAX_BYTES)


def batch_name(sequence: int, events: int) -> str:
    return f"{sequence:012d}-{events}.ndjson.zst"


def batch_at(path: Path, boot: UUID) -> Batch | None:
    """The batch in a file found on disk; ``None`` for a file that is none."""
    match = _NAME.match(path.name)
    if match is None:
        return None
    return Batch(boot, int(match[1]), int(match[2]), path.stat().st_size, path, recovered=True)
