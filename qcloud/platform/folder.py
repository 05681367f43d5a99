"""The data folder of an embedded platform: where everything lies, and its secrets."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from qcloud.kernel.env import Env

_FORMAT: Final = 1
_LONGEST_ROOT: Final = 80
"""A socket's path has at most 107 bytes (``sun_path``), and ours add their names to the root."""
_SECRET_NAMES: Final = (
    "django",
    "postgres_superuser",
    "postgres_migrator",
    "postgres_app",
    "postgres_readonly",
    "redis",
    "eventstore",
)


class FolderError(RuntimeError):
    """The data folder cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class DataFolder:
    """One platform's files. Nothing outside ``root`` is written."""

    root: Path

    @classmethod
    def from_environment(cls, env: Env | None = None) -> DataFolder:
        """``QCLOUD_DATA``, else ``.data`` in the working directory."""
        return cls((env or Env()).path("QCLOUD_DATA", Path.cwd() / ".data"))

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def sockets(self) -> Path:
        return self.root / "sockets"

    @property
    def sockets_of_redis(self) -> Path:
        """Apart from PostgreSQL's folder, which may belong to another user."""
        return self.redis

    @property
    def redis(self) -> Path:
        return self.root / "redis"

    @property
    def eventstore(self) -> Path:
        return self.root / "eventstore"

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    @property
    def objects(self) -> Path:
        return self.root / "objects"

    @property
    def agents(self) -> Path:
        return self.root / "agents"

    @property
    def keyring(self) -> Path:
        """The embedded keeper's file; its folder is made with it."""
        return self.root / "keys" / "keyring"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def mail(self) -> Path:
        """Mails as files, while no SMTP server is set."""
        return self.root / "mail"

    @property
    def logins(self) -> Path:
        """What the demo's people sign in with; 0600."""
        return self.root / "demo-logins.json"

    def prepare(self) -> None:
        """Make the folder and its secrets at first use; check them afterwards.

        Raises ``FolderError`` when it is half-written, from another version or not ours.
        """
        if len(str(self.root)) > _LONGEST_ROOT:
            raise FolderError(
                f"{self.root} is too long a path for a socket (at most {_LONGEST_ROOT} characters)."
                " Choose a shorter one: QCLOUD_DATA=…"
            )
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        marker = self.root / "format"
        if not marker.exists():
            self._refuse_foreign_files()
            for name in ("sockets", "redis", "eventstore", "spool", "objects", "agents", "logs"):
                (self.root / name).mkdir(mode=0o700, exist_ok=True)
            self._write_secrets()
            write_private(marker, f"{_FORMAT}\n")
        elif marker.read_text().strip() != str(_FORMAT):
            raise FolderError(
                f"{self.root} was written by another version of QCloud (format"
                f" {marker.read_text().strip()!r}, this version uses {_FORMAT})."
                " Use the version that wrote it, or another folder: QCLOUD_DATA=…"
            )
        self.secrets()

    def secrets(self) -> dict[str, str]:
        """The generated passwords by name.

        Raises ``FolderError`` when the file is missing, damaged or readable by others.
        """
        path = self.root / "secrets.json"
        try:
            if path.stat().st_mode & 0o077:
                raise FolderError(f"{path} can be read by others. Run: chmod 600 {path}")
            values = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise FolderError(
                f"{path} cannot be read ({error}). Without it the databases beside it cannot be"
                " opened: restore it from a backup, or start afresh with: make clean-data"
            ) from error
        missing = [name for name in _SECRET_NAMES if name not in values]
        if missing:
            raise FolderError(f"{path} lacks {', '.join(missing)}; restore it from a backup")
        return {name: str(values[name]) for name in _SECRET_NAMES}

    def lock(self) -> IO[str]:
        """Hold the folder for this process while the returned file stays open.

        Raises ``FolderError`` naming the process that holds it.
        """
        handle = (self.root / "lock").open("a+")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            handle.close()
            raise FolderError(
                f"QCloud already runs on {self.root} (process {holder})."
                " Stop that one with Ctrl-C first, or use another folder: QCLOUD_DATA=…"
            ) from None
        handle.truncate(0)
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        return handle

    def forget(self) -> bool:
        """Remove the folder with all data; whether there was one.

        Raises ``FolderError`` while a platform runs on it, or when it is not a data folder.
        """
        if not self.root.exists():
            return False
        known = {"format", "secrets.json", "postgres", "sockets", "lock"}
        found = {entry.name for entry in self.root.iterdir()}
        if found and not found & known:
            raise FolderError(f"{self.root} does not look like QCloud's data; nothing was removed")
        with self.lock():
            shutil.rmtree(self.root)
        return True

    def _refuse_foreign_files(self) -> None:
        found = sorted(entry.name for entry in self.root.iterdir() if entry.name != "lock")
        if found:
            raise FolderError(
                f"{self.root} holds {', '.join(found[:5])} but was never finished by QCloud:"
                " a first start was interrupted, or it is another program's folder."
                " If nothing in it is needed, run: make clean-data"
            )

    def _write_secrets(self) -> None:
        values = {name: secrets.token_urlsafe(36) for name in _SECRET_NAMES}
        write_private(self.root / "secrets.json", json.dumps(values, indent=1) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 so that a crash leaves the old one or the new one."""
    scratch = path.with_name(path.name + ".new")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    scratch.replace(path)
