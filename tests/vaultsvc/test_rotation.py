"""Rotation and rewrapping: online, restartable, beside writers."""

from __future__ import annotations

import threading
from uuid import UUID

import pytest
from django.db import connections

from fleet.models import RegistrationToken
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, StepUpNeeded
from qcloud.kernel.models import SettingRow
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import scoped, unscoped
from qcloud.kernel.sealing import PLATFORM, Place, SealerUnavailable, sealer
from tests.factories.cast import Person
from tests.vaultsvc.values import (
    SYSTEM,
    active_key,
    entries,
    environment_of,
    fill,
    keys_in_use,
    owners,
    revealed,
    sealed,
)
from vaultsvc import selectors, walk
from vaultsvc.backends.keyring import Keyring
from vaultsvc.envelope import KEY_ID
from vaultsvc.keys import held
from vaultsvc.models import DataKey, State
from vaultsvc.selectors import RunInfo
from vaultsvc.services import key_rewrap_start, key_rotate_start, run_carry_on

pytestmark = pytest.mark.django_db(transaction=True)


class Killed(BaseException):
    """As a signal would: nothing in the platform catches it."""


def test_rotation_seals_everything_under_new_keys(
    keyring: Keyring, customer_owner: Person, other_customer_owner: Person
) -> None:
    people = (customer_owner, other_customer_owner)
    ids = {p.slug: fill(p, environment_of(p), 7) for p in people}
    before = {p.slug: active_key(p.account.id) for p in people}
    key_rotate_start(actor=SYSTEM)
    run = run_carry_on(actor=SYSTEM, batch=3)
    assert run is not None
    assert (run.rotated, run.resealed, run.broken) == (owners(), sealed(), 0)
    assert run.done == run.total == owners() + sealed()
    for person in people:
        after = active_key(person.account.id)
        assert after.id != before[person.slug].id
        assert after.key_version == 2
        assert keys_in_use(person.account.id) == {after.id}
        assert revealed(person) == {row: str(row) for row in ids[person.slug]}
        versions = keyring.versions(person.account.id)
        assert versions is not None
        assert versions.newest == 2
    with unscoped("test"):
        old = DataKey.objects.get(id=before["acme"].id)
    assert (old.state, old.key_version) == (State.SUPERSEDED, 2)
    (entry,) = entries("vaultsvc.run.finish")
    assert entry.data == {
        "owner": "all",
        "rotated": owners(),
        "values": sealed(),
        "resealed": sealed(),
        "broken": 0,
    }


@pytest.mark.usefixtures("keyring")
def test_one_account_alone(customer_owner: Person, other_customer_owner: Person) -> None:
    for person in (customer_owner, other_customer_owner):
        fill(person, environment_of(person), 2)
    untouched = active_key(other_customer_owner.account.id)
    key_rotate_start(actor=SYSTEM, owner=customer_owner.account.id)
    run = run_carry_on(actor=SYSTEM)
    assert run is not None
    values = sealed(customer_owner.account.id)
    assert values >= 2
    assert (run.rotated, run.resealed, run.total) == (1, values, values + 1)
    assert active_key(other_customer_owner.account.id).id == untouched.id
    assert keys_in_use(other_customer_owner.account.id) == {untouched.id}


@pytest.mark.usefixtures("keyring")
@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_a_killed_run_goes_on_where_it_was(customer_owner: Person, steps: int) -> None:
    ids = fill(customer_owner, environment_of(customer_owner), 10)
    whole = key_rotate_start(actor=SYSTEM).total
    seen: list[RunInfo] = []

    def kill(run: RunInfo) -> None:
        seen.append(run)
        if len(seen) == steps:
            raise Killed

    with pytest.raises(Killed):
        run_carry_on(actor=SYSTEM, progress=kill, batch=3)
    left = selectors.key_status().going
    assert left is not None
    assert left.done == seen[-1].done < whole
    run = run_carry_on(actor=SYSTEM, batch=3)
    assert run is not None
    assert (run.rotated, run.resealed, run.done) == (owners(), sealed(), whole)
    assert run.percent == 100
    assert revealed(customer_owner) == {row: str(row) for row in ids}
    assert keys_in_use(customer_owner.account.id) == {active_key(customer_owner.account.id).id}
    assert run_carry_on(actor=SYSTEM) is None


def test_keys_that_go_away_half_way_leave_the_run_to_be_taken_up(
    keyring: Keyring, customer_owner: Person
) -> None:
    fill(customer_owner, environment_of(customer_owner), 4)
    key_rotate_start(actor=SYSTEM)
    keyring._file.path.chmod(0o644)
    with pytest.raises(SealerUnavailable, match="can be read by others"):
        run_carry_on(actor=SYSTEM)
    keyring._file.path.chmod(0o600)
    run = run_carry_on(actor=SYSTEM)
    assert run is not None
    assert (run.rotated, run.resealed) == (owners(), sealed())


