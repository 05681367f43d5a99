"""Sealed, down, slow, expired, revoked, somebody else: each says what it is and what to do."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from qcloud.kernel.env import Env, SettingError
from qcloud.kernel.sealing import SealerUnavailable
from tests.e2e.certificates import write_certificate
from tests.vaultsvc.vault.proxy import Proxy
from tests.vaultsvc.vault.server import VaultServer, free_port
from vaultsvc.backends.vault import Vault
from vaultsvc.vault.bootstrap import Bootstrap, Plan
from vaultsvc.vault.connection import VaultConnection
from vaultsvc.vault.errors import (
    VaultDenied,
    VaultDown,
    VaultSealed,
    VaultSlow,
    VaultUnavailable,
    VaultUntrusted,
)
from vaultsvc.vault.settings import AppRole, Token, VaultSettings, safe_address


@pytest.fixture
def proxy(vault_server: VaultServer) -> Iterator[Proxy]:
    opened = Proxy(vault_server.port)
    yield opened
    opened.close()


def behind(proxy: Proxy, server: VaultServer, **changes: object) -> Vault:
    """The operator's keeper, with ``proxy`` between it and Vault."""
    address = f"https://127.0.0.1:{proxy.port}"
    return Vault(
        server.connection(server.role("operator"), **{"address": address, "timeout": 1, **changes})
    )


def wait_out_pause() -> None:
    time.sleep(1.1)


def test_sealed_is_said_at_once_and_unsealing_is_enough(own_server: VaultServer) -> None:
    tuple(Bootstrap(own_server.connection(), Plan()).run())
    keeper, owner = Vault(own_server.connection(own_server.role("web"))), uuid4()
    made = keeper.new_data_key(owner)
    own_server.seal()
    began = time.monotonic()
    with pytest.raises(VaultSealed, match="vault operator unseal") as caught:
        keeper.unwrap(owner, made.wrapped.blob)
    assert time.monotonic() - began < 1
    assert (caught.value.code, caught.value.http_status) == ("vaultsvc.vault_sealed", 503)
    assert isinstance(caught.value, SealerUnavailable)
    assert (keeper.status().reachable, keeper.status().sealed) == (True, True)
    assert "Unseal it" in keeper.status().detail
    own_server.unseal()
    assert keeper.unwrap(owner, made.wrapped.blob) == made.plaintext
    assert not keeper.status().sealed


def test_sealed_at_the_first_log_in(own_server: VaultServer) -> None:
    tuple(Bootstrap(own_server.connection(), Plan()).run())
    role = own_server.role("web")
    own_server.seal()
    with pytest.raises(VaultSealed):
        Vault(own_server.connection(role)).new_data_key(uuid4())


def test_down_is_said_and_the_same_keeper_goes_on_afterwards(own_server: VaultServer) -> None:
    tuple(Bootstrap(own_server.connection(), Plan()).run())
    keeper, owner = Vault(own_server.connection(own_server.role("web"), timeout=2)), uuid4()
    made = keeper.new_data_key(owner)
    own_server.stop()
    with pytest.raises(VaultDown, match="cannot be reached"):
        keeper.unwrap(owner, made.wrapped.blob)
    status = keeper.status()
    assert not status.reachable
    assert "QCLOUD_VAULT_ADDRESS" in status.detail
    own_server.start()
    wait_out_pause()
    assert keeper.unwrap(owner, made.wrapped.blob) == made.plaintext


def test_after_a_failure_others_are_refused_at_once(
    proxy: Proxy, vault_server: VaultServer
) -> None:
    keeper, owner = behind(proxy, vault_server), uuid4()
    keeper.new_data_key(owner)
    proxy.close()
    with pytest.raises(VaultDown):
        keeper.versions(owner)
    began = time.monotonic()

    def ask(_turn: int) -> type[VaultUnavailable]:
        with pytest.raises(VaultUnavailable) as caught:
            keeper.versions(owner)
        return type(caught.value)

    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(ask, range(32))) == {VaultDown}
    assert time.monotonic() - began < 0.5


