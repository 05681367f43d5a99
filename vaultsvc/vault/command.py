"""``qcloud vault bootstrap``: an operator's token in, mounts, policies and roles out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from qcloud.kernel.env import Env, SettingError
from qcloud.kernel.secrets import NEEDS
from vaultsvc.vault import policies
from vaultsvc.vault.bootstrap import Bootstrap, DatabasePlan, KubernetesPlan, Plan
from vaultsvc.vault.connection import VaultConnection
from vaultsvc.vault.credentials import CredentialFiles
from vaultsvc.vault.settings import Token, VaultSettings

_WHERE: Final = ("QCLOUD_VAULT_ADDRESS", "QCLOUD_VAULT_CA_FILE", "QCLOUD_VAULT_NAMESPACE")


def main(parsed: argparse.Namespace, env: Env | None = None) -> int:
    """Raises ``SettingError`` and ``VaultUnavailable``: what the operator has to mend."""
    env = env or Env()
    _check(parsed)
    settings = VaultSettings.from_env(env, login=Token(env.secret("QCLOUD_VAULT_TOKEN")))
    vault = VaultConnection(settings)
    plan = Plan(
        kubernetes=_kubernetes(parsed),
        database=_database(parsed, settings, env),
        secrets=_secrets(env) if parsed.import_secrets else {},
    )
    for done in Bootstrap(vault, plan, dry_run=parsed.dry_run).run():
        _say(f"  {'*' if done.changed else ' '} {done.what}: {done.did}")
    if parsed.ids is not None:
        files = CredentialFiles(vault, parsed.ids, plan.approle_mount, wrap_seconds=parsed.wrap)
        for line in files.write(plan.processes, again=parsed.new_ids, dry_run=parsed.dry_run):
            _say(f"  {line}")
    _say(_what_to_set(settings, env, parsed))
    return 0


def _check(parsed: argparse.Namespace) -> None:
    if parsed.ids is None and (parsed.new_ids or parsed.wrap):
        raise SettingError("--new-ids and --wrap say how --ids FOLDER is written; give that too")
    if parsed.wrap is not None and not 60 <= parsed.wrap <= 86_400:
        raise SettingError("--wrap must be between 60 and 86400 seconds")


def _kubernetes(parsed: argparse.Namespace) -> KubernetesPlan | None:
    if parsed.kubernetes is None:
        return None
    if not parsed.kubernetes.startswith("https://"):
        raise SettingError("--kubernetes must begin with https://")
    return KubernetesPlan(
        host=parsed.kubernetes,
        ca_certificate=_pem(parsed.kubernetes_ca) if parsed.kubernetes_ca else None,
        namespace=parsed.kubernetes_namespace,
        audience=parsed.kubernetes_audience,
    )


def _pem(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"--kubernetes-ca: cannot read {path}: {error}") from error


def _database(parsed: argparse.Namespace, settings: VaultSettings, env: Env) -> DatabasePlan | None:
    if parsed.database is None:
        return None
    if settings.database_mount is None:
        raise SettingError("--database needs QCLOUD_VAULT_DATABASE_MOUNT, for example: qcloud-db")
    if "{{username}}" not in parsed.database or "{{password}}" not in parsed.database:
        raise SettingError("--database must contain {{username}} and {{password}} as they are here")
    return DatabasePlan(
        url=parsed.database,
        user=env.secret("QCLOUD_VAULT_DATABASE_USER"),
        password=env.secret("QCLOUD_VAULT_DATABASE_PASSWORD"),
        seconds=env.integer("QCLOUD_VAULT_DATABASE_SECONDS", 3600, low=5, high=86_400),
        longest_seconds=env.integer(
            "QCLOUD_VAULT_DATABASE_LONGEST_SECONDS", 86_400, low=10, high=30 * 86_400
        ),
    )


def _secrets(env: Env) -> dict[str, str]:
    known = sorted(frozenset[str]().union(*NEEDS.values()))
    given = {name for name in known if env.given(name) or env.given(f"{name}_FILE")}
    if not given:
        raise SettingError(f"--import-secrets: none of these is set: {', '.join(known)}")
    return {name: env.secret(name) for name in sorted(given)}


def _what_to_set(settings: VaultSettings, env: Env, parsed: argparse.Namespace) -> str:
    lines = ["", "Set for every process:"]
    lines += [f"  {name}={env.text(name)}" for name in _WHERE if env.given(name)]
    lines += ["  QCLOUD_KEY_BACKEND=vault", "  QCLOUD_SECRETS_FROM=vault"]
    for name, value, usual in _mounts(settings):
        if value != usual:
            lines.append(f"  {name}={value}")
    if parsed.kubernetes:
        lines += ["  QCLOUD_VAULT_AUTH=kubernetes"]
    lines += ["and for each its own:", "  QCLOUD_PROCESS=web"]
    if not parsed.kubernetes:
        folder = parsed.ids or Path("FOLDER")
        lines += [
            f"  QCLOUD_VAULT_ROLE_ID_FILE={folder / 'web.role-id'}",
            f"  QCLOUD_VAULT_SECRET_ID_FILE={folder / 'web.secret-id'}",
        ]
    if parsed.wrap:
        lines.append("  QCLOUD_VAULT_SECRET_ID_WRAPPED=true")
    lines.append(f"Processes: {', '.join(policies.DUTIES)}")
    return "\n".join(lines)


def _mounts(settings: VaultSettings) -> Iterable[tuple[str, str | None, str | None]]:
    usual = VaultSettings
    yield "QCLOUD_VAULT_TRANSIT_MOUNT", settings.transit_mount, usual.transit_mount
    yield "QCLOUD_VAULT_KV_MOUNT", settings.kv_mount, usual.kv_mount
    yield "QCLOUD_VAULT_DATABASE_MOUNT", settings.database_mount, usual.database_mount


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
