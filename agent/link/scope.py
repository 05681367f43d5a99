"""Which connections are this agent's business."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from agent.capture.source import Connection

EVERY_NAMESPACE: Final = 0
_DEEPEST: Final = 32
_PARENT: Final = re.compile(r"\) \S (\d+) ")


class ScopeError(ValueError):
    """A namespace or a list of processes cannot be used; the message says why."""


def namespace_inode(value: str) -> int:
    """``all`` (0), the inode of a network namespace, or the path of one.

    Raises ``ScopeError``.
    """
    if value == "all":
        return EVERY_NAMESPACE
    if value.isdigit():
        return int(value)
    try:
        return Path(value).stat().st_ino
    except OSError as error:
        raise ScopeError(f"network namespace {value}: {error.strerror}") from error


class Scope:
    """One namespace or all, without some processes and what they started."""

    def __init__(
        self,
        *,
        netns: int = EVERY_NAMESPACE,
        excluded: frozenset[int] = frozenset(),
        files: tuple[Path, ...] = (),
    ) -> None:
        self.netns = netns
        self._given = excluded | {os.getpid()}
        self._files = files
        self._verdicts: dict[int, bool] = {}
        self.excluded = self._given
        self.refresh()

    def __call__(self, connection: Connection) -> bool:
        if self.netns not in {EVERY_NAMESPACE, connection.netns}:
            return False
        pid = connection.pid
        verdict = self._verdicts.get(pid)
        if verdict is None:
            verdict = self._verdicts[pid] = not self._descends(pid)
        return verdict

    def refresh(self) -> None:
        """About every second: the files may have changed, and process ids are reused."""
        self._verdicts.clear()
        listed = (pid for file in self._files for pid in _pids(file))
        self.excluded = self._given.union(listed)

    def _descends(self, pid: int) -> bool:
        """Whether a process is excluded, or one of its ancestors is."""
        for _ in range(_DEEPEST):
            if pid in self.excluded:
                return True
            if pid <= 1:
                return False
            pid = _parent(pid)
        return False


def _pids(file: Path) -> list[int]:
    """The numbers in a file; none while it is not there."""
    try:
        words = file.read_text().split()
    except OSError:
        return []
    return [int(word) for word in words if word.isdigit()]


def _parent(pid: int) -> int:
    try:
        match = _PARENT.search(Path(f"/proc/{pid}/stat").read_text(errors="replace"))
    except OSError:
        return 0
    return int(match[1]) if match else 0
