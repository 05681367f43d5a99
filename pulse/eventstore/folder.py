"""The data folder: one owner, and plain words when it cannot be used."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO, Final

_FORMAT: Final = "qcloud eventstore 1\n"


class FolderUnusable(RuntimeError):
    """The folder cannot be used; the message says why and what to do."""


class DataFolder:
    """Holds a lock on the folder from ``open`` until ``close``, or the death of the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: IO[str] | None = None

    @property
    def engine(self) -> Path:
        """What the engine writes, and nobody else."""
        return self._path / "engine"

    def open(self) -> None:
        """Lock the folder and check that it is ours; make it at first use.

        Raises ``FolderUnusable``.
        """
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = self._take_lock()
            self._check_marker()
        except FolderUnusable:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise FolderUnusable(
                f"the event store cannot use {self._path}: {error.strerror}."
                " Check the owner and the free space of that folder"
            ) from error

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take_lock(self) -> IO[str]:
        handle = (self._path / "lock").open("a+")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            handle.close()
            raise FolderUnusable(
                f"another event store (process {holder}) already uses {self._path}."
                " Stop that one first, or set QCLOUD_EVENTSTORE_PATH to another folder"
            ) from None
        handle.truncate(0)
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        return handle

    def _check_marker(self) -> None:
        """The marker is the last thing that the first start writes."""
        marker = self._path / "format"
        if marker.exists():
            self._check_written(marker)
            return
        found = sorted(e.name for e in self._path.iterdir() if e.name not in {"lock", "format.new"})
        if found:
            raise FolderUnusable(
                f"{self._path} holds {', '.join(found[:5])} but no finished event store: its first"
                " start was interrupted, or the folder belongs to another program. If nothing in"
                " it is needed, remove its content and start again"
            )
        self.engine.mkdir(mode=0o700)
        scratch = self._path / "format.new"
        scratch.write_text(_FORMAT)
        scratch.replace(marker)

    def _check_written(self, marker: Path) -> None:
        if marker.read_text() != _FORMAT:
            raise FolderUnusable(
                f"{self._path} was written by another version of the event store"
                f" ({marker.read_text().strip()!r}). Start the version that wrote it"
            )
        if not self.engine.is_dir():
            raise FolderUnusable(
                f"{self._path} has lost its folder “engine”: the events are not there."
                " Restore it from a backup, or remove the rest of the folder to start empty"
            )
