"""Who may do what in Vault: each process against each path, with its own real token.

The table below is written by hand from what the processes are for, not from the policies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import hvac
import pytest
from hvac import exceptions as hvac_errors

from tests.vaultsvc.vault.server import VaultServer
from vaultsvc.vault.names import account_key, secret_path
from vaultsvc.vault.policies import DUTIES

PROCESSES: Final = ("web", "ingest", "loader", "worker", "scanner", "beat", "migrator", "operator")
SEALERS: Final = frozenset({"web", "worker", "migrator", "operator"})
ROTATORS: Final = frozenset({"worker", "operator"})
DESTROYERS: Final = frozenset({"worker", "operator"})
NOBODY: Final[frozenset[str]] = frozenset()
T: Final = "qcloud-transit"
KV: Final = "qcloud-kv"
KEY: Final = account_key(uuid4())


def secret(variable: str) -> str:
    return f"{KV}/data/{secret_path(variable)}"


@dataclass(frozen=True)
class Deed:
    """A request, and the processes that Vault must not refuse it."""

    method: str
    path: str
    allowed: frozenset[str]

    def __str__(self) -> str:
        return f"{self.method} {self.path.replace(KEY, 'account-X')}"


DEEDS: Final = (
    # keys of accounts
    Deed("post", f"{T}/keys/{KEY}", SEALERS),
    Deed("get", f"{T}/keys/{KEY}", SEALERS),
    Deed("post", f"{T}/datakey/plaintext/{KEY}", SEALERS),
    Deed("post", f"{T}/datakey/wrapped/{KEY}", NOBODY),
    Deed("post", f"{T}/decrypt/{KEY}", SEALERS),
    Deed("post", f"{T}/rewrap/{KEY}", SEALERS),
    Deed("post", f"{T}/encrypt/{KEY}", NOBODY),
    Deed("post", f"{T}/keys/{KEY}/rotate", ROTATORS),
    Deed("post", f"{T}/keys/{KEY}/config", DESTROYERS),
    Deed("delete", f"{T}/keys/{KEY}", DESTROYERS),
    Deed("get", f"{T}/export/encryption-key/{KEY}", NOBODY),
    Deed("get", f"{T}/backup/{KEY}", NOBODY),
    Deed("post", f"{T}/restore/{KEY}", NOBODY),
    Deed("post", f"{T}/keys/{KEY}/trim", DESTROYERS),
    Deed("list", f"{T}/keys", NOBODY),
    # signing keys
    Deed("post", f"{T}/sign/sign-audit", frozenset({"worker", "operator"})),
    Deed("post", f"{T}/sign/sign-token", frozenset({"web", "operator"})),
    Deed("get", f"{T}/keys/sign-audit", SEALERS),
    Deed("get", f"{T}/keys/sign-token", SEALERS | {"ingest", "scanner"}),
    Deed("post", f"{T}/keys/sign-audit/rotate", frozenset({"operator"})),
    Deed("post", f"{T}/keys/sign-audit/config", NOBODY),
    Deed("delete", f"{T}/keys/sign-audit", NOBODY),
    Deed("get", f"{T}/export/signing-key/sign-audit", NOBODY),
    # the platform's secrets
    Deed("get", secret("QCLOUD_SECRET_KEY"), frozenset({"web", "worker", "operator"})),
    Deed(
        "get",
        secret("QCLOUD_DATABASE_APP_PASSWORD"),
        frozenset({"web", "ingest", "loader", "worker", "operator"}),
    ),
    Deed("get", secret("QCLOUD_DATABASE_MIGRATOR_PASSWORD"), frozenset({"migrator"})),
    Deed("get", secret("QCLOUD_DATABASE_READONLY_PASSWORD"), NOBODY),
    Deed(
        "get",
        secret("QCLOUD_REDIS_URL"),
        frozenset({"web", "ingest", "worker", "beat", "operator"}),
    ),
    Deed(
        "get",
        secret("QCLOUD_EVENTSTORE_PASSWORD"),
        frozenset({"web", "loader", "worker", "migrator", "operator"}),
    ),
    Deed("get", f"{KV}/data/scanner/object-store", frozenset({"scanner"})),
    Deed("post", secret("QCLOUD_REDIS_URL"), NOBODY),
    Deed("delete", secret("QCLOUD_REDIS_URL"), NOBODY),
    Deed("get", f"{KV}/data/elsewhere", NOBODY),
    Deed("list", f"{KV}/metadata/platform", NOBODY),
    # Vault itself
    Deed("get", "sys/policies/acl/qcloud-web", NOBODY),
    Deed("get", "sys/mounts", NOBODY),
    Deed("post", "auth/token/create", NOBODY),
    Deed("get", "auth/approle/role/qcloud-worker/role-id", NOBODY),
    Deed("post", "auth/approle/role/qcloud-worker/secret-id", NOBODY),
    Deed("put", "sys/seal", NOBODY),
    Deed("get", "auth/token/lookup-self", frozenset(PROCESSES)),
    Deed("post", "auth/token/renew-self", frozenset(PROCESSES)),
)


@pytest.fixture(scope="module")
def tokens(vault_server: VaultServer) -> Iterator[dict[str, str]]:
    opened = {process: vault_server.connection(vault_server.role(process)) for process in PROCESSES}
    yield {process: each._logged_in().client.token for process, each in opened.items()}
    for each in opened.values():
        each.close()


def test_every_process_stands_in_the_table() -> None:
    assert set(PROCESSES) == set(DUTIES)


@pytest.mark.parametrize("process", PROCESSES)
def test_each_process_reads_its_own_and_is_refused_the_rest(
    process: str, vault_server: VaultServer, tokens: dict[str, str]
) -> None:
    client = vault_server.client(tokens[process])
    allowed = {str(deed) for deed in DEEDS if _passes(client, deed)}
    assert allowed == {str(deed) for deed in DEEDS if process in deed.allowed}


@pytest.mark.parametrize("process", PROCESSES)
def test_no_process_has_the_default_policy(
    process: str, vault_server: VaultServer, tokens: dict[str, str]
) -> None:
    found = vault_server.client(tokens[process]).auth.token.lookup_self()["data"]
    assert found["policies"] == [f"qcloud-{process}"]
    assert found["ttl"] <= 3600


def _passes(client: hvac.Client, deed: Deed) -> bool:
    """Whether Vault let it through to the engine, whatever that said then."""
    try:
        client.adapter.request(deed.method, f"/v1/{deed.path}", json={})
    except hvac_errors.Forbidden:
        return False
    except hvac_errors.VaultError:
        return True
    return True