def test_slow_is_given_up_in_bounded_time(proxy: Proxy, vault_server: VaultServer) -> None:
    keeper, owner = behind(proxy, vault_server), uuid4()
    made = keeper.new_data_key(owner)
    proxy.delay = 5
    began = time.monotonic()
    with pytest.raises(VaultSlow, match="did not answer in time"):
        keeper.unwrap(owner, made.wrapped.blob)
    assert 1 <= time.monotonic() - began < 4.5
    began = time.monotonic()
    assert not keeper.status().reachable
    assert time.monotonic() - began < 2
    proxy.delay = 0
    wait_out_pause()
    assert keeper.unwrap(owner, made.wrapped.blob) == made.plaintext


def test_a_little_slow_is_no_failure(proxy: Proxy, vault_server: VaultServer) -> None:
    keeper, owner = behind(proxy, vault_server, timeout=3), uuid4()
    made = keeper.new_data_key(owner)
    proxy.delay = 0.4
    assert keeper.unwrap(owner, made.wrapped.blob) == made.plaintext


def test_a_revoked_token_is_replaced_without_a_failure(
    vault_server: VaultServer, connection: VaultConnection
) -> None:
    keeper, owner = Vault(connection), uuid4()
    made = keeper.new_data_key(owner)
    vault_server.client().auth.token.revoke(connection._logged_in().client.token)
    assert keeper.unwrap(owner, made.wrapped.blob) == made.plaintext
    assert connection.generation == 2


def test_sixteen_threads_replace_a_revoked_token_together(
    vault_server: VaultServer, connection: VaultConnection
) -> None:
    keeper, owner = Vault(connection), uuid4()
    made = keeper.new_data_key(owner)
    vault_server.client().auth.token.revoke(connection._logged_in().client.token)

    def unwrap(_turn: int) -> bool:
        return keeper.unwrap(owner, made.wrapped.blob) == made.plaintext

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(unwrap, range(64)))
    assert connection.generation == 2


def short_lived(server: VaultServer, *, seconds: int, longest: int) -> AppRole:
    server.client().auth.approle.create_or_update_approle(
        f"short-{seconds}-{longest}",
        token_policies=["qcloud-web"],
        token_ttl=f"{seconds}s",
        token_max_ttl=f"{longest}s",
        token_no_default_policy=True,
    )
    approle = server.client().auth.approle
    return AppRole(
        approle.read_role_id(f"short-{seconds}-{longest}")["data"]["role_id"],
        approle.generate_secret_id(f"short-{seconds}-{longest}")["data"]["secret_id"],
    )


def test_a_token_is_renewed_in_the_background(vault_server: VaultServer) -> None:
    connection = vault_server.connection(short_lived(vault_server, seconds=2, longest=60))
    keeper = Vault(connection)
    keeper.new_data_key(uuid4())
    token = connection._logged_in().client.token
    time.sleep(5)
    keeper.new_data_key(uuid4())
    assert connection.generation == 1
    assert connection._logged_in().client.token == token
    connection.close()


def test_near_its_last_day_a_token_is_replaced_before_it_fails(vault_server: VaultServer) -> None:
    connection = vault_server.connection(short_lived(vault_server, seconds=2, longest=3))
    keeper = Vault(connection)
    until = time.monotonic() + 7
    while time.monotonic() < until:
        keeper.new_data_key(uuid4())
        time.sleep(0.2)
    assert connection.generation >= 3
    connection.close()


def test_an_expired_token_is_replaced_where_nothing_renewed_it(vault_server: VaultServer) -> None:
    connection = vault_server.connection(short_lived(vault_server, seconds=1, longest=60))
    connection.renewer.stop()
    keeper = Vault(connection)
    keeper.new_data_key(uuid4())
    time.sleep(1.5)
    keeper.new_data_key(uuid4())
    assert connection.generation == 2


