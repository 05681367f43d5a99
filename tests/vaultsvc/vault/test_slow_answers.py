"""An answer that begins and does not end is given up as well, with TLS and without."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from uuid import uuid4

import pytest

from tests.vaultsvc.vault.proxy import Proxy
from tests.vaultsvc.vault.server import VaultServer
from vaultsvc.backends.vault import Vault
from vaultsvc.vault.connection import VaultConnection
from vaultsvc.vault.errors import VaultSlow
from vaultsvc.vault.settings import AppRole, VaultSettings

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ENDLESS = (
    HEAD + b"X-Long: " + b"x" * 4_000,
    HEAD + b"Content-Length: 4000\r\n\r\n" + b" " * 4_000,
    HEAD + b"Connection: close\r\n\r\n{}" + b" " * 4_000,
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 2_000,
)


@pytest.fixture
def proxy(vault_server: VaultServer) -> Iterator[Proxy]:
    proxy = Proxy(vault_server.port)
    yield proxy
    proxy.close()


def test_bytes_that_drip_are_given_up_and_the_next_answer_is_taken(
    proxy: Proxy, vault_server: VaultServer
) -> None:
    address = f"https://127.0.0.1:{proxy.port}"
    opened = vault_server.connection(vault_server.role("operator"), address=address, timeout=1)
    keeper, owner = Vault(opened), uuid4()
    made = keeper.new_data_key(owner)
    proxy.drip = 0.1
    began = time.monotonic()
    with pytest.raises(VaultSlow, match="did not answer in time"):
        keeper.unwrap(owner, made.wrapped.blob)
    assert 1 <= time.monotonic() - began < 5
    proxy.drip = 0
    deadline = time.monotonic() + 10
    while True:
        with suppress(VaultSlow):
            assert keeper.unwrap(owner, made.wrapped.blob) == made.plaintext
            break
        assert time.monotonic() < deadline
        time.sleep(0.2)
    opened.close()


@pytest.mark.parametrize("answer", ENDLESS, ids=["header", "length", "until-closed", "chunks"])
def test_wherever_it_drips(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            with suppress(OSError):
                peer, _ = listener.accept()
                with peer:
                    peer.recv(65_536)
                    peer.sendall(answer[:60])
                    for byte in answer[60:]:
                        peer.sendall(bytes((byte,)))
                        time.sleep(0.2)

        threading.Thread(target=serve, daemon=True).start()
        login = AppRole(role_id="r", secret_id="s")
        settings = VaultSettings(f"http://127.0.0.1:{port}", login, timeout=1)
        began = time.monotonic()
        with pytest.raises(VaultSlow):
            Vault(VaultConnection(settings)).versions(uuid4())
        assert time.monotonic() - began < 4
