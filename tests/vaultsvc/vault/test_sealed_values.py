"""Sealed rows of the platform with a real Vault behind them, each step as its own process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID, uuid4

import pytest
from django.db import connections
from django.test import override_settings

from identity.services import erasure
from qcloud.kernel.scope import scoped
from qcloud.kernel.sealing import KeyShredded, Place, SealerUnavailable, sealer
from tests.factories.cast import Person
from tests.vaultsvc.values import (
    SYSTEM,
    active_key,
    environment_of,
    fill,
    keys_in_use,
    revealed,
)
from tests.vaultsvc.vault.proxy import Proxy
from tests.vaultsvc.vault.server import VaultServer
from vaultsvc import backends
from vaultsvc.backends.vault import Vault
from vaultsvc.keys import held
from vaultsvc.selectors import RunInfo
from vaultsvc.services import account_shred, key_rotate_start, run_carry_on
from vaultsvc.vault.connection import VaultConnection
from vaultsvc.vault.errors import VaultDenied, VaultDown
from vaultsvc.vault.names import account_key

pytestmark = pytest.mark.django_db(transaction=True)
Become = Callable[..., VaultConnection]


class Killed(BaseException):
    """As a signal would: nothing in the platform catches it."""


@pytest.fixture(autouse=True)
def _vault_from_the_first_row_on(become: Become) -> None:
    """Making the cast seals already."""
    become("operator")


@pytest.fixture
def become(vault_server: VaultServer) -> Iterator[Become]:
    """This process's keeper is Vault, as that process is allowed to use it; memory is empty."""
    opened: list[VaultConnection] = []

    def become(process: str, **changes: object) -> VaultConnection:
        opened.append(vault_server.connection(vault_server.role(process), **changes))
        backends.use(Vault(opened[-1]))
        held.forget()
        return opened[-1]

    yield become
    backends.use(None)
    held.forget()
    for each in opened:
        each.close()


@contextmanager
def counted(connection: VaultConnection) -> Iterator[list[str]]:
    asked: list[str] = []
    hooks = connection._logged_in().client.session.hooks["response"]
    hooks.append(lambda response, **_options: asked.append(response.request.path_url))
    yield asked
    hooks.pop()


def place(owner: UUID) -> Place:
    return Place(owner, "fleet_registrationtoken", "token", str(uuid4()))


def test_a_cold_account_costs_two_round_trips_and_a_warm_one_none(become: Become) -> None:
    where = place(uuid4())
    with counted(become("web")) as asked:
        sealed = sealer().seal(b"secret", where)
        assert len(asked) == 2
        assert sealer().unseal(sealed, where) == b"secret"
        assert len(asked) == 2
        held.forget()
        assert sealer().unseal(sealed, where) == b"secret"
        assert len(asked) == 3


def test_rotation_as_the_worker_killed_half_way_and_taken_up(
    become: Become, customer_owner: Person, other_customer_owner: Person
) -> None:
    people = (customer_owner, other_customer_owner)
    become("web")
    ids = {p.slug: fill(p, environment_of(p), 6) for p in people}
    before = {p.slug: active_key(p.account.id).id for p in people}
    begun = key_rotate_start(actor=SYSTEM)
    become("worker")
    seen: list[RunInfo] = []

    def kill(run: RunInfo) -> None:
        seen.append(run)
        if run.resealed >= 4:  # keys are rotated, some values are sealed anew
            raise Killed

    with pytest.raises(Killed):
        run_carry_on(actor=SYSTEM, progress=kill, batch=2)
    become("web")
    assert all(revealed(p) == {row: str(row) for row in ids[p.slug]} for p in people)
    become("worker")
    run = run_carry_on(actor=SYSTEM, batch=2)
    assert run is not None
    assert run.rotated >= 2
    assert run.resealed >= 12
    assert (run.broken, run.done, run.rotated + run.resealed) == (0, begun.total, begun.total)
    for person in people:
        key = active_key(person.account.id)
        assert key.id != before[person.slug]
        assert key.key_version == 2
        assert keys_in_use(person.account.id) == {key.id}
    become("web")
    assert all(revealed(p) == {row: str(row) for row in ids[p.slug]} for p in people)


def test_vault_lost_in_the_middle_of_a_rotation_leaves_it_to_be_taken_up(
    become: Become, vault_server: VaultServer, customer_owner: Person
) -> None:
    become("web")
    ids = fill(customer_owner, environment_of(customer_owner), 4)
    owner = customer_owner.account.id
    begun = key_rotate_start(actor=SYSTEM, owner=owner)
    proxy = Proxy(vault_server.port)
    become("worker", address=f"https://127.0.0.1:{proxy.port}", timeout=1)
    proxy.close()
    with pytest.raises(VaultDown):
        run_carry_on(actor=SYSTEM)
    become("worker")
    run = run_carry_on(actor=SYSTEM)
    assert run is not None
    assert (run.rotated, 1 + run.resealed, run.done) == (1, begun.total, begun.total)
    assert keys_in_use(owner) == {active_key(owner).id}
    assert revealed(customer_owner) == {row: str(row) for row in ids}