@pytest.mark.usefixtures("keyring")
def test_rewrapping_again_changes_nothing(customer_owner: Person) -> None:
    fill(customer_owner, environment_of(customer_owner), 3)
    with unscoped("test"):
        before = list(RegistrationToken.objects.order_by("id").values_list("token", flat=True))
    for _ in range(2):
        key_rewrap_start(actor=SYSTEM)
        run = run_carry_on(actor=SYSTEM)
        assert run is not None
        assert (run.rotated, run.resealed, run.done) == (0, 0, sealed())
    with unscoped("test"):
        after = list(RegistrationToken.objects.order_by("id").values_list("token", flat=True))
    assert after == before


@pytest.mark.usefixtures("keyring")
def test_a_value_saved_meanwhile_is_not_overwritten(
    customer_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row_id,) = fill(customer_owner, environment_of(customer_owner), 1)
    key_rotate_start(actor=SYSTEM, owner=customer_owner.account.id)
    swap = walk._swap

    def after_somebody_saved(column: walk.SealedColumn, rows: list[object]) -> int:
        if column.name == "fleet_registrationtoken.token":
            _in_thread(lambda: _save(customer_owner, row_id, "newer"))
        return swap(column, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(walk, "_swap", after_somebody_saved)
    run = run_carry_on(actor=SYSTEM)
    assert run is not None
    assert run.resealed == sealed(customer_owner.account.id) - 1
    assert revealed(customer_owner) == {row_id: "newer"}


@pytest.mark.usefixtures("keyring")
def test_a_broken_value_is_left_counted_and_journalled(customer_owner: Person) -> None:
    first, second = fill(customer_owner, environment_of(customer_owner), 2)
    with unscoped("test"):
        stolen = RegistrationToken.objects.values_list("token", flat=True).get(id=first)
        RegistrationToken.objects.filter(id=second).update(token=stolen)
    key_rotate_start(actor=SYSTEM)
    run = run_carry_on(actor=SYSTEM)
    assert run is not None
    assert (run.resealed, run.broken) == (sealed() - 1, 1)
    assert [entry.object_id for entry in entries("vaultsvc.value.unseal")] == [str(second)]


@pytest.mark.usefixtures("keyring")
def test_sixteen_threads_seal_while_keys_rotate(customer_owner: Person) -> None:
    environment = environment_of(customer_owner)
    made: list[UUID] = []
    failed: list[BaseException] = []

    def writer() -> None:
        try:
            for _ in range(12):
                made.extend(fill(customer_owner, environment, 3))
        except BaseException as error:  # noqa: BLE001  shown by the test's own thread
            failed.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=writer) for _ in range(16)]
    for thread in threads:
        thread.start()
    rotations = 0
    while any(thread.is_alive() for thread in threads) or rotations < 2:
        key_rotate_start(actor=SYSTEM)
        run_carry_on(actor=SYSTEM, batch=50)
        rotations += 1
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(made) == 16 * 12 * 3
    assert revealed(customer_owner) == {row: str(row) for row in made}
    with unscoped("test"):
        mine = DataKey.objects.filter(owner=customer_owner.account.id)
        assert mine.filter(state=State.ACTIVE, purpose="seal").count() == 1
    key_rewrap_start(actor=SYSTEM)
    run_carry_on(actor=SYSTEM)
    assert keys_in_use(customer_owner.account.id) == {active_key(customer_owner.account.id).id}