def test_closing_takes_the_token_back(vault_server: VaultServer) -> None:
    connection = vault_server.connection(vault_server.role("web"))
    token = connection._logged_in().client.token
    connection.close()
    assert not vault_server.client(token).is_authenticated()
    assert not any(
        thread.name == "vault-renewal" and thread is connection.renewer._thread
        for thread in threading.enumerate()
    )


def test_a_wrong_secret_id_says_whom_to_ask(vault_server: VaultServer) -> None:
    role = vault_server.role("web")
    wrong = AppRole(role.role_id, "00000000-0000-0000-0000-000000000000")
    with pytest.raises(VaultDenied, match="does not accept the log-in") as caught:
        Vault(vault_server.connection(wrong)).new_data_key(uuid4())
    assert "00000000-0000" not in caught.value.message


def test_a_new_secret_id_in_the_file_is_picked_up(
    vault_server: VaultServer, tmp_path: Path
) -> None:
    good, file = vault_server.role("web"), tmp_path / "secret-id"
    file.write_text("wrong\n")
    keeper = Vault(vault_server.connection(AppRole(good.role_id, secret_id_file=file)))
    with pytest.raises(VaultDenied):
        keeper.new_data_key(uuid4())
    file.write_text(f"{good.secret_id}\n")
    keeper.new_data_key(uuid4())


def test_a_missing_secret_id_file_is_named(vault_server: VaultServer, tmp_path: Path) -> None:
    login = AppRole(vault_server.role("web").role_id, secret_id_file=tmp_path / "absent")
    with pytest.raises(VaultDenied, match=r"QCLOUD_VAULT_SECRET_ID_FILE: cannot read .*absent"):
        Vault(vault_server.connection(login)).new_data_key(uuid4())


def test_a_wrapped_secret_id_opens_once(vault_server: VaultServer) -> None:
    approle = vault_server.client().auth.approle
    role_id = approle.read_role_id("qcloud-web")["data"]["role_id"]
    wrapped = approle.generate_secret_id("qcloud-web", wrap_ttl="60s")["wrap_info"]["token"]
    login = AppRole(role_id, secret_id=wrapped, wrapped=True)
    connection = vault_server.connection(login)
    Vault(connection).new_data_key(uuid4())
    # Its token gone, the process logs in again with what it unwrapped.
    vault_server.client().auth.token.revoke(connection._logged_in().client.token)
    Vault(connection).new_data_key(uuid4())
    with pytest.raises(VaultDenied, match="used up"):
        Vault(vault_server.connection(login)).new_data_key(uuid4())


def test_what_a_policy_forbids_names_the_deed(vault_server: VaultServer) -> None:
    connection = vault_server.connection(vault_server.role("ingest"))
    with pytest.raises(VaultDenied, match="does not let this process make the key account-"):
        Vault(connection).new_data_key(uuid4())
    assert connection.generation == 1


def test_another_authority_is_not_believed(vault_server: VaultServer, tmp_path: Path) -> None:
    other, _key = write_certificate(tmp_path, ["localhost"], ["127.0.0.1"])
    keeper = Vault(vault_server.connection(Token("s.secret"), ca_file=other))
    with pytest.raises(VaultUntrusted, match="QCLOUD_VAULT_CA_FILE"):
        keeper.versions(uuid4())
    assert not keeper.status().reachable


def test_the_systems_authorities_do_not_vouch_for_a_private_one(
    vault_server: VaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nor does a variable that requests would believe.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(vault_server.ca_file))
    with pytest.raises(VaultUntrusted):
        Vault(vault_server.connection(Token("s.secret"), ca_file=None)).versions(uuid4())


def test_a_missing_mount_names_bootstrap(own_server: VaultServer) -> None:
    keeper = Vault(own_server.connection())
    with pytest.raises(VaultDenied, match="qcloud vault bootstrap"):
        keeper.versions(uuid4())
    with pytest.raises(VaultDenied, match="qcloud vault bootstrap"):
        keeper.new_data_key(uuid4())


