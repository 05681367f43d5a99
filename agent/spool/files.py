"""Writing a file so that it is there whole, or not at all, whatever happens."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

PRIVATE_DIRECTORY: Final = 0o700
PRIVATE_FILE: Final = 0o600
HALF_WRITTEN: Final = ".tmp"

_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def make_private(directory: Path) -> None:
    """The directory, and parents that are missing, readable by nobody else, and durable.

    A directory that is there keeps its mode: the path comes from a setting, and taking
    ``/tmp`` or ``/var/lib`` away from everybody else would break the node. Whatever lies in
    it is 0600. One where others may write is taken if it is empty, as a fresh volume is.
    Raises ``OSError`` if it is not: others could swap files.
    """
    for folder in reversed([directory, *directory.parents]):
        if not folder.exists():
            folder.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
            # What is durable in it is lost with its name.
            sync_directory(folder.parent)
    if not directory.stat().st_mode & _OTHERS_WRITE:
        return
    if any(directory.iterdir()):
        raise PermissionError(errno.EPERM, "others may write there; choose a folder of its own")
    directory.chmod(PRIVATE_DIRECTORY)


def write_whole(path: Path, data: bytes, *, durable: bool) -> None:
    """``path`` with ``data``, mode 0600. ``durable``: it survives a power failure.

    Raises ``OSError``; then nothing of the file is left.
    """
    half = path.with_name(path.name + HALF_WRITTEN)
    try:
        # Never into what somebody else has put there, a link least of all.
        half.unlink(missing_ok=True)
        descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        try:
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(data)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        half.rename(path)
    except OSError:
        half.unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """The names in it survive a power failure."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_full(error: OSError) -> bool:
    """The disk, a quota or a size limit refused."""
    return error.errno in _NO_ROOM
