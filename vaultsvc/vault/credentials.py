"""Role ids and secret ids in files, one pair a process, for whoever hands them out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hvac

from qcloud.kernel.env import SettingError
from vaultsvc.vault.connection import VaultConnection
from vaultsvc.vault.names import policy


@dataclass(frozen=True)
class CredentialFiles:
    vault: VaultConnection
    folder: Path
    mount: str
    wrap_seconds: int | None = None
    """Written wrapped: a file that somebody opened before its process did is found out."""

    def write(self, processes: Iterable[str], *, again: bool, dry_run: bool) -> Iterator[str]:
        """A line for each process. A secret id that is there stays, unless ``again``.

        Raises ``SettingError`` when the folder cannot be used, ``VaultUnavailable``.
        """
        if not dry_run:
            self._prepare()
        for process in processes:
            secret = self.folder / f"{process}.secret-id"
            if secret.exists() and not again:
                yield f"  {secret}: is there, kept (--new-ids replaces it)"
                continue
            if dry_run:
                yield f"* {secret}: would be written"
                continue
            self._write_pair(process, secret)
            yield f"* {secret}: written{' wrapped' if self.wrap_seconds else ''}"

    def _prepare(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.folder.stat().st_mode & 0o077:
                raise SettingError(
                    f"{self.folder} can be read by others. Run: chmod 700 {self.folder}"
                )
        except OSError as error:
            raise SettingError(f"--ids: cannot use {self.folder}: {error}") from error

    def _write_pair(self, process: str, secret: Path) -> None:
        role = policy(process)
        answer = self.vault.ask(
            f"read the role id of {role}",
            lambda client: client.auth.approle.read_role_id(role, mount_point=self.mount),
        )
        _private(self.folder / f"{process}.role-id", answer["data"]["role_id"])
        _private(secret, self._secret_id(role))

    def _secret_id(self, role: str) -> str:
        def make(client: hvac.Client) -> dict[str, dict[str, str]]:
            made: dict[str, dict[str, str]] = client.auth.approle.generate_secret_id(
                role,
                mount_point=self.mount,
                wrap_ttl=f"{self.wrap_seconds}s" if self.wrap_seconds else None,
            )
            return made

        answer = self.vault.ask(f"make a secret id of {role}", make, repeatable=False)
        if self.wrap_seconds:
            return answer["wrap_info"]["token"]
        return answer["data"]["secret_id"]


def _private(path: Path, text: str) -> None:
    """0600, and after a crash the old file or the new one."""
    scratch = path.with_name(path.name + ".new")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(f"{text}\n")
        handle.flush()
        os.fsync(handle.fileno())
    scratch.replace(path)