def test_sixteen_readers_see_every_value_while_keys_rotate(
    become: Become, customer_owner: Person
) -> None:
    become("operator")
    ids = fill(customer_owner, environment_of(customer_owner), 8)
    wanted = {row: str(row) for row in ids}
    stop = threading.Event()

    def read(_reader: int) -> int:
        rounds = 0
        try:
            while not stop.is_set() or rounds == 0:
                held.forget()  # every read asks Vault anew
                assert revealed(customer_owner) == wanted
                rounds += 1
        finally:
            connections.close_all()
        return rounds

    with ThreadPoolExecutor(16) as threads:
        readers = [threads.submit(read, number) for number in range(16)]
        try:
            for _ in range(3):
                key_rotate_start(actor=SYSTEM)
                run = run_carry_on(actor=SYSTEM, batch=2)
                assert run is not None
                assert run.broken == 0
        finally:
            stop.set()
        assert all(reader.result() > 0 for reader in readers)
    assert active_key(customer_owner.account.id).key_version == 4


def test_what_is_in_memory_opens_while_vault_is_away(
    become: Become, vault_server: VaultServer, customer_owner: Person
) -> None:
    proxy = Proxy(vault_server.port)
    become("web", address=f"https://127.0.0.1:{proxy.port}", timeout=1)
    where = place(customer_owner.account.id)
    with override_settings(KEY_CACHE_SECONDS=300):
        sealed = sealer().seal(b"secret", where)
        proxy.close()
        assert sealer().unseal(sealed, where) == b"secret"
        held.forget()
        with pytest.raises(SealerUnavailable, match="cannot be reached"):
            sealer().unseal(sealed, where)


def test_a_shredded_account_is_unreadable_and_others_are_not(
    become: Become, customer_owner: Person, other_customer_owner: Person
) -> None:
    become("operator")
    people = (customer_owner, other_customer_owner)
    for person in people:
        fill(person, environment_of(person), 2)
    blob = bytes(active_key(customer_owner.account.id).wrapped)
    account_shred(
        actor=SYSTEM,
        scope=customer_owner.scope,
        slug=customer_owner.account.slug,
        confirmation=customer_owner.account.slug,
    )
    with pytest.raises(KeyShredded):
        revealed(customer_owner)
    assert len(revealed(other_customer_owner)) == 2
    # Also with the wrapped key of a backup: Vault has nothing that opens it.
    with pytest.raises(KeyShredded):
        backends.backend().unwrap(customer_owner.account.id, blob)


def test_the_worker_ends_an_erasure_with_the_keys(become: Become, customer_owner: Person) -> None:
    """Nobody types a command at the end of a grace period: the worker's policy must suffice."""
    become("web")
    fill(customer_owner, environment_of(customer_owner), 1)
    blob = bytes(active_key(customer_owner.account.id).wrapped)
    become("worker")
    assert erasure._shred(SYSTEM, customer_owner.account.id)
    with pytest.raises(KeyShredded):
        revealed(customer_owner)
    with pytest.raises(KeyShredded):
        backends.backend().unwrap(customer_owner.account.id, blob)


def test_an_erasure_waits_for_a_vault_that_is_away(
    become: Become, customer_owner: Person, vault_server: VaultServer
) -> None:
    become("web")
    fill(customer_owner, environment_of(customer_owner), 1)
    proxy = Proxy(vault_server.port)
    become("worker", address=f"https://127.0.0.1:{proxy.port}", timeout=1)
    proxy.close()
    assert not erasure._shred(SYSTEM, customer_owner.account.id)
    become("worker")
    assert erasure._shred(SYSTEM, customer_owner.account.id)


def test_a_key_that_vault_lost_is_not_made_anew(become: Become, customer_owner: Person) -> None:
    """An older snapshot was put back. What a new key sealed would be lost with the next restore."""
    become("operator")
    owner = customer_owner.account.id
    fill(customer_owner, environment_of(customer_owner), 1)
    keeper = become("operator")
    transit = keeper._logged_in().client.secrets.transit
    name, mount = account_key(owner), keeper.settings.transit_mount
    transit.update_key_configuration(name, deletion_allowed=True, mount_point=mount)
    transit.delete_key(name, mount_point=mount)
    key_rotate_start(actor=SYSTEM, owner=owner)
    run = run_carry_on(actor=SYSTEM)
    assert run is not None
    assert (run.rotated, run.broken > 0) == (0, True)
    with pytest.raises(SealerUnavailable, match="has no key account-"):
        sealer().blind_index(b"x", place(owner))
    assert backends.backend().versions(owner) is None


def test_the_web_cannot_shred(become: Become, customer_owner: Person) -> None:
    become("web")
    fill(customer_owner, environment_of(customer_owner), 1)
    with pytest.raises(VaultDenied, match="destroy keys of accounts"):
        backends.backend().destroy(customer_owner.account.id)
    assert len(revealed(customer_owner)) == 1


def test_ingest_reads_no_sealed_value(become: Become, customer_owner: Person) -> None:
    become("web")
    fill(customer_owner, environment_of(customer_owner), 1)
    become("ingest")
    with pytest.raises(VaultDenied, match="unwrap data keys"), scoped(customer_owner.scope):
        revealed(customer_owner)
    with pytest.raises(VaultDenied):
        sealer().seal(b"x", place(customer_owner.account.id))
