"""A batch: lines of events of one kind under one sequence number, compressed once and never
changed.
"""

from __future__ import annotations

import re
import time
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

BELIEVED_SECONDS: Final = 366 * 24 * 3600.0
"""A file that claims to be older, or of the future, was dated by a clock that was not set."""
REQUESTS: Final = "request"
"""The kind that a file's name does not say."""

_LEVEL: Final = 1
_NAME: Final = re.compile(r"([0-9]{12})-([0-9]{1,6})(?:\.([a-z][a-z_]{0,30}))?\.ndjson\.zst\Z")


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
    since: float
    """When it was spooled, by ``awake``'s clock of this run; negative: before this boot."""
    kind: str = REQUESTS


def compress(lines: bytes) -> bytes:
    """One zstd frame with its checksum and its size."""
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(lines)


def decompress(data: bytes) -> bytes:
    """Raises ``zstandard.ZstdError`` when the file is not what was written."""
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=4 * MAX_BYTES)


def batch_name(sequence: int, events: int, kind: str = REQUESTS) -> str:
    of = "" if kind == REQUESTS else f".{kind}"
    return f"{sequence:012d}-{events}{of}.ndjson.zst"


def batch_at(path: Path, boot: UUID) -> Batch | None:
    """The batch in a file found on disk; ``None`` for a file that is none."""
    match = _NAME.match(path.name)
    if match is None:
        return None
    state = path.stat()
    since = awake() - _age(state.st_mtime)
    number, events, kind = int(match[1]), int(match[2]), match[3] or REQUESTS
    return Batch(boot, number, events, state.st_size, path, recovered=True, since=since, kind=kind)


def awake() -> float:
    """Seconds since the machine's start, sleep included: nobody sets this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _age(written: float) -> float:
    """Seconds; of a date that cannot be believed none have passed: nothing is lost to it."""
    age = time.time() - written
    return age if 0.0 <= age <= BELIEVED_SECONDS else 0.0
