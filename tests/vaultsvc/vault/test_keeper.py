"""Every promise of ``KeyBackend``, kept by a real Vault, as the operator's command line."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from qcloud.kernel.sealing import KeyShredded, SealerUnavailable
from tests.vaultsvc.vault.proxy import Proxy
from tests.vaultsvc.vault.server import VaultServer
from vaultsvc.backends.base import KeyBackend, signing_key_id
from vaultsvc.backends.vault import Vault
from vaultsvc.vault.names import account_key
from vaultsvc.vault.policies import PURPOSES
from vaultsvc.vault.settings import Token


@pytest.fixture
def signing(vault_server: VaultServer) -> Vault:
    """Purposes that no policy knows are for the root alone."""
    return Vault(vault_server.connection())


@pytest.fixture
def owner() -> UUID:
    return uuid4()


def test_it_is_a_keeper(keeper: Vault) -> None:
    promised: KeyBackend = keeper
    assert promised.name == "vault"


def test_a_data_key_is_wrapped_and_unwrapped(keeper: Vault, owner: UUID) -> None:
    made = keeper.new_data_key(owner)
    assert len(made.plaintext) == 32
    assert made.wrapped.version == 1
    assert len(made.wrapped.blob) <= 512
    assert made.plaintext not in made.wrapped.blob
    assert keeper.unwrap(owner, made.wrapped.blob) == made.plaintext


def test_two_data_keys_differ(keeper: Vault, owner: UUID) -> None:
    assert keeper.new_data_key(owner).plaintext != keeper.new_data_key(owner).plaintext


def test_a_cold_owner_costs_two_round_trips_and_a_known_one_costs_one(
    vault_server: VaultServer, owner: UUID
) -> None:
    connection = vault_server.connection(Token(vault_server.root_token))
    asked: list[str] = []
    keeper = Vault(connection)
    connection._logged_in().client.session.hooks["response"].append(
        lambda response, **_options: asked.append(response.request.path_url)
    )
    keeper.new_data_key(owner)
    name = account_key(owner)
    assert asked == [
        f"/v1/qcloud-transit/keys/{name}",
        f"/v1/qcloud-transit/datakey/plaintext/{name}",
    ]
    asked.clear()
    made = keeper.new_data_key(owner)
    keeper.unwrap(owner, made.wrapped.blob)
    keeper.rewrap(owner, made.wrapped.blob)
    assert asked == [
        f"/v1/qcloud-transit/datakey/plaintext/{name}",
        f"/v1/qcloud-transit/decrypt/{name}",
        f"/v1/qcloud-transit/rewrap/{name}",
    ]


def test_keys_do_not_leave_vault(vault_server: VaultServer, keeper: Vault, owner: UUID) -> None:
    keeper.new_data_key(owner)
    client = vault_server.client()
    found = client.secrets.transit.read_key(account_key(owner), mount_point="qcloud-transit")
    assert found["data"]["exportable"] is False
    assert found["data"]["allow_plaintext_backup"] is False
    assert found["data"]["deletion_allowed"] is False


def test_another_owner_cannot_unwrap(keeper: Vault, owner: UUID) -> None:
    other = uuid4()
    keeper.new_data_key(other)
    blob = keeper.new_data_key(owner).wrapped.blob
    with pytest.raises(ValueError, match="changed, or another owner's"):
        keeper.unwrap(other, blob)
    with pytest.raises(ValueError, match="changed, or another owner's"):
        keeper.rewrap(other, blob)


@pytest.mark.parametrize("place", [0, 7, 9, 20, -1])
def test_a_changed_blob_is_refused(keeper: Vault, owner: UUID, place: int) -> None:
    blob = bytearray(keeper.new_data_key(owner).wrapped.blob)
    blob[place] = ord("9") if blob[place] != ord("9") else ord("8")
    with pytest.raises(ValueError, match="wrap"):
        keeper.unwrap(owner, bytes(blob))


@pytest.mark.parametrize("blob", [b"", b"vault:v1:", b"vault:v1:!!", b"vault:v0:AAAA", b"x" * 600])
def test_what_vault_never_wrapped_is_refused(keeper: Vault, owner: UUID, blob: bytes) -> None:
    keeper.new_data_key(owner)
    with pytest.raises(ValueError, match="wrap"):
        keeper.unwrap(owner, blob)


def test_a_later_version_number_is_refused(keeper: Vault, owner: UUID) -> None:
    blob = keeper.new_data_key(owner).wrapped.blob
    with pytest.raises(ValueError, match="changed"):
        keeper.unwrap(owner, blob.replace(b"v1", b"v2", 1))


def test_an_absent_key_is_not_taken_for_a_destroyed_one(keeper: Vault, owner: UUID) -> None:
    blob = keeper.new_data_key(owner).wrapped.blob
    with pytest.raises(SealerUnavailable, match="Restore Vault from the backup"):
        keeper.unwrap(uuid4(), blob)


def test_rotation_raises_the_version_and_old_blobs_open(keeper: Vault, owner: UUID) -> None:
    before = keeper.new_data_key(owner)
    assert keeper.rotate(owner) == 2
    assert keeper.unwrap(owner, before.wrapped.blob) == before.plaintext
    moved = keeper.rewrap(owner, before.wrapped.blob)
    assert moved.version == 2
    assert keeper.unwrap(owner, moved.blob) == before.plaintext
    assert keeper.new_data_key(owner).wrapped.version == 2


def test_rotation_makes_the_key_at_first_use(keeper: Vault, owner: UUID) -> None:
    assert keeper.versions(owner) is None
    assert keeper.rotate(owner) == 2
    assert keeper.new_data_key(owner).wrapped.version == 2


def test_versions_tell_when_the_newest_was_made(keeper: Vault, owner: UUID) -> None:
    keeper.new_data_key(owner)
    keeper.rotate(owner)
    found = keeper.versions(owner)
    assert found is not None
    assert (found.newest, found.oldest) == (2, 1)
    assert abs(datetime.now(UTC) - found.created_at) < timedelta(seconds=30)


def test_a_version_below_the_minimum_says_what_to_do(
    vault_server: VaultServer, keeper: Vault, owner: UUID
) -> None:
    blob = keeper.new_data_key(owner).wrapped.blob
    keeper.rotate(owner)
    vault_server.client().secrets.transit.update_key_configuration(
        account_key(owner), min_decryption_version=2, mount_point="qcloud-transit"
    )
    with pytest.raises(SealerUnavailable, match="min_decryption_version"):
        keeper.unwrap(owner, blob)
    found = keeper.versions(owner)
    assert found is not None
    assert found.oldest == 2


def test_a_destroyed_key_opens_nothing_and_is_not_made_again(
    vault_server: VaultServer, keeper: Vault, owner: UUID
) -> None:
    blob = keeper.new_data_key(owner).wrapped.blob
    keeper.destroy(owner)
    assert keeper.versions(owner) is None
    # Neither by this process nor by one that never heard of the owner.
    for each in (keeper, Vault(vault_server.connection(vault_server.role("web")))):
        with pytest.raises(KeyShredded):
            each.unwrap(owner, blob)
        with pytest.raises(KeyShredded):
            each.rewrap(owner, blob)
        with pytest.raises(KeyShredded):
            each.new_data_key(owner)
    with pytest.raises(KeyShredded):
        keeper.rotate(owner)


def test_destroying_again_or_without_a_key_is_no_error(keeper: Vault, owner: UUID) -> None:
    keeper.destroy(owner)
    keeper.destroy(owner)
    with pytest.raises(KeyShredded):
        keeper.new_data_key(owner)


def test_a_destruction_killed_half_way_is_finished_by_the_next(
    vault_server: VaultServer, keeper: Vault, owner: UUID
) -> None:
    blob = keeper.new_data_key(owner).wrapped.blob
    transit = vault_server.client().secrets.transit
    transit.update_key_configuration(
        account_key(owner), deletion_allowed=True, mount_point="qcloud-transit"
    )
    transit.delete_key(account_key(owner), mount_point="qcloud-transit")
    with pytest.raises(SealerUnavailable):
        keeper.unwrap(owner, blob)
    keeper.destroy(owner)
    with pytest.raises(KeyShredded):
        keeper.unwrap(owner, blob)


def test_signatures_verify_with_the_named_public_key(signing: Vault) -> None:
    purpose = f"p{uuid4().hex[:8]}"
    assert signing.public_keys(purpose) == {}
    signed = signing.sign(purpose, b"message")
    public = signing.public_keys(purpose)
    assert list(public) == [signed.key_id]
    assert signed.key_id == signing_key_id(purpose, 1, public[signed.key_id])
    Ed25519PublicKey.from_public_bytes(public[signed.key_id]).verify(signed.signature, b"message")


def test_a_new_signing_key_keeps_the_earlier_public_key(signing: Vault) -> None:
    purpose = f"p{uuid4().hex[:8]}"
    old = signing.sign(purpose, b"m")
    key_id = signing.rotate_signing(purpose)
    new = signing.sign(purpose, b"m")
    assert new.key_id == key_id != old.key_id
    assert list(signing.public_keys(purpose)) == [old.key_id, new.key_id]
    # A process that signs all along follows a rotation made by another.
    assert signing.rotate_signing(purpose) == signing.sign(purpose, b"m").key_id


@pytest.mark.parametrize("purpose", PURPOSES)
def test_the_command_line_signs_and_rotates_for_every_purpose(keeper: Vault, purpose: str) -> None:
    before = keeper.sign(purpose, b"m").key_id
    assert keeper.rotate_signing(purpose) == keeper.sign(purpose, b"m").key_id != before


def test_the_first_rotation_of_a_signing_key_makes_it(signing: Vault) -> None:
    purpose = f"p{uuid4().hex[:8]}"
    assert list(signing.public_keys(purpose)) == []
    assert signing.rotate_signing(purpose).startswith(f"{purpose}-1-")


def test_status_of_a_healthy_vault(keeper: Vault, owner: UUID) -> None:
    keeper.versions(owner)
    found = keeper.status()
    assert (found.reachable, found.sealed) == (True, False)
    assert found.version.startswith("1.")
    assert "unsealed" in found.detail
    assert found.token_expires_at is not None
    assert timedelta(minutes=50) < found.token_expires_at - datetime.now(UTC) < timedelta(hours=1)


def test_sixteen_threads_make_unwrap_and_rotate_at_once(keeper: Vault, owner: UUID) -> None:
    def work(turn: int) -> bool:
        made = keeper.new_data_key(owner)
        if turn % 4 == 0:
            keeper.rotate(owner)
        moved = keeper.rewrap(owner, made.wrapped.blob)
        opened = {keeper.unwrap(owner, blob) for blob in (made.wrapped.blob, moved.blob)}
        return opened == {made.plaintext} and moved.version >= made.wrapped.version

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(work, range(64)))
    found = keeper.versions(owner)
    assert found is not None
    assert found.newest == 17


def test_sixteen_threads_destroy_and_use_at_once(keeper: Vault, owner: UUID) -> None:
    blob = keeper.new_data_key(owner).wrapped.blob

    def work(turn: int) -> str:
        try:
            if turn % 8 == 0:
                keeper.destroy(owner)
            keeper.unwrap(owner, blob)
        except KeyShredded:
            return "shredded"
        except SealerUnavailable:
            return "between"
        return "opened"

    with ThreadPoolExecutor(16) as threads:
        seen = set(threads.map(work, range(48)))
    assert "shredded" in seen
    with pytest.raises(KeyShredded):
        keeper.unwrap(owner, blob)


def test_a_cut_line_in_the_middle_of_rotations_loses_nothing(
    vault_server: VaultServer, owner: UUID
) -> None:
    proxy = Proxy(vault_server.port)
    try:
        far = Vault(
            vault_server.connection(
                Token(vault_server.root_token), address=f"https://127.0.0.1:{proxy.port}"
            )
        )
        made = far.new_data_key(owner)
        proxy.cut()
        assert far.unwrap(owner, made.wrapped.blob) == made.plaintext
        proxy.cut()
        version = far.rewrap(owner, made.wrapped.blob).version
        assert version == 1
    finally:
        proxy.close()