@pytest.mark.usefixtures("keyring")
def test_sixteen_threads_of_a_cold_account_get_one_key(customer_owner: Person) -> None:
    environment = environment_of(customer_owner)
    gate = threading.Barrier(16)
    made: list[UUID] = []

    def writer() -> None:
        gate.wait()
        made.extend(fill(customer_owner, environment, 1))
        connections.close_all()

    threads = [threading.Thread(target=writer) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert revealed(customer_owner) == {row: str(row) for row in made}
    with unscoped("test"):
        assert DataKey.objects.filter(owner=customer_owner.account.id).count() == 1


@pytest.mark.usefixtures("keyring")
def test_who_may(cloud_admin: Person, customer_owner: Person) -> None:
    with pytest.raises(StepUpNeeded):
        key_rotate_start(actor=cloud_admin.actor)
    for actor in (customer_owner.actor, Actor("staff", None, "x", None, frozenset())):
        with pytest.raises(Denied):
            key_rotate_start(actor=actor)
        with pytest.raises(Denied):
            key_rewrap_start(actor=actor)
    assert entries("vaultsvc.key.rotate") == []
    key_rewrap_start(actor=cloud_admin.actor)
    with pytest.raises(Conflict, match="being sealed anew already: 0 of "):
        key_rewrap_start(actor=cloud_admin.actor)


def _save(person: Person, row_id: UUID, text: str) -> None:
    with scoped(person.scope):
        row = RegistrationToken.objects.get(id=row_id)
        row.token = text
        row.save(update_fields=["token"])


def _in_thread(work: object) -> None:
    def run() -> None:
        work()  # type: ignore[operator]
        connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


@pytest.mark.usefixtures("keyring")
def test_a_secret_setting_is_sealed_anew_as_well(customer_owner: Person) -> None:
    """Its room lies below this one and seals through the kernel's protocol."""
    fill(customer_owner, environment_of(customer_owner), 1)
    place = Place(PLATFORM, "kernel_setting", "sealed", "notify.smtp_password")
    with unscoped("test"):
        SettingRow.objects.create(key="plain.one", text="5", set_by="test", set_at=now())
        SettingRow.objects.create(
            key=place.row, sealed=sealer().seal(b"hunter2", place), set_by="test", set_at=now()
        )
    key_rotate_start(actor=SYSTEM)
    run = run_carry_on(actor=SYSTEM)
    assert run is not None
    # The empty one is counted as looked at; the rest is sealed anew.
    assert (run.rotated, run.resealed, run.broken) == (owners(), sealed() - 1, 0)
    with unscoped("test"):
        raw = bytes(SettingRow.objects.get(key=place.row).sealed)
    assert UUID(bytes=raw[KEY_ID]) == active_key(PLATFORM).id
    assert sealer().unseal(raw, place) == b"hunter2"


def test_a_run_that_was_killed_before_it_rewrapped_does_it_when_it_is_taken_up(
    keyring: Keyring, customer_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between an owner's new data key and its older ones under the new version."""
    owner = customer_owner.account.id
    fill(customer_owner, environment_of(customer_owner), 2)
    sealer().blind_index(b"x", Place(owner, "t", "c", ""))
    key_rotate_start(actor=SYSTEM, owner=owner)

    def kill(*_owner: object) -> int:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("vaultsvc.services.runs.rewrap_owners", kill)
        with pytest.raises(Killed):
            run_carry_on(actor=SYSTEM)
    assert versions_of(owner) == [1, 1, 2]
    run_carry_on(actor=SYSTEM)
    assert versions_of(owner) == [2, 2, 2]
    # A version that an operator made in the keeper by hand is taken up by rewrapping alone.
    keyring.rotate(owner)
    key_rewrap_start(actor=SYSTEM, owner=owner)
    run = run_carry_on(actor=SYSTEM)
    assert run is not None
    assert (versions_of(owner), run.rotated, run.broken) == ([3, 3, 3], 0, 0)
    held.forget()
    assert len(revealed(customer_owner)) == 2


def versions_of(owner: UUID) -> list[int]:
    with unscoped("test"):
        rows = DataKey.objects.filter(owner=owner).values_list("key_version", flat=True)
        return sorted(rows)


@pytest.mark.usefixtures("keyring")
def test_one_owner_without_its_key_does_not_keep_all_others_under_old_ones(
    keyring: Keyring, customer_owner: Person, other_customer_owner: Person
) -> None:
    """An older keyring was put back: it knows the one, not the other."""
    people = (customer_owner, other_customer_owner)
    for person in people:
        fill(person, environment_of(person), 3)
    lost, kept = (person.account.id for person in people)
    before = {lost: active_key(lost), kept: active_key(kept)}
    with keyring._file.changing() as content:
        taken = content["owners"].pop(lost.hex)
    held.forget()
    key_rotate_start(actor=SYSTEM)
    run = run_carry_on(actor=SYSTEM)
    assert run is not None
    assert run.finished_at is not None
    # Its values, and its data key.
    assert run.broken == sealed(lost) + 1
    assert run.rotated == owners() - 1
    assert active_key(lost).wrapped == before[lost].wrapped
    assert active_key(kept).id != before[kept].id
    assert keyring.versions(lost) is None, "no key is made in place of the one that is missing"
    with keyring._file.changing() as content:
        content["owners"][lost.hex] = taken
    held.forget()
    key_rotate_start(actor=SYSTEM)
    again = run_carry_on(actor=SYSTEM)
    assert again is not None
    assert (again.rotated, again.broken) == (owners(), 0)
    assert [len(revealed(person)) for person in people] == [3, 3]


@pytest.mark.usefixtures("keyring")
def test_a_damaged_data_key_does_not_stop_a_run(
    customer_owner: Person, other_customer_owner: Person
) -> None:
    for person in (customer_owner, other_customer_owner):
        fill(person, environment_of(person), 2)
    damaged = active_key(customer_owner.account.id)
    bent = bytes(damaged.wrapped)[:-1] + bytes([bytes(damaged.wrapped)[-1] ^ 1])
    with unscoped("test"):
        DataKey.objects.filter(id=damaged.id).update(wrapped=bent)
    held.forget()
    key_rotate_start(actor=SYSTEM)
    run = run_carry_on(actor=SYSTEM)
    assert run is not None
    assert run.finished_at is not None
    assert run.broken == sealed(customer_owner.account.id)
    assert run.rotated == owners() - 1
    assert len(revealed(other_customer_owner)) == 2
