"""The end of an account, and its suspension, against whoever acts at the wrong moment."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from identity import services
from identity.models import Account
from identity.selectors import account_by_slug
from identity.services import (
    account_close,
    account_close_withdraw,
    account_create,
    account_resume,
    account_suspend,
    erasure,
    invitation_accept_new,
)
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, NotFound
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import Tier, unscoped
from tests.factories.cast import PASSWORD, Person, found, invite, last_token

SYSTEM = Actor.system("test")


def fresh(person: Person) -> Actor:
    return replace(person.actor, proved_at=now())


def state_of(person: Person) -> str:
    info = account_by_slug(person.slug)
    assert info is not None
    return info.state


def make_due(person: Person) -> None:
    with unscoped("test"):
        Account.objects.filter(id=person.account.id).update(erase_at=now() - timedelta(seconds=1))


@pytest.mark.django_db
def test_an_account_withdrawn_and_closed_anew_has_its_whole_grace_period(
    reseller_owner: Person, customer_owner: Person
) -> None:
    """Between the list of what is due and its turn."""
    place = customer_owner.account.id
    account_close(actor=fresh(reseller_owner), account_id=place, reason="first")
    make_due(customer_owner)
    assert erasure._due() == [place]
    account_close_withdraw(actor=reseller_owner.actor, account_id=place)
    account_close(actor=fresh(reseller_owner), account_id=place, reason="second")
    erasure._begin(SYSTEM, place)
    assert state_of(customer_owner) == "closing"


@pytest.mark.django_db
def test_nothing_is_erased_above_somebody_who_came_back(
    cloud_admin: Person, reseller_owner: Person, customer_owner: Person
) -> None:
    """A reseller that was due, and a customer withdrawn at the last second by the system."""
    account_close(
        actor=fresh(cloud_admin), account_id=customer_owner.account.id, reason="with its reseller"
    )
    account_close(actor=fresh(cloud_admin), account_id=reseller_owner.account.id, reason="gone")
    make_due(reseller_owner)
    assert erasure._due() == []
    erasure._begin(SYSTEM, reseller_owner.account.id)
    assert state_of(reseller_owner) == "closing"
    with pytest.raises(Conflict, match="North is closing: withdraw that first"):
        account_close_withdraw(actor=cloud_admin.actor, account_id=customer_owner.account.id)
    assert state_of(customer_owner) == "closing"
    account_close_withdraw(actor=cloud_admin.actor, account_id=reseller_owner.account.id)
    account_close_withdraw(actor=cloud_admin.actor, account_id=customer_owner.account.id)
    assert state_of(customer_owner) == state_of(reseller_owner) == "active"


@pytest.mark.django_db(transaction=True)
def test_no_customer_slips_in_below_a_reseller_that_is_being_closed(
    cloud_admin: Person, reseller_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    boss, ended = fresh(cloud_admin), []

    def close() -> None:
        try:
            account_close(actor=boss, account_id=reseller_owner.account.id, reason="gone")
        except Conflict as error:
            ended.append(error.message)
        finally:
            connections.close_all()

    closer = threading.Thread(target=close)

    def room_for(*given: Any) -> None:
        closer.start()
        closer.join(1)  # as much time as it wants, were it not made to wait
        services.room_for(*given)

    monkeypatch.setattr("identity.services.accounts.room_for", room_for)
    found(reseller_owner.actor, Tier.CUSTOMER, "late")
    closer.join(30)
    assert ended == ["North has 1 open account below it. Close these first, then this one."]
    assert state_of(reseller_owner) == "active"


@pytest.mark.django_db
def test_what_the_provider_suspended_its_reseller_does_not_resume(
    cloud_admin: Person, reseller_owner: Person, customer_owner: Person
) -> None:
    place, north = customer_owner.account.id, reseller_owner
    account_suspend(actor=cloud_admin.actor, account_id=place, reason="abuse")
    with pytest.raises(Denied, match="suspended by the provider"):
        account_resume(actor=north.actor, account_id=place)
    # Nor by closing it and taking that back.
    account_close(actor=fresh(north), account_id=place, reason="a way round")
    with pytest.raises(Denied, match="by the provider"):
        account_close_withdraw(actor=north.actor, account_id=place)
    account_close_withdraw(actor=cloud_admin.actor, account_id=place)
    assert state_of(customer_owner) == "suspended"
    with pytest.raises(Denied):
        account_resume(actor=north.actor, account_id=place)
    account_resume(actor=cloud_admin.actor, account_id=place)
    # Its own suspension it lifts, whatever was before.
    account_suspend(actor=north.actor, account_id=place, reason="unpaid")
    account_resume(actor=north.actor, account_id=place)
    assert state_of(customer_owner) == "active"


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["suspended", "closing", "erasing", "closed"])
@pytest.mark.parametrize("whose", ["own", "reseller"])
def test_nobody_joins_what_is_suspended_or_on_its_way_out(
    reseller_owner: Person, customer_owner: Person, state: str, whose: str
) -> None:
    invite(customer_owner.account, "viewer", "late@acme.example", customer_owner.actor)
    held = customer_owner if whose == "own" else reseller_owner
    with unscoped("test"):
        Account.objects.filter(id=held.account.id).update(state=state)
    with pytest.raises(Conflict, match="nobody can join it now"):
        invitation_accept_new(
            token=last_token(), name="Late", password=PASSWORD, ip="", request_id=""
        )


@pytest.mark.django_db
def test_nobody_lifts_their_own_suspension_or_creates_below_it(
    cloud_admin: Person, reseller_owner: Person, customer_owner: Person
) -> None:
    account_suspend(actor=cloud_admin.actor, account_id=reseller_owner.account.id, reason="x")
    with pytest.raises(Denied, match="is suspended"):
        account_resume(actor=reseller_owner.actor, account_id=reseller_owner.account.id)
    with pytest.raises(Denied, match="is suspended"):
        account_resume(actor=reseller_owner.actor, account_id=customer_owner.account.id)
    with pytest.raises(Denied, match="is suspended"):
        found(reseller_owner.actor, Tier.CUSTOMER, "below")
    with pytest.raises(NotFound):
        account_resume(actor=cloud_admin.actor, account_id=cloud_admin.account.id)
    with pytest.raises(Conflict, match="North is suspended"):
        account_create(
            actor=cloud_admin.actor, tier=Tier.CUSTOMER, name="Below", slug="below",
            parent_id=reseller_owner.account.id, currency="EUR", timezone="UTC",
        )  # fmt: skip


@pytest.mark.django_db
def test_the_short_name_of_an_erased_account_is_not_given_again(
    reseller_owner: Person, customer_owner: Person
) -> None:
    """Addresses, journals and invoices go on naming who is gone."""
    with unscoped("test"):
        Account.objects.filter(id=customer_owner.account.id).update(state="closed")
    with pytest.raises(Conflict, match="is taken"):
        found(reseller_owner.actor, Tier.CUSTOMER, customer_owner.slug)
