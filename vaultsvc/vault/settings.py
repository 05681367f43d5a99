"""Where Vault is and how a process proves who it is, from ``QCLOUD_VAULT_…``."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from qcloud.kernel.env import Env, SettingError

_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


@dataclass(frozen=True)
class AppRole:
    """A role id and a secret id, the latter perhaps wrapped: then it opens a single time."""

    role_id: str
    secret_id: str | None = field(default=None, repr=False)
    secret_id_file: Path | None = None
    """Read anew at each log-in, so that a new secret id is picked up."""
    wrapped: bool = False
    mount: str = "approle"

    def present_secret_id(self) -> str:
        """Raises ``SettingError``."""
        if self.secret_id_file is None:
            return self.secret_id or ""
        return _read(self.secret_id_file, "QCLOUD_VAULT_SECRET_ID_FILE")

    def __str__(self) -> str:
        return f"AppRole {self.role_id}"


@dataclass(frozen=True)
class Kubernetes:
    """The pod's service account token, which the kubelet renews in its file."""

    role: str
    token_file: Path = _SERVICE_ACCOUNT
    mount: str = "kubernetes"

    def present_token(self) -> str:
        """Raises ``SettingError``."""
        return _read(self.token_file, "QCLOUD_VAULT_JWT_FILE")

    def __str__(self) -> str:
        return f"Kubernetes role {self.role}"


@dataclass(frozen=True)
class Token:
    """An operator's token, for the commands that set Vault up."""

    token: str = field(repr=False)

    def __str__(self) -> str:
        return "the given token"


Login = AppRole | Kubernetes | Token


@dataclass(frozen=True)
class VaultSettings:
    """One Vault and one process's way into it."""

    address: str
    login: Login
    ca_file: Path | None = None
    """The only authorities that are believed; ``None``: those of the system."""
    namespace: str | None = None
    transit_mount: str = "qcloud-transit"
    kv_mount: str = "qcloud-kv"
    database_mount: str | None = None
    """``None``: passwords of PostgreSQL are platform secrets, not made by Vault."""
    timeout: int = 5
    """Seconds for one answer."""

    @classmethod
    def from_env(cls, env: Env, *, login: Login | None = None) -> Self:
        """Raises ``SettingError`` naming what is missing or unsafe."""
        ca_file = env.path("QCLOUD_VAULT_CA_FILE") if env.given("QCLOUD_VAULT_CA_FILE") else None
        if ca_file is not None and not ca_file.is_file():
            raise SettingError(f"QCLOUD_VAULT_CA_FILE: there is no file {ca_file}")
        return cls(
            address=safe_address(env.text("QCLOUD_VAULT_ADDRESS")),
            login=login or _login(env),
            ca_file=ca_file,
            namespace=env.text("QCLOUD_VAULT_NAMESPACE", "") or None,
            transit_mount=env.text("QCLOUD_VAULT_TRANSIT_MOUNT", cls.transit_mount),
            kv_mount=env.text("QCLOUD_VAULT_KV_MOUNT", cls.kv_mount),
            database_mount=env.text("QCLOUD_VAULT_DATABASE_MOUNT", "") or None,
            timeout=env.integer("QCLOUD_VAULT_TIMEOUT", cls.timeout, low=1, high=60),
        )


def safe_address(address: str) -> str:
    """``address`` without a trailing slash. Raises ``SettingError`` where it would send tokens
    in the clear: plain ``http`` is for loopback alone.
    """
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingError(f"QCLOUD_VAULT_ADDRESS must be https://host:port, not {address!r}")
    if parts.username or parts.query or parts.fragment:
        raise SettingError("QCLOUD_VAULT_ADDRESS must hold neither a name, a query nor a fragment")
    if parts.scheme == "http" and not _loopback(parts.hostname):
        raise SettingError(
            f"QCLOUD_VAULT_ADDRESS must begin with https:// ({parts.hostname} is not loopback):"
            " tokens and keys would cross the network in the clear"
        )
    return address.rstrip("/")


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _login(env: Env) -> Login:
    process = env.text("QCLOUD_PROCESS", "")
    match env.text("QCLOUD_VAULT_AUTH", "approle"):
        case "approle":
            file = env.given("QCLOUD_VAULT_SECRET_ID_FILE")
            return AppRole(
                role_id=env.secret("QCLOUD_VAULT_ROLE_ID"),
                secret_id=None if file else env.secret("QCLOUD_VAULT_SECRET_ID"),
                secret_id_file=env.path("QCLOUD_VAULT_SECRET_ID_FILE") if file else None,
                wrapped=env.flag("QCLOUD_VAULT_SECRET_ID_WRAPPED", default=False),
                mount=env.text("QCLOUD_VAULT_AUTH_MOUNT", AppRole.mount),
            )
        case "kubernetes":
            return Kubernetes(
                role=env.text("QCLOUD_VAULT_ROLE", f"qcloud-{process}" if process else None),
                token_file=env.path("QCLOUD_VAULT_JWT_FILE", _SERVICE_ACCOUNT),
                mount=env.text("QCLOUD_VAULT_AUTH_MOUNT", Kubernetes.mount),
            )
        case other:
            raise SettingError(f"QCLOUD_VAULT_AUTH must be approle or kubernetes, not {other!r}")


def _read(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{name}: cannot read {path}: {error}") from error
