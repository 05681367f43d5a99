"""Sets Vault up for QCloud, or brings an older set-up to what this version needs.

Each step looks first and changes only what differs, so running it again, also after it was
killed half-way, ends in the same state. Nothing is ever removed or made wider by hand-made
changes staying: policies and roles are written as they should be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import hvac
from hvac import exceptions as hvac_errors

from qcloud.kernel.env import SettingError
from vaultsvc.vault import policies
from vaultsvc.vault.connection import VaultConnection
from vaultsvc.vault.names import SIGNING, policy, secret_path, signing_key

TOKEN_SECONDS: Final = 3600
"""A token's lease; it is renewed while its process lives."""
TOKEN_LONGEST_SECONDS: Final = 24 * 3600
"""After a day each process logs in anew, so that a withdrawn role ends within a day."""
_DATABASE_ROLE: Final = "qcloud-app"
_CONNECTION: Final = "qcloud"


@dataclass(frozen=True)
class KubernetesPlan:
    """The cluster whose service accounts ``qcloud-<process>`` may log in."""

    host: str
    ca_certificate: str | None
    """PEM. ``None``: Vault runs in that cluster and knows it."""
    namespace: str = "qcloud"
    audience: str | None = None
    mount: str = "kubernetes"


@dataclass(frozen=True)
class DatabasePlan:
    """The PostgreSQL in which Vault makes logins; its own login may make roles."""

    url: str
    """``postgresql://{{username}}:{{password}}@host:5432/qcloud?sslmode=verify-full``: the braces
    stay as they are, Vault fills them in.
    """
    user: str
    password: str = field(repr=False)
    seconds: int = 3600
    longest_seconds: int = 24 * 3600


