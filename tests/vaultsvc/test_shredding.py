"""After shredding nothing of the account opens again, from a backup neither."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fleet.models import RegistrationToken
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Denied, Invalid, NotFound, StepUpNeeded
from qcloud.kernel.models import OutboxMessage
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import scoped, unscoped
from qcloud.kernel.sealing import KeyShredded, Place, SealerUnavailable, sealer
from tests.factories.cast import Person
from tests.vaultsvc.values import (
    SYSTEM,
    active_key,
    entries,
    environment_of,
    fill,
    owners,
    revealed,
    sealed,
)
from vaultsvc import selectors
from vaultsvc.backends.keyring import Keyring
from vaultsvc.keys import held
from vaultsvc.models import DataKey, ShreddedOwner
from vaultsvc.services import account_shred, key_rotate_start, run_carry_on

pytestmark = [pytest.mark.django_db(transaction=True)]


def shred(person: Person, actor: Actor = SYSTEM, typed: str | None = None) -> None:
    account_shred(
        actor=actor,
        scope=person.scope,
        slug=person.slug,
        confirmation=person.slug if typed is None else typed,
    )


@pytest.mark.usefixtures("keyring")
def test_nothing_of_the_account_opens_and_nothing_is_sealed_for_it(
    customer_owner: Person, other_customer_owner: Person
) -> None:
    for person in (customer_owner, other_customer_owner):
        fill(person, environment_of(person), 2)
    shred(customer_owner)
    with scoped(customer_owner.scope):
        rows = list(RegistrationToken.objects.all())
    for row in rows:
        with pytest.raises(KeyShredded):
            row.token.reveal()
        row.token = "new"
        with pytest.raises(KeyShredded), scoped(customer_owner.scope):
            row.save()
    with pytest.raises(KeyShredded):
        sealer().blind_index(b"x", Place(customer_owner.account.id, "t", "c", ""))
    assert len(revealed(other_customer_owner)) == 2
    with unscoped("test"):
        keys = list(DataKey.objects.filter(owner=customer_owner.account.id))
    assert [(key.state, bytes(key.wrapped)) for key in keys] == [("destroyed", b"")]
    assert [gone.slug for gone in selectors.shredded()] == ["acme"]


def test_a_database_restored_from_before_opens_nothing_either(
    keyring: Keyring, customer_owner: Person
) -> None:
    fill(customer_owner, environment_of(customer_owner), 1)
    backup = active_key(customer_owner.account.id)
    shred(customer_owner)
    with unscoped("test"):  # the tables as they were, tombstone gone
        ShreddedOwner.objects.all().delete()
        backup.save()
    held.forget()
    with scoped(customer_owner.scope), pytest.raises(KeyShredded):
        RegistrationToken.objects.get().token.reveal()
    assert keyring.versions(customer_owner.account.id) is None
    keyring.destroy(customer_owner.account.id)


@pytest.mark.usefixtures("keyring")
def test_what_a_process_holds_it_forgets_within_the_bound(
    customer_owner: Person, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process: its memory is not told, it asks again when its time is over."""
    fill(customer_owner, environment_of(customer_owner), 1)
    told = held.forget
    monkeypatch.setattr(held, "forget", lambda *_owner: None)
    shred(customer_owner)
    assert len(revealed(customer_owner)) == 1, "within the bound it still opens"
    import time

    later = time.monotonic() + settings.KEY_CACHE_SECONDS + 1
    monkeypatch.setattr("vaultsvc.keys.time.monotonic", lambda: later)
    with pytest.raises(KeyShredded):
        revealed(customer_owner)
    monkeypatch.setattr(held, "forget", told)


@pytest.mark.usefixtures("keyring")
def test_it_is_confirmed_allowed_and_journalled(
    cloud_admin: Person, customer_owner: Person, other_customer_owner: Person
) -> None:
    fill(customer_owner, environment_of(customer_owner), 1)
    fresh = replace(cloud_admin.actor, proved_at=now())
    for typed in ("", "ACME", "acm", other_customer_owner.slug):
        with pytest.raises(Invalid, match="short name, acme"):
            shred(customer_owner, fresh, typed)
    with pytest.raises(StepUpNeeded):
        shred(customer_owner, cloud_admin.actor)
    with pytest.raises(Denied):
        shred(customer_owner, replace(customer_owner.actor, proved_at=now()))
    with pytest.raises(Invalid, match="provider's own keys"):
        shred(cloud_admin, fresh)
    elsewhere = replace(fresh, scope=other_customer_owner.scope)
    with pytest.raises(NotFound):
        shred(customer_owner, elsewhere)
    assert len(revealed(customer_owner)) == 1
    assert entries("vaultsvc.key.shred") == []
    shred(customer_owner, fresh)
    shred(customer_owner, fresh)
    first, again = entries("vaultsvc.key.shred")
    assert (first.account_id, first.data) == (
        customer_owner.account.id,
        {"slug": "acme", "again": False},
    )
    assert again.data["again"] is True
    with unscoped("test"):
        topics = list(OutboxMessage.objects.values_list("topic", "account_id"))
    assert ("vaultsvc.account.shredded", customer_owner.account.id) in topics


@pytest.mark.usefixtures("keyring")
def test_a_run_passes_over_what_was_shredded(
    customer_owner: Person, other_customer_owner: Person
) -> None:
    for person in (customer_owner, other_customer_owner):
        fill(person, environment_of(person), 2)
    shred(customer_owner)
    key_rotate_start(actor=SYSTEM)
    run = run_carry_on(actor=SYSTEM)
    assert run is not None
    kept = sealed() - sealed(customer_owner.account.id)
    assert (run.rotated, run.resealed, run.broken) == (owners(), kept, 0)


def test_a_keeper_that_fails_leaves_an_account_that_seals_nothing_more(
    keyring: Keyring, customer_owner: Person
) -> None:
    fill(customer_owner, environment_of(customer_owner), 1)
    keyring._file.path.chmod(0o644)
    with pytest.raises(SealerUnavailable):
        shred(customer_owner)
    held.forget()
    with pytest.raises(KeyShredded):
        sealer().seal(b"x", Place(customer_owner.account.id, "t", "c", "r"))
    keyring._file.path.chmod(0o600)
    shred(customer_owner)
    assert keyring.versions(customer_owner.account.id) is None