def test_an_uninitialized_vault_says_so(own_server: VaultServer, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = VaultServer(tmp_path / "empty", own_server.program)
    empty.child.start()
    empty.child.wait_until(empty._answers, 30)
    try:
        keeper = Vault(empty.connection(Token("s.x")))
        with pytest.raises(VaultSealed, match="vault operator"):
            keeper.versions(uuid4())
        assert "never initialized" in keeper.status().detail
    finally:
        empty.stop()


def test_a_redirect_is_not_followed() -> None:
    """A standby that cannot forward answers so; the token must not go where it points."""
    answer = b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65_536)
                peer.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        settings = VaultSettings(f"http://127.0.0.1:{port}", Token("s.secret"), timeout=1)
        with pytest.raises(VaultDown, match="points elsewhere"):
            Vault(VaultConnection(settings)).versions(uuid4())


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_forked_child_logs_in_for_itself(connection: VaultConnection) -> None:
    keeper, owner = Vault(connection), uuid4()
    made = keeper.new_data_key(owner)
    child = os.fork()
    if child == 0:  # pragma: no cover  another process
        opened = keeper.unwrap(owner, made.wrapped.blob) == made.plaintext
        os._exit(0 if opened and connection.generation == 2 else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert keeper.unwrap(owner, made.wrapped.blob) == made.plaintext
    assert connection.generation == 1


def test_the_namespace_goes_with_every_request_but_health() -> None:
    """Namespaces are not in the server that tests have: what is sent is looked at instead."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(2):
                peer, _ = listener.accept()
                with peer:
                    seen.append(peer.recv(65_536))
                    peer.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

        server = threading.Thread(target=serve)
        server.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        keeper = Vault(
            VaultConnection(VaultSettings(address, Token("s.secret"), namespace="cloud/qcloud"))
        )
        assert keeper.versions(uuid4()) is None
        assert keeper.status().namespace == "cloud/qcloud"
        server.join()
    assert b"X-Vault-Namespace: cloud/qcloud\r\n" in seen[0]
    assert b"X-Vault-Namespace" not in seen[1]
    assert b"s.secret" not in seen[1]


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://vault.example:8200", "must begin with https"),
        ("vault.example:8200", "must be https://host:port"),
        ("ftp://127.0.0.1", "must be https://host:port"),
        ("https://me:pw@vault.example", "neither a name"),
        ("", "must be https://host:port"),
    ],
)
def test_unsafe_addresses_are_refused(address: str, says: str) -> None:
    with pytest.raises(SettingError, match=says):
        safe_address(address)


@pytest.mark.parametrize("address", ["http://127.0.0.1:8200", "http://[::1]:1", "https://v:8200/"])
def test_plain_http_is_for_loopback(address: str) -> None:
    assert safe_address(address) == address.rstrip("/")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "QCLOUD_VAULT_ADDRESS is not set"),
        ({"QCLOUD_VAULT_AUTH": "ldap"}, "approle or kubernetes"),
        ({"QCLOUD_VAULT_CA_FILE": "/nonexistent"}, "there is no file"),
        ({"QCLOUD_VAULT_ROLE_ID": "r"}, "QCLOUD_VAULT_SECRET_ID is not set"),
        ({"QCLOUD_VAULT_AUTH": "kubernetes"}, "QCLOUD_VAULT_ROLE is not set"),
    ],
)
def test_missing_settings_are_named(values: dict[str, str], says: str) -> None:
    address = {"QCLOUD_VAULT_ADDRESS": f"http://127.0.0.1:{free_port()}"} if values else {}
    with pytest.raises(SettingError, match=says):
        VaultSettings.from_env(Env({**address, **values}))


def test_secrets_are_not_in_reprs() -> None:
    shown = repr(VaultSettings("https://v", AppRole("role", "hidden"))) + repr(Token("hidden"))
    assert "hidden" not in shown
