"""The spool's folder: names, locks, an identity of its own."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import IO, Final
from uuid import UUID

from qcloud.kernel.ids import new_id

OPEN: Final = ".open"
CLOSED: Final = ".seg"
BAD: Final = ".bad"


class SpoolInUse(RuntimeError):
    """Another process has the role on this spool; the message says which and what to do."""


class SpoolFolder:
    """One spool: one ingest process writes it, one loader empties it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.quarantine = path / "quarantine"
        self.aside = path / "aside"
        """Batches that the event store refuses, until somebody decides."""
        _make(path)
        _make(self.quarantine)
        _make(self.aside)

    def lock(self, role: str) -> IO[str]:
        """Hold ``role`` (``ingest`` or ``loader``) until the file is closed.

        Raises ``SpoolInUse``.
        """
        handle = (self.path / f"{role}.lock").open("a+")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            handle.close()
            raise SpoolInUse(
                f"another {role} (process {holder}) already works on {self.path}."
                " Stop that one first, or set QCLOUD_SPOOL_PATH to another folder"
            ) from None
        handle.truncate(0)
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        return handle

    def identity(self) -> UUID:
        """Made once; tells this spool's loads from another's."""
        path = self.path / "identity"
        if not path.exists():
            write_durably(path, f"{new_id()}\n".encode())
        return UUID(path.read_text().strip())

    def closed_segments(self) -> list[Path]:
        """What the loader may take, oldest first."""
        return sorted(self.path.glob(f"*{CLOSED}"))

    def open_segments(self) -> list[Path]:
        return sorted(self.path.glob(f"*{OPEN}"))

    def new_segment(self) -> Path:
        """A name that sorts after every other and was never used, even if the clock went back."""
        taken = (int(p.stem) for p in (*self.closed_segments(), *self.open_segments()))
        return self.path / f"{max((time.time_ns(), *(n + 1 for n in taken))):020d}{OPEN}"

    def size(self) -> int:
        """Bytes of all segments."""
        total = 0
        for path in (*self.closed_segments(), *self.open_segments()):
            try:
                total += path.stat().st_size
            except FileNotFoundError:
                continue  # the loader has just finished it
        return total

    def segment_names(self) -> set[str]:
        """Of all segments. One that is closed meanwhile is seen at least once."""
        return {path.stem for path in (*self.open_segments(), *self.closed_segments())}

    def aside_names(self) -> set[str]:
        """Files of batches that are set aside."""
        return {path.name for path in self.aside.glob(f"*{CLOSED}")}

    def sync(self) -> None:
        """Make names that were created or changed survive a power cut."""
        sync_names(self.path)


def sync_names(directory: Path) -> None:
    """Make names in it that were created or changed survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, data: bytes) -> None:
    """A file that after a power cut is there whole, or not at all. Raises ``OSError``."""
    scratch = path.with_name(f"{path.name}.new")
    with scratch.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    sync_names(path.parent)


def _make(folder: Path) -> None:
    """The folder, and those above it that are missing; their names survive a power cut."""
    for missing in reversed([f for f in (folder, *folder.parents) if not f.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
        sync_names(missing.parent)
