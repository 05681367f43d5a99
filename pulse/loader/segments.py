"""Reading closed segments."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import structlog

from pulse.loader.block import events_of
from pulse.spool.folder import BAD, SpoolFolder, write_durably
from pulse.spool.frames import Damage, Frame, scan
from pulse.store.kinds import KINDS

log = structlog.get_logger(__name__)


@dataclass
class Contents:
    """What some segments hold."""

    frames: list[tuple[str, Frame]] = field(default_factory=list)
    """Segment name and frame, in order."""
    damaged: int = 0

    @property
    def rows(self) -> int:
        return sum(frame.header.rows for _, frame in self.frames)


def read_segments(folder: SpoolFolder, paths: list[Path]) -> Contents:
    """All whole frames. What is damaged goes to the quarantine, loudly. Raises ``OSError``."""
    contents = Contents()
    for path in paths:
        data = memoryview(path.read_bytes())
        for part in scan(data):
            if isinstance(part, Frame) and _is_readable(part):
                contents.frames.append((path.name, part))
                continue
            size = part.size if isinstance(part, Damage) else len(part.payload)
            contents.damaged += 1
            _quarantine(folder, path, part.offset, bytes(data[part.offset : part.offset + size]))
    return contents


def _is_readable(frame: Frame) -> bool:
    """Its checksum holds, so what cannot be read was written by another version."""
    if frame.header.kind not in KINDS:
        return False
    try:
        events = events_of(frame)
        moments = events.schema.field("timestamp").type
    except (pa.ArrowInvalid, KeyError):
        return False
    return bool(events.num_rows == frame.header.rows and pa.types.is_timestamp(moments))


def _quarantine(folder: SpoolFolder, path: Path, offset: int, data: bytes) -> None:
    target = folder.quarantine / f"{path.stem}-{offset}{BAD}"
    write_durably(target, data)
    log.error(
        "spool: damaged bytes put aside; batches in them are lost",
        segment=path.name,
        offset=offset,
        size=len(data),
        kept_as=str(target),
    )
