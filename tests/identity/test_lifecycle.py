"""Suspending, closing and opening again: which state allows what, and for whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from unittest.mock import patch
from uuid import UUID

import pytest
from django.apps import apps

from audit.selectors import EntryFilter, entries
from fleet.services import environment_create
from identity.models import Account
from identity.selectors import actor_for
from identity.services import (
    account_close,
    account_close_withdraw,
    account_create,
    account_profile_set,
    account_resume,
    account_suspend,
)
from notify.services import mail_send
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound, StepUpNeeded
from qcloud.kernel.models import OutboxMessage
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import Tier, unscoped
from tests.factories.cast import Person, hire

pytestmark = pytest.mark.django_db


def fresh(person: Person) -> Actor:
    return replace(person.actor, proved_at=now())


def row_of(person: Person) -> Account:
    with unscoped("test"):
        row: Account = Account.objects.get(id=person.account.id)
    return row


def topics(person: Person) -> list[str]:
    with unscoped("test"):
        found = OutboxMessage.objects.filter(account_id=person.account.id)
        return list(found.values_list("topic", flat=True))


def set_state(person: Person, state: str) -> None:
    with unscoped("test"):
        Account.objects.filter(id=person.account.id).update(state=state)


def test_a_closing_account_is_read_only_until_a_date_and_its_journal_says_why(
    reseller_owner: Person, customer_owner: Person
) -> None:
    began = now()
    info = account_close(
        actor=fresh(reseller_owner), account_id=customer_owner.account.id, reason="moved away"
    )
    row = row_of(customer_owner)
    assert (info.state, row.state_reason, row.state_by) == (
        "closing",
        "moved away",
        reseller_owner.email,
    )
    assert row.erase_at is not None
    assert timedelta(days=30) <= row.erase_at - began < timedelta(days=30, minutes=1)
    assert customer_owner.actor.closing
    with pytest.raises(Denied, match="closing"):
        environment_create(actor=customer_owner.actor, name="X", slug="x")
    (entry,) = entries(customer_owner.scope, EntryFilter(action="identity.account.close")).entries
    assert entry.reason == "moved away"
    assert entry.data == {
        "before": "active",
        "after": "closing",
        "erase_at": row.erase_at.isoformat(),
    }
    assert topics(customer_owner) == ["identity.account.closing"]


@pytest.mark.parametrize("before", ["active", "suspended"])
def test_closing_is_taken_back_to_what_was_before(
    reseller_owner: Person, customer_owner: Person, before: str
) -> None:
    place = customer_owner.account.id
    if before == "suspended":
        account_suspend(actor=reseller_owner.actor, account_id=place, reason="unpaid")
    account_close(actor=fresh(reseller_owner), account_id=place, reason="gone")
    info = account_close_withdraw(actor=reseller_owner.actor, account_id=place)
    row = row_of(customer_owner)
    assert (info.state, row.erase_at, row.state_before, row.state_reason) == (before, None, "", "")
    assert topics(customer_owner) == [
        "identity.account.closing",
        "identity.account.close_withdrawn",
    ]
    with pytest.raises(Conflict, match="only an account that is closing"):
        account_close_withdraw(actor=reseller_owner.actor, account_id=place)


@pytest.mark.parametrize("state", ["closing", "erasing", "closed"])
def test_what_is_on_its_way_out_is_neither_closed_nor_suspended_nor_resumed(
    reseller_owner: Person, customer_owner: Person, state: str
) -> None:
    set_state(customer_owner, state)
    boss, place = fresh(reseller_owner), customer_owner.account.id
    with pytest.raises(Conflict):
        account_close(actor=boss, account_id=place, reason="again")
    with pytest.raises(Conflict):
        account_suspend(actor=boss, account_id=place, reason="again")
    with pytest.raises(Conflict):
        account_resume(actor=boss, account_id=place)
    assert row_of(customer_owner).state == state


def test_the_owners_are_told_and_nobody_else(
    reseller_owner: Person, customer_owner: Person, customer_viewer: Person
) -> None:
    account_close(
        actor=fresh(reseller_owner), account_id=customer_owner.account.id, reason="moved away"
    )
    account_close_withdraw(actor=reseller_owner.actor, account_id=customer_owner.account.id)
    with unscoped("test"):
        sent = deliveries_of(customer_owner.account.id)
    assert sent == [
        (customer_owner.email, "Acme is closed"),
        (customer_owner.email, "Acme is open again"),
    ]
    assert customer_viewer.email not in str(sent)


def deliveries_of(account_id: UUID) -> list[tuple[str, str]]:
    model = apps.get_model("notify", "Delivery")
    rows = model._default_manager.filter(account_id=account_id, what="notice").order_by("id")
    return [(row.to, row.subject) for row in rows]


def test_closing_needs_the_right_a_fresh_proof_a_reason_and_a_place_below(
    cloud_admin: Person,
    reseller_owner: Person,
    customer_owner: Person,
    other_reseller_owner: Person,
) -> None:
    place = customer_owner.account.id
    admin = hire(reseller_owner.account, "admin", "adam@north.example", reseller_owner.actor)
    for actor, error in (
        (reseller_owner.actor, StepUpNeeded),
        (fresh(admin), Denied),
        (fresh(customer_owner), Denied),
        (fresh(other_reseller_owner), NotFound),
    ):
        with pytest.raises(error):
            account_close(actor=actor, account_id=place, reason="x")
    with pytest.raises(Invalid):
        account_close(actor=fresh(reseller_owner), account_id=place, reason=" \0 ")
    with pytest.raises(NotFound):
        account_close(actor=fresh(reseller_owner), account_id=reseller_owner.account.id, reason="x")
    with pytest.raises(NotFound):
        account_close(
            actor=Actor.system("test"), account_id=cloud_admin.account.id, reason="the provider"
        )
    assert row_of(customer_owner).state == "active"
    assert topics(customer_owner) == []


def test_a_reseller_is_closed_after_its_customers(
    cloud_admin: Person, reseller_owner: Person, customer_owner: Person
) -> None:
    boss = fresh(cloud_admin)
    with pytest.raises(Conflict, match="1 open account below"):
        account_close(actor=boss, account_id=reseller_owner.account.id, reason="bankrupt")
    account_close(actor=boss, account_id=customer_owner.account.id, reason="bankrupt")
    info = account_close(actor=boss, account_id=reseller_owner.account.id, reason="bankrupt")
    assert info.state == "closing"
    with pytest.raises(Denied, match="closing"):
        account_create(
            actor=reseller_owner.actor,
            tier=Tier.CUSTOMER,
            name="New",
            slug="new",
            parent_id=reseller_owner.account.id,
            currency="EUR",
            timezone="UTC",
        )


@pytest.mark.parametrize("state", ["erasing", "closed"])
def test_nobody_enters_what_is_being_erased(customer_owner: Person, state: str) -> None:
    set_state(customer_owner, state)
    assert actor_for(customer_owner.user, customer_owner.slug, ip="", request_id="") is None


def test_a_suspended_resellers_customers_read_on_and_are_as_before_when_it_is_resumed(
    cloud_admin: Person,
    reseller_owner: Person,
    customer_owner: Person,
    other_customer_owner: Person,
) -> None:
    account_suspend(actor=cloud_admin.actor, account_id=reseller_owner.account.id, reason="unpaid")
    assert customer_owner.actor.suspended
    with pytest.raises(Denied, match="suspended"):
        environment_create(actor=customer_owner.actor, name="X", slug="x")
    assert row_of(customer_owner).state == "active"
    assert not other_customer_owner.actor.suspended
    account_resume(actor=cloud_admin.actor, account_id=reseller_owner.account.id)
    assert not customer_owner.actor.suspended
    environment_create(actor=customer_owner.actor, name="X", slug="x")


def test_an_account_names_itself_and_is_named_from_above(
    cloud_admin: Person, reseller_owner: Person, customer_owner: Person
) -> None:
    place = customer_owner.account.id
    info = account_profile_set(
        actor=customer_owner.actor, account_id=place, name=" Acme Ltd ", timezone="Asia/Tokyo"
    )
    assert (info.name, info.timezone, info.slug) == ("Acme Ltd", "Asia/Tokyo", "acme")
    account_profile_set(
        actor=reseller_owner.actor, account_id=place, name="Acme & Sons", timezone="Asia/Tokyo"
    )
    found = entries(customer_owner.scope, EntryFilter(action="identity.account.profile_set"))
    assert [(e.actor_label, e.data["after"]["name"]) for e in found.entries] == [
        (reseller_owner.email, "Acme & Sons"),
        (customer_owner.email, "Acme Ltd"),
    ]
    with pytest.raises(NotFound):
        account_profile_set(
            actor=customer_owner.actor,
            account_id=reseller_owner.account.id,
            name="Mine now",
            timezone="UTC",
        )
    with pytest.raises(Invalid) as refused:
        account_profile_set(
            actor=cloud_admin.actor, account_id=place, name="", timezone="Mars/Olympus"
        )
    assert set(refused.value.data["fields"]) == {"name", "timezone"}
    assert row_of(customer_owner).name == "Acme & Sons"


def test_a_viewer_and_a_suspended_account_name_nothing(
    reseller_owner: Person, customer_owner: Person, customer_viewer: Person
) -> None:
    place = customer_owner.account.id
    with pytest.raises(Denied):
        account_profile_set(
            actor=customer_viewer.actor, account_id=place, name="Mine", timezone="UTC"
        )
    account_suspend(actor=reseller_owner.actor, account_id=place, reason="unpaid")
    with pytest.raises(Denied, match="suspended"):
        account_profile_set(
            actor=customer_owner.actor, account_id=place, name="Free again", timezone="UTC"
        )
    assert row_of(customer_owner).name == "Acme"


def test_the_mail_of_a_closing_leads_to_the_export(
    reseller_owner: Person, customer_owner: Person
) -> None:
    place = customer_owner.account.id
    told = "identity.services.lifecycle.mail_send"
    with patch(told, wraps=mail_send) as sent:
        account_close(actor=fresh(reseller_owner), account_id=place, reason="gone")
        account_close_withdraw(actor=fresh(reseller_owner), account_id=place)
    closing, withdrawn = (call.kwargs["context"] for call in sent.call_args_list)
    assert closing["link"].endswith("/c/acme/settings/export")
    assert withdrawn["link"] == ""
