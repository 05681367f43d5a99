"""The platform's own secrets from Vault: passwords of the KV engine, logins made on demand."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from hvac import exceptions as hvac_errors

from qcloud.kernel import secrets
from qcloud.kernel.env import Env, SettingError
from qcloud.kernel.secrets import DatabaseLogin
from vaultsvc.vault.connection import VaultConnection
from vaultsvc.vault.errors import ANSWERS, VaultUnavailable
from vaultsvc.vault.names import secret_path
from vaultsvc.vault.process import connection

_log = structlog.get_logger(__name__)

FRESH_SECONDS: Final = 5.0
"""How old a value may be that a new connection uses without asking Vault again."""
_DATABASE_ROLE: Final = "qcloud-app"


def install_source(env: Env) -> None:
    """Let this process read its settings' secrets from Vault. Raises ``SettingError``."""
    chosen = env.text("QCLOUD_SECRETS_FROM")
    if chosen != "vault":
        raise SettingError(f"QCLOUD_SECRETS_FROM must be environment or vault, not {chosen!r}")
    secrets.install(VaultSecrets(connection(env)))


@dataclass(frozen=True, slots=True)
class _Known:
    value: str | None = field(repr=False)
    asked: float


@dataclass(slots=True)
class _Lease:
    id: str
    login: DatabaseLogin
    seconds: float
    ends: float
    generation: int
    """Of the token that it hangs on: with that token it ends."""


class VaultSecrets:
    """``qcloud.kernel.secrets.SecretSource``; safe for many threads."""

    def __init__(self, vault: VaultConnection, *, fresh_seconds: float = FRESH_SECONDS) -> None:
        self._vault = vault
        self._fresh = fresh_seconds
        self._known: dict[str, _Known] = {}
        self._names: Final = frozenset[str]().union(*secrets.NEEDS.values())
        self._lease: _Lease | None = None
        self._lock = threading.RLock()

    def read(self, name: str) -> str | None:
        if name not in self._names:
            return None
        known = self._known.get(name)
        if known is not None and time.monotonic() - known.asked < self._fresh:
            return known.value
        try:
            return self._ask(name)
        except VaultUnavailable as error:
            if known is None:
                raise SettingError(f"{name} is to come from Vault. {error.reason}") from error
            # What is known still opens the database; Vault's being away must not close it.
            _log.warning("vault.secret_not_renewed", name=name, code=error.code)
            return known.value

    def changed(self, name: str) -> bool:
        known = self._known.get(name)
        if known is None:
            return False
        try:
            return self._ask(name) != known.value
        except VaultUnavailable:
            return False

    def database_login(self, role: str) -> DatabaseLogin | None:
        if role != "app" or self._vault.settings.database_mount is None:
            return None
        with self._lock:
            lease = self._lease
            if lease is None or self._over(lease):
                lease = self._lease = self._new_lease(self._vault.settings.database_mount)
                self._vault.renewer.watch(self._renew_lease, lease.seconds * 2 / 3)
            return lease.login

    def database_login_refused(self, login: DatabaseLogin) -> bool:
        with self._lock:
            if self._lease is None or self._lease.login != login:
                return True  # another thread has a newer one already
            self._lease = None
            try:
                return self.database_login("app") is not None
            except SettingError:
                return False

    def _ask(self, name: str) -> str | None:
        path, mount = secret_path(name), self._vault.settings.kv_mount
        try:
            answer = self._vault.ask(
                f"read {mount}/{path}",
                lambda client: client.secrets.kv.v2.read_secret_version(
                    path, mount_point=mount, raise_on_deleted_version=True
                ),
            )
            value = _field(answer["data"]["data"], f"{mount}/{path}")
        except hvac_errors.InvalidPath:
            value = None
        self._known[name] = _Known(value, time.monotonic())
        return value

    def _over(self, lease: _Lease) -> bool:
        return (
            time.monotonic() > lease.ends - lease.seconds / 10
            or lease.generation != self._vault.generation
        )

    def _new_lease(self, mount: str) -> _Lease:
        try:
            answer = self._vault.ask(
                f"have PostgreSQL logins from {mount}",
                lambda client: client.secrets.database.generate_credentials(_DATABASE_ROLE, mount),
                repeatable=False,
            )
        except (VaultUnavailable, hvac_errors.VaultError) as error:
            raise SettingError(f"Vault made no PostgreSQL login: {error}") from error
        seconds = float(answer["lease_duration"])
        login = DatabaseLogin(answer["data"]["username"], answer["data"]["password"])
        _log.info("vault.database_login", user=login.user, seconds=int(seconds))
        ends = time.monotonic() + seconds
        return _Lease(answer["lease_id"], login, seconds, ends, self._vault.generation)

    def _renew_lease(self) -> float:
        """Seconds until the next time. Near its last day the lease is left to end: the next
        connection has a new login, and those that are open are younger than the rest of it.
        """
        lease = self._lease
        if lease is None:
            return 0
        try:
            answer: dict[str, Any] = self._vault.ask(
                "renew its leases", lambda client: client.sys.renew_lease(lease.id)
            )
        except (VaultUnavailable, *ANSWERS) as error:
            _log.warning("vault.lease_not_renewed", error=type(error).__name__)
            return max(0.5, lease.seconds / 10) if time.monotonic() < lease.ends else 0
        seconds = float(answer["lease_duration"])
        if seconds < lease.seconds / 2:
            with self._lock:
                self._lease = None if self._lease is lease else self._lease
            return 0
        lease.ends = time.monotonic() + seconds
        return seconds * 2 / 3


def _field(data: dict[str, object], path: str) -> str:
    value = data.get("value")
    if not isinstance(value, str):
        raise SettingError(f"Vault's {path} must have a field named value: vault kv put … value=…")
    return value
