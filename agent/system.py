"""The node, as the platform's inventory lists it, and this process on it."""

from __future__ import annotations

import fcntl
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Final

from agent.spool.files import is_full, make_private
from wire.protocol import SystemInfo


class DataFolderError(Exception):
    """The data folder cannot be used; the message says what to do."""


class NoRoomError(DataFolderError):
    """The disk is full or broken: unlike all else it may be better in a moment."""


def system_info() -> SystemInfo:
    uname = os.uname()
    return SystemInfo(
        hostname=uname.nodename,
        kernel_release=uname.release,
        architecture=uname.machine,
        btf=Path("/sys/kernel/btf/vmlinux").exists(),
    )


def agent_version() -> str:
    """Of the agent's own package, or of the whole that it is part of."""
    for package in ("qcloud-agent", "qcloud"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return "unpackaged"


def resident_bytes() -> int:
    """Resident memory of this process, each page once.

    The kernel's ring is mapped twice, one behind the other, as its interface wants, and is
    counted twice in ``/proc/self/statm``.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") - sum(_seen_twice.values())


_seen_twice: Final[dict[int, int]] = {}


def seen_twice(mapping: int, size: int) -> None:
    """``size`` bytes of ``mapping`` (any number of its own) are there once more; 0: no longer."""
    _seen_twice[mapping] = size
    if not size:
        del _seen_twice[mapping]


def lock_data_folder(directory: Path) -> IO[str]:
    """Hold the folder for as long as the returned file is open.

    Raises ``DataFolderError`` when another agent has it, ``OSError`` when the disk is full.
    """
    try:
        make_private(directory)
        file = (directory / "lock").open("a+")
    except OSError as error:
        if is_full(error):
            raise
        raise DataFolderError(
            f"the data folder {directory} cannot be used ({error.strerror}): "
            "set --data-dir to a folder that can be written"
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise DataFolderError(
            f"another agent uses the data folder {directory}: stop it, or give this one "
            "another --data-dir"
        ) from error
    return file