@dataclass(frozen=True)
class Plan:
    """What is wanted."""

    approle_mount: str = "approle"
    processes: tuple[str, ...] = tuple(policies.DUTIES)
    kubernetes: KubernetesPlan | None = None
    database: DatabasePlan | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Platform secrets by variable, to be put into Vault where they differ."""


@dataclass(frozen=True)
class Done:
    """One step: what it is about, and what was, or would be, done."""

    what: str
    did: str
    changed: bool


@dataclass(frozen=True)
class Bootstrap:
    vault: VaultConnection
    plan: Plan
    dry_run: bool = False

    def run(self) -> Iterator[Done]:
        """Yields each step when it is done. Raises ``VaultUnavailable``, ``SettingError``."""
        settings = self.vault.settings
        yield self._mount(settings.transit_mount, "transit", {})
        yield self._mount(settings.kv_mount, "kv", {"version": "2"})
        for purpose in policies.PURPOSES:
            yield self._signing_key(purpose)
        for process in self.plan.processes:
            yield self._policy(process)
        yield self._auth(self.plan.approle_mount, "approle")
        for process in self.plan.processes:
            yield self._role(process)
        yield from self._kubernetes()
        yield from self._database()
        for variable, value in sorted(self.plan.secrets.items()):
            yield self._secret(variable, value)
        yield self._audit_device()

    def _mount(self, path: str, kind: str, options: dict[str, str]) -> Done:
        mounts = self._ask("list its mounts", lambda c: c.sys.list_mounted_secrets_engines())
        found = mounts["data"].get(f"{path}/")
        if found is not None:
            _refuse_other_mount(path, kind, options, found)
            return Done(f"secrets engine {path}", "is there", changed=False)
        return self._change(
            f"secrets engine {path}",
            f"enabled ({kind})",
            lambda c: c.sys.enable_secrets_engine(kind, path=path, options=options or None),
        )

    def _signing_key(self, purpose: str) -> Done:
        name, mount = signing_key(purpose), self.vault.settings.transit_mount
        found = self._read(lambda c: c.secrets.transit.read_key(name, mount_point=mount))
        return self._unless(
            found is not None,
            f"signing key {name}",
            "made (Ed25519)",
            lambda c: c.secrets.transit.create_key(name, key_type=SIGNING, mount_point=mount),
        )

    def _policy(self, process: str) -> Done:
        name = policy(process)
        wanted = policies.text(process, self.vault.settings)
        found = self._read(lambda c: c.sys.read_policy(name))
        return self._unless(
            found is not None and found["data"]["rules"] == wanted,
            f"policy {name}",
            "written" if found is None else "brought to this version",
            lambda c: c.sys.create_or_update_policy(name, wanted),
        )

    def _auth(self, path: str, kind: str) -> Done:
        methods = self._ask("list its auth methods", lambda c: c.sys.list_auth_methods())
        found = methods["data"].get(f"{path}/")
        if found is not None and found["type"] != kind:
            raise SettingError(
                f"Vault has an auth method of type {found['type']} at {path}; {kind} needs another"
                " path"
            )
        return self._unless(
            found is not None,
            f"auth method {path}",
            f"enabled ({kind})",
            lambda c: c.sys.enable_auth_method(kind, path=path),
        )

    def _role(self, process: str) -> Done:
        name, mount = policy(process), self.plan.approle_mount
        wanted = {**_token(process), "secret_id_num_uses": 0, "bind_secret_id": True}
        found = self._read(lambda c: c.auth.approle.read_role(name, mount_point=mount))
        return self._unless(
            found is not None and _holds(found["data"], wanted),
            f"AppRole {name}",
            "made" if found is None else "brought to this version",
            lambda c: c.auth.approle.create_or_update_approle(name, mount_point=mount, **wanted),
        )

    def _kubernetes(self) -> Iterator[Done]:
        plan = self.plan.kubernetes
        if plan is None:
            return
        yield self._auth(plan.mount, "kubernetes")
        found = self._read(lambda c: c.auth.kubernetes.read_config(mount_point=plan.mount))
        wanted = {
            "kubernetes_host": plan.host,
            "kubernetes_ca_cert": plan.ca_certificate or "",
            "disable_local_ca_jwt": plan.ca_certificate is not None,
        }
        yield self._unless(
            found is not None and _holds(found, wanted),
            f"Kubernetes at {plan.host}",
            "configured",
            lambda c: c.write_data(f"auth/{plan.mount}/config", data=wanted),
        )
        for process in self.plan.processes:
            yield self._kubernetes_role(process, plan)

    def _kubernetes_role(self, process: str, plan: KubernetesPlan) -> Done:
        name = policy(process)
        wanted = {
            **_token(process),
            "bound_service_account_names": [name],
            "bound_service_account_namespaces": [plan.namespace],
            "audience": plan.audience or "",
        }
        path = f"auth/{plan.mount}/role/{name}"
        found = self._read(lambda c: c.read(path))
        return self._unless(
            found is not None and _holds(found["data"], wanted),
            f"Kubernetes role {name}",
            "made" if found is None else "brought to this version",
            lambda c: c.write_data(path, data=wanted),
        )

    def _database(self) -> Iterator[Done]:
        plan, mount = self.plan.database, self.vault.settings.database_mount
        if plan is None or mount is None:
            return
        yield self._mount(mount, "database", {})
        known = self._read(lambda c: c.secrets.database.read_connection(_CONNECTION, mount))
        yield self._unless(
            known is not None and _same_database(known["data"], plan),
            "PostgreSQL for Vault",
            "configured",
            lambda c: c.secrets.database.configure(
                _CONNECTION,
                "postgresql-database-plugin",
                allowed_roles=[_DATABASE_ROLE],
                mount_point=mount,
                connection_url=plan.url,
                username=plan.user,
                password=plan.password,
                password_authentication="scram-sha-256",  # noqa: S106  the name of a method
            ),
        )
        yield self._database_role(plan, mount)

    def _database_role(self, plan: DatabasePlan, mount: str) -> Done:
        wanted: dict[str, Any] = {
            "db_name": _CONNECTION,
            "creation_statements": list(_CREATE_LOGIN),
            "renew_statements": list(_RENEW_LOGIN),
            "revocation_statements": list(_DROP_LOGIN),
            "default_ttl": plan.seconds,
            "max_ttl": plan.longest_seconds,
        }
        found = self._read(lambda c: c.secrets.database.read_role(_DATABASE_ROLE, mount))
        return self._unless(
            found is not None and _holds(found["data"], wanted),
            f"database role {_DATABASE_ROLE}",
            "made" if found is None else "brought to this version",
            lambda c: c.secrets.database.create_role(_DATABASE_ROLE, mount_point=mount, **wanted),
        )

    def _secret(self, variable: str, value: str) -> Done:
        path, mount = secret_path(variable), self.vault.settings.kv_mount
        found = self._read(
            lambda c: c.secrets.kv.v2.read_secret_version(
                path, mount_point=mount, raise_on_deleted_version=True
            )
        )
        return self._unless(
            found is not None and found["data"]["data"] == {"value": value},
            f"secret {mount}/{path}",
            "stored" if found is None else "stored as a new version",
            lambda c: c.secrets.kv.v2.create_or_update_secret(
                path, {"value": value}, mount_point=mount
            ),
        )

    def _audit_device(self) -> Done:
        """Where it writes is the operator's decision, so this step only looks."""
        try:
            found = self._ask("list audit devices", lambda c: c.sys.list_enabled_audit_devices())
        except hvac_errors.InvalidPath:
            return Done("audit device", "cannot be seen from this namespace", changed=False)
        if found["data"]:
            return Done("audit device", "is there", changed=False)
        advice = "none: run vault audit enable file file_path=/var/log/vault/audit.log"
        return Done("audit device", advice, changed=False)

    def _unless(self, done: bool, what: str, did: str, act: Callable[[hvac.Client], Any]) -> Done:  # noqa: FBT001  reads as a sentence
        if done:
            return Done(what, "is as it should be", changed=False)
        return self._change(what, did, act)

    def _change(self, what: str, did: str, act: Callable[[hvac.Client], Any]) -> Done:
        if self.dry_run:
            return Done(what, f"would be {did}", changed=True)
        self._ask(f"set up {what}", act)
        return Done(what, did, changed=True)

    def _read(self, call: Callable[[hvac.Client], Any]) -> Any:
        """``None`` for what is not there; a dry run meets mounts that are not there either."""
        try:
            return self._ask("read its set-up", call)
        except hvac_errors.InvalidPath:
            return None
        except hvac_errors.InvalidRequest as error:
            if "unsupported path" in str(error) or "not found" in str(error):
                return None
            raise _refused(error) from error

    def _ask(self, what: str, call: Callable[[hvac.Client], Any]) -> Any:
        try:
            return self.vault.ask(what, call)
        except hvac_errors.InvalidRequest as error:
            raise _refused(error) from error


