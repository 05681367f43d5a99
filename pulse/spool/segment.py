"""The segment that is being written."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from pulse.spool.folder import CLOSED, SpoolFolder
from pulse.spool.frames import MARK_SIZE, OPENING_SIZE, Damage, mark_of, opening, scan

log = structlog.get_logger(__name__)

Buffer = bytes | memoryview


class Segment:
    """An ``.open`` file. ``size`` counts what is synced and nothing else."""

    def __init__(self, folder: SpoolFolder) -> None:
        """Raises ``OSError``."""
        self._folder = folder
        self.path = folder.new_segment()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._descriptor = os.open(self.path, flags, 0o600)
        self.opened_at = time.monotonic()
        self.mark = secrets.token_bytes(MARK_SIZE)
        """Stands before each frame of this segment and is known to nobody outside."""
        self.size = 0
        self.rows = 0
        try:
            self._begin()
        except OSError:
            os.close(self._descriptor)
            self.path.unlink(missing_ok=True)
            raise

    @property
    def name(self) -> str:
        """The same when it is closed."""
        return self.path.stem

    def append(self, buffers: Sequence[Buffer], rows: int) -> None:
        """Write and sync, all or nothing.

        Raises ``OSError`` with the file cut back to what was synced before. Whether a cut
        after a failed sync holds is the disk's affair; a frame that was not acknowledged and
        stays all the same is harmless, because its batch comes again under its number.
        """
        try:
            for start in range(0, len(buffers), _WRITEV_MAX):
                self._write_all(list(buffers[start : start + _WRITEV_MAX]))
            os.fdatasync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            raise
        self.size += sum(len(buffer) for buffer in buffers)
        self.rows += rows

    def close(self) -> Path | None:
        """Hand it to the loader; an empty one is removed. Raises ``OSError``."""
        os.close(self._descriptor)
        if self.size <= OPENING_SIZE:
            self.path.unlink()
            return None
        return finish(self._folder, self.path)

    def _begin(self) -> None:
        self._write_all([opening(self.mark)])
        self.size = OPENING_SIZE
        self._folder.sync()

    def _write_all(self, buffers: list[Buffer]) -> None:
        while buffers:
            written = os.writev(self._descriptor, buffers)
            while buffers and written >= len(buffers[0]):
                written -= len(buffers.pop(0))
            if buffers and written:
                buffers[0] = memoryview(buffers[0])[written:]


_WRITEV_MAX = 512
"""Below IOV_MAX, which is 1024 on Linux."""


def recover(folder: SpoolFolder) -> int:
    """Close what a killed process left open, each at its last whole frame.

    Returns the number of segments handed to the loader. Raises ``OSError``.
    """
    finished = 0
    for path in folder.open_segments():
        end = _end_of_frames(path)
        if end < path.stat().st_size:
            log.warning("spool: cut a torn frame", segment=path.name, kept=end)
            os.truncate(path, end)
        if end:
            with path.open("rb") as handle:
                os.fsync(handle.fileno())
            finish(folder, path)
            finished += 1
        else:
            path.unlink()
    return finished


def _end_of_frames(path: Path) -> int:
    """Where the last whole frame ends; 0: there is none, and nothing that could have been.

    Damage before it stays for the loader to report.
    """
    data = path.read_bytes()
    if mark_of(memoryview(data)) is None:
        return len(data) if len(data) > OPENING_SIZE else 0
    end = 0
    for part in scan(memoryview(data)):
        end = part.offset if isinstance(part, Damage) else len(data)
    return end if end > OPENING_SIZE else 0


def finish(folder: SpoolFolder, path: Path) -> Path | None:
    """Hand a segment that nobody writes to the loader; an empty one is removed.

    Raises ``OSError``; it can be called again then.
    """
    closed = path.with_suffix(CLOSED)
    if path.exists():
        if path.stat().st_size <= OPENING_SIZE:
            path.unlink()
            return None
        path.rename(closed)
    folder.sync()
    return closed
