"""One policy a process: what each may do in Vault, and nothing else.

Paths are exact, ``+`` is one segment, ``*`` only stands at the end of a name: ``keys/+`` is a
key, and never its ``config``, which alone allows a deletion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from qcloud.kernel.secrets import DATABASE_APP, NEEDS
from vaultsvc.vault.names import secret_path, signing_key
from vaultsvc.vault.settings import VaultSettings

_READ: Final = ("read",)
_WRITE: Final = ("create", "update")

PURPOSES: Final = ("audit", "token")
"""Signing keys that bootstrap makes."""

Rules = dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Duty:
    """What a process does with keys, in words that become paths."""

    seals: bool = False
    """Makes, unwraps and rewraps data keys of accounts."""
    rotates: bool = False
    """Makes new versions of account keys."""
    destroys: bool = False
    """May end account keys for good."""
    signs: tuple[str, ...] = ()
    verifies: tuple[str, ...] = ()
    rotates_signing: bool = False


DUTIES: Final[dict[str, Duty]] = {
    "web": Duty(seals=True, signs=("token",), verifies=("audit",)),
    "ingest": Duty(verifies=("token",)),
    "loader": Duty(),
    # It destroys as well: an account's erasure ends with its keys, and nobody types a command.
    "worker": Duty(seals=True, rotates=True, destroys=True, signs=("audit",), verifies=("token",)),
    "beat": Duty(),
    "scanner": Duty(verifies=("token",)),
    "migrator": Duty(seals=True),
    "operator": Duty(
        seals=True,
        rotates=True,
        destroys=True,
        signs=PURPOSES,
        verifies=PURPOSES,
        rotates_signing=True,
    ),
}


def rules(process: str, settings: VaultSettings) -> Rules:
    """Paths, each with its capabilities, sorted."""
    found: Rules = {
        "auth/token/lookup-self": _READ,
        "auth/token/renew-self": ("update",),
        "auth/token/revoke-self": ("update",),
    }
    found |= _keys(DUTIES[process], settings.transit_mount)
    for variable in NEEDS[process]:
        found[f"{settings.kv_mount}/data/{secret_path(variable)}"] = _READ
    if process == "scanner":
        found[f"{settings.kv_mount}/data/scanner/+"] = _READ
    if settings.database_mount and DATABASE_APP in NEEDS[process]:
        found[f"{settings.database_mount}/creds/qcloud-app"] = _READ
        found["sys/leases/renew"] = ("update",)
    return dict(sorted(found.items()))


def text(process: str, settings: VaultSettings) -> str:
    """The policy in Vault's own language."""
    parts = [f"# QCloud: {process}. Written by qcloud vault bootstrap; changes are overwritten.\n"]
    for path, capabilities in rules(process, settings).items():
        quoted = ", ".join(f'"{capability}"' for capability in capabilities)
        parts.append(f'path "{path}" {{\n  capabilities = [{quoted}]\n}}\n')
    return "\n".join(parts)


def _keys(duty: Duty, mount: str) -> Rules:
    found: Rules = {}
    if duty.seals:
        found[f"{mount}/keys/+"] = (*_WRITE, *_READ)
        for verb in ("datakey/plaintext", "decrypt", "rewrap"):
            found[f"{mount}/{verb}/account-*"] = _WRITE
    if duty.rotates:
        found[f"{mount}/keys/+/rotate"] = _WRITE
        # The exact path goes before the one with a wildcard.
        found |= {f"{mount}/keys/{signing_key(purpose)}/rotate": ("deny",) for purpose in PURPOSES}
    if duty.destroys:
        found[f"{mount}/keys/account-*"] = (*_WRITE, *_READ, "delete")
    for purpose in duty.signs:
        found[f"{mount}/sign/{signing_key(purpose)}"] = _WRITE
    for purpose in (*duty.signs, *duty.verifies):
        found.setdefault(f"{mount}/keys/{signing_key(purpose)}", _READ)
        if duty.rotates_signing:
            found[f"{mount}/keys/{signing_key(purpose)}/rotate"] = _WRITE
    return found