# The login acts as qcloud_app from its first statement on, so rights, row-level policies and
# ownership are those of the one role that migrations know.
_CREATE_LOGIN: Final = (
    """CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'
    NOSUPERUSER NOCREATEROLE NOCREATEDB NOBYPASSRLS NOREPLICATION IN ROLE qcloud_app""",
    """ALTER ROLE "{{name}}" SET role = 'qcloud_app'""",
)
_RENEW_LOGIN: Final = ("ALTER ROLE \"{{name}}\" VALID UNTIL '{{expiration}}'",)
_DROP_LOGIN: Final = ('DROP ROLE IF EXISTS "{{name}}"',)


def _token(process: str) -> dict[str, Any]:
    return {
        "token_policies": [policy(process)],
        "token_no_default_policy": True,
        "token_ttl": TOKEN_SECONDS,
        "token_max_ttl": TOKEN_LONGEST_SECONDS,
        "token_type": "service",
    }


def _holds(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(found.get(name) == value for name, value in wanted.items())


def _same_database(found: Mapping[str, Any], plan: DatabasePlan) -> bool:
    """The password is never told, so a changed one needs ``--database`` after a removal."""
    details = found.get("connection_details", {})
    known = (details.get("connection_url"), details.get("username"))
    return known == (plan.url, plan.user)


def _refuse_other_mount(
    path: str, kind: str, options: dict[str, str], found: Mapping[str, Any]
) -> None:
    has = found.get("options") or {}
    if found["type"] != kind or any(has.get(name) != value for name, value in options.items()):
        raise SettingError(
            f"Vault has another secrets engine at {path} ({found['type']} {has or ''}). Choose"
            " other mounts: QCLOUD_VAULT_TRANSIT_MOUNT, QCLOUD_VAULT_KV_MOUNT,"
            " QCLOUD_VAULT_DATABASE_MOUNT"
        )


def _refused(error: hvac_errors.VaultError) -> SettingError:
    return SettingError(f"Vault refuses it: {' '.join(str(error.args[0]).split())[:300]}")
