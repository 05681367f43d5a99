"""One Vault for the tests of a process, bootstrapped; and one that a test may break."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vaultsvc.vault.server import VaultServer, binary
from vaultsvc.backends.vault import Vault
from vaultsvc.vault.bootstrap import Bootstrap, Plan
from vaultsvc.vault.connection import VaultConnection


@pytest.fixture(scope="session")
def vault_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    """Shared: a test leaves it unsealed and running."""
    server = VaultServer(tmp_path_factory.mktemp("vault"), binary())
    server.start()
    tuple(Bootstrap(server.connection(), Plan()).run())
    yield server
    server.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[VaultServer]:
    """Of this test alone, empty."""
    server = VaultServer(tmp_path, binary())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def connection(vault_server: VaultServer) -> Iterator[VaultConnection]:
    """As the operator's command line."""
    opened = vault_server.connection(vault_server.role("operator"), timeout=3)
    yield opened
    opened.close()


@pytest.fixture
def keeper(connection: VaultConnection) -> Vault:
    return Vault(connection)
