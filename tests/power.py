"""A disk that loses its power: what was synced is there afterwards, nothing else is promised.

``Disk`` watches the calls by which a program changes files below a folder. At any moment an
*image* tells what a disk may hold if the power goes now: files as they were at their last
fsync, names as they were at the last fsync of their directory. ``restore`` writes an image
as a folder that the program can be started on again.
"""

from __future__ import annotations

import os
import random
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

_WATCHED: Final = (
    "fsync", "fdatasync", "write", "writev", "ftruncate", "truncate", "rename", "replace", "link",
    "unlink", "remove", "mkdir", "rmdir",
)  # fmt: skip


@dataclass
class _Inode:
    """``descriptor`` is held so that no other file can get the number."""

    descriptor: int
    content: bytes = b""
    """At the last fsync; nothing before the first."""
    names: list[dict[str, int]] = field(default_factory=list)
    """Of a directory: its entries at the last fsync, and after each change since."""


@dataclass(frozen=True)
class Image:
    """What a disk may hold."""

    files: dict[str, bytes]
    folders: tuple[str, ...]

    @property
    def key(self) -> int:
        """The same for images that hold the same."""
        return hash((frozenset(self.files.items()), frozenset(self.folders)))

    def restore(self, target: Path) -> Path:
        target.mkdir(parents=True)
        for name in self.folders:
            (target / name).mkdir(mode=0o700)
        for name, content in self.files.items():
            (target / name).write_bytes(content)
        return target


class Disk:
    """Everything below ``root``, which must be empty. ``on_step`` is called after each call."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.on_step: Callable[[], None] | None = None
        self.steps = 0
        self._inodes: dict[int, _Inode] = {}
        self._lock = threading.RLock()
        self._root = self._look(root)
        self._inodes[self._root].names = [{}]
        for name in _WATCHED:
            patch.setattr(os, name, self._watched(name, getattr(os, name)))

    def close(self) -> None:
        for inode in self._inodes.values():
            os.close(inode.descriptor)

    def image(self, chance: random.Random | None = None) -> Image:
        """The least that the disk may hold now; with ``chance`` something between that and
        all: each directory at some moment since its fsync, each file with some of what was
        written since, or with zeros in its place.
        """
        with self._lock:
            files: dict[str, bytes] = {}
            folders: list[str] = []
            self._collect(self._root, "", files, folders, chance)
            return Image(files, tuple(folders))

    def _collect(
        self,
        number: int,
        prefix: str,
        files: dict[str, bytes],
        folders: list[str],
        chance: random.Random | None,
    ) -> None:
        states = self._inodes[number].names or [{}]
        for name, entry in (chance.choice(states) if chance else states[0]).items():
            inode = self._inodes[entry]
            if stat.S_ISDIR(os.fstat(inode.descriptor).st_mode):
                folders.append(prefix + name)
                self._collect(entry, f"{prefix}{name}/", files, folders, chance)
            else:
                files[prefix + name] = _content(inode, chance)

    def _watched(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **options: Any) -> Any:
            result = call(*arguments, **options)
            with self._lock:
                if self._concerns(arguments[0]):
                    self.steps += 1
                    if name in {"fsync", "fdatasync"}:
                        self._sync(arguments[0])
                    self._note_names()
                    if self.on_step is not None:
                        self.on_step()
            return result

        return watched

    def _concerns(self, what: Any) -> bool:
        path = Path(f"/proc/self/fd/{what}").readlink() if isinstance(what, int) else what
        return os.fspath(path).startswith(str(self.root))

    def _sync(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}")
        number = self._look(path)
        if path.is_dir():
            self._inodes[number].names = [self._entries(path)]
        else:
            self._inodes[number].content = path.read_bytes()

    def _note_names(self) -> None:
        """Every directory as it is now, among what it may be after a power cut."""
        for folder, _, _ in os.walk(self.root):
            inode = self._inodes[self._look(Path(folder))]
            entries = self._entries(Path(folder))
            if not inode.names:
                inode.names = [{}]
            if inode.names[-1] != entries:
                inode.names.append(entries)

    def _entries(self, folder: Path) -> dict[str, int]:
        return {path.name: self._look(path) for path in sorted(folder.iterdir())}

    def _look(self, path: Path) -> int:
        number = path.stat().st_ino
        if number not in self._inodes:
            self._inodes[number] = _Inode(os.open(path, os.O_RDONLY))
        return number


def _content(inode: _Inode, chance: random.Random | None) -> bytes:
    if chance is None:
        return inode.content
    current = Path(f"/proc/self/fd/{inode.descriptor}").read_bytes()
    if not current.startswith(inode.content):
        return chance.choice((inode.content, current))
    added = current[len(inode.content) :]
    kept = added[: chance.randint(0, len(added))]
    # A file may have grown before the bytes in it were written.
    lost = bytes(chance.choice((0, len(added) - len(kept))))
    return inode.content + kept + lost
