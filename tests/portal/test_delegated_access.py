"""“View as” through the door: what a guest sees, may, leaves behind, and how it ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from django.test import Client

from audit.selectors import EntryFilter, EntryInfo, entries
from identity.models import DelegatedAccess
from identity.selectors import delegations
from identity.services import (
    account_suspend,
    delegation_end,
    delegation_grant_create,
    delegation_start,
    staff_role_set,
)
from portal.sessions import cookie_name
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Denied, Invalid, NotFound
from qcloud.kernel.permissions import NEVER_DELEGATED, TIER_PERMISSIONS, Actor, Permission
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person, hire
from tests.portal.conftest import session_key, sign_in
from tests.portal.world import SECRET, World

WHY = {"reason": "their agents fell silent", "ticket": "T-4711", "minutes": "20"}


def only(person: Person, portal: str) -> Client:
    """Signed in to one portal."""
    client = Client()
    client.cookies[cookie_name(portal)] = session_key(person, portal)
    return client


def started(person: Person, customer: Person, portal: str = "r") -> Client:
    client = only(person, portal)
    prefix = "/admin/accounts" if portal == "admin" else f"/r/{person.slug}/customers"
    answer = client.post(f"{prefix}/{customer.account.id}/view", WHY)
    assert (answer.status_code, answer["Location"]) == (302, f"/c/{customer.slug}/")
    return client


def journal(person: Person, **wanted: object) -> list[EntryInfo]:
    filters = EntryFilter(account_id=person.account.id, **wanted)  # type: ignore[arg-type]
    return list(entries(person.scope, filters, None, 200).entries)


@pytest.fixture
def look(world: World, reseller_owner: Person, customer_owner: Person) -> Client:  # noqa: ARG001
    return started(reseller_owner, customer_owner)


def test_a_guest_reads_under_a_banner(look: Client) -> None:
    for path in ("", "live", "requests", "vendors", "environments", "agents", "staff", "usage"):
        answer = look.get(f"/c/acme/{path}")
        text = answer.content.decode()
        assert answer.status_code == 200, path
        assert "Delegated access." in text, path
        assert "T-4711" in text
        assert "End access" in text
        assert "data-until=" in text


def test_without_running_access_a_session_of_the_portal_is_a_stranger(
    world: World,  # noqa: ARG001
    reseller_owner: Person,
    customer_owner: Person,
) -> None:
    client = only(reseller_owner, "c")
    assert client.get(f"/c/{customer_owner.slug}/").status_code == 404


def test_a_guest_opens_no_payload(look: Client, world: World) -> None:
    answer = look.get(f"/c/acme/requests/{world.request_id}")
    text = answer.content.decode()
    assert answer.status_code == 200
    assert SECRET not in text
    assert "evil" not in text.split("Body")[-1]
    assert "does not include payloads" in text


def test_a_guest_changes_nothing_is_told_why_and_keeps_what_it_typed(
    look: Client, world: World, customer_owner: Person
) -> None:
    place = f"/c/acme/environments/{world.environment_id}"
    form = {"name": "a new token of mine", "password": "never shown again"}
    for path in (f"{place}/tokens", f"{place}/capture", "/c/acme/staff", "/c/acme/roles",
                 f"/c/acme/agents/{world.agent_id}/remove",
                 "/c/acme/delegated/grants"):  # fmt: skip
        answer = look.post(path, form)
        text = answer.content.decode()
        assert answer.status_code == 403, path
        assert "You look at this account for North" in text, path
        assert "a new token of mine" in text
        assert "never shown again" not in text
    denied = journal(customer_owner, outcome="denied")
    assert {e.data["code"] for e in denied} == {"kernel.delegated"}
    assert len(denied) == 6


def test_both_actors_are_on_each_row(
    look: Client, reseller_owner: Person, customer_owner: Person
) -> None:
    look.get("/c/acme/requests")
    look.post("/c/acme/staff", {})
    rows = [e for e in journal(customer_owner) if e.actor_id == reseller_owner.user.id]
    rows = [e for e in rows if e.action.startswith("portal.")]
    assert {e.action for e in rows} == {"portal.page.view", "portal.page.post"}
    running = delegations(customer_owner.scope)[0]
    for row in rows:
        assert row.on_behalf_of == reseller_owner.account.id
        assert (row.data["delegation"], row.data["on_behalf_of"]) == (str(running.id), "North")


def test_the_customer_sees_who_looked_why_and_at_what(
    look: Client, customer_owner: Person, customer_viewer: Person, world: World
) -> None:
    look.get("/c/acme/vendors")
    sign_in(customer_viewer).get(f"/c/acme/requests/{world.request_id}")
    owner = sign_in(customer_owner)
    text = owner.get("/c/acme/delegated").content.decode()
    for words in ("rosa@north.example", "North", "their agents fell silent", "T-4711"):
        assert words in text
    payloads = text.split("Payloads opened, by anybody")[1]
    assert customer_viewer.email in payloads
    running = delegations(customer_owner.scope)[0]
    detail = owner.get(f"/c/acme/delegated/{running.id}").content.decode()
    assert "/c/acme/vendors" in detail


@pytest.mark.parametrize("how", ["guest", "customer", "expiry", "right", "suspension"])
def test_access_ends_at_once_however_it_ends(
    look: Client,
    how: str,
    cloud_admin: Person,
    reseller_owner: Person,
    customer_owner: Person,
) -> None:
    running = delegations(customer_owner.scope)[0]
    assert look.get("/c/acme/live").status_code == 200
    if how == "guest":
        answer = look.post(f"/c/acme/delegated/{running.id}/end")
        assert answer["Location"] == f"/r/north/delegated/{running.id}"
        assert look.get(answer["Location"]).status_code == 200
    elif how == "customer":
        sign_in(customer_owner).post(f"/c/acme/delegated/{running.id}/end")
    elif how == "expiry":
        with unscoped("test"):
            DelegatedAccess.objects.update(expires_at=now())
    elif how == "right":
        hire(reseller_owner.account, "owner", "second@north.example")
        staff_role_set(
            actor=reseller_owner.actor,
            account_id=reseller_owner.account.id,
            user_id=reseller_owner.user.id,
            role="billing",
        )
    else:
        account_suspend(
            actor=cloud_admin.actor, account_id=reseller_owner.account.id, reason="unpaid"
        )
    answer = look.get("/c/acme/live")
    assert answer.status_code == 403
    assert "is over" in answer.content.decode()
    posted = look.post("/c/acme/staff", {"email": "typed@before.example"})
    assert posted.status_code == 403
    assert "typed@before.example" in posted.content.decode()


def test_looking_asks_for_a_reason_a_ticket_and_a_time(
    world: World,  # noqa: ARG001
    reseller_owner: Person,
    customer_owner: Person,
) -> None:
    client = only(reseller_owner, "r")
    path = f"/r/north/customers/{customer_owner.account.id}/view"
    assert "30" in client.get(path).content.decode()
    for wrong in ({"reason": "short"}, {"ticket": ""}, {"minutes": "31"}, {"minutes": "0"},
                  {"minutes": "-5"}, {"minutes": "x"}, {"reason": "a" * 501}):  # fmt: skip
        assert client.post(path, WHY | wrong).status_code == 422, wrong
    assert delegations(customer_owner.scope) == []


def test_looking_asks_for_a_fresh_proof(
    world: World,  # noqa: ARG001
    reseller_owner: Person,
    customer_owner: Person,
) -> None:
    client = Client()
    stale = session_key(reseller_owner, "r", proved_at=now() - timedelta(minutes=10))
    client.cookies[cookie_name("r")] = stale
    answer = client.post(f"/r/north/customers/{customer_owner.account.id}/view", WHY)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/r/confirm?")
    assert delegations(customer_owner.scope) == []


def test_nobody_looks_sideways_upwards_or_from_afar(
    world: World,  # noqa: ARG001
    customer_owner: Person,
    reseller_owner: Person,
    other_reseller_owner: Person,
    cloud_admin: Person,
) -> None:
    south, north = only(other_reseller_owner, "r"), only(reseller_owner, "r")
    assert (
        south.post(f"/r/south/customers/{customer_owner.account.id}/view", WHY).status_code == 404
    )
    for target in (reseller_owner, cloud_admin, other_reseller_owner):
        path = f"/r/north/customers/{target.account.id}/view"
        assert north.post(path, WHY).status_code == 404
    assert delegations(cloud_admin.scope) == []


def test_the_cloud_looks_into_both_tiers_and_each_sees_it(
    world: World,  # noqa: ARG001
    cloud_admin: Person,
    customer_owner: Person,
    reseller_owner: Person,
) -> None:
    client = started(cloud_admin, customer_owner, "admin")
    assert client.get("/c/acme/live").status_code == 200
    delegation_start(
        actor=_proved(cloud_admin),
        account_id=reseller_owner.account.id,
        reason="their price book is odd",
        ticket="T-2",
        minutes=5,
    )
    seen = {d.account_id for d in delegations(reseller_owner.scope)}
    assert seen == {customer_owner.account.id, reseller_owner.account.id}
    assert [d.home_name for d in delegations(customer_owner.scope)] == ["Provider"]


def _proved(person: Person) -> Actor:
    return replace(person.actor, proved_at=now())


def test_a_standing_grant_lets_guests_do_what_it_says_and_ends(
    look: Client, world: World, customer_owner: Person, reseller_owner: Person
) -> None:
    page = f"/c/acme/requests/{world.request_id}"
    assert SECRET[:4] not in look.get(page).content.decode()
    owner = sign_in(customer_owner)
    form = {
        "grantee": str(reseller_owner.account.id),
        "ends": f"{now() + timedelta(days=2):%Y-%m-%d}",
        "permission": [Permission.PULSE_OBJECT_READ.value],
    }
    assert owner.post("/c/acme/delegated/grants", form).status_code == 302
    opened = look.get(page).content.decode()
    assert "does not include payloads" not in opened
    assert [e.action for e in journal(customer_owner, action="fleet.object.read")] == [
        "fleet.object.read"
    ]
    [grant] = owner.get("/c/acme/delegated").context["grants"]
    revoked = owner.post(f"/c/acme/delegated/grants/{grant.id}/revoke", {"confirm": "North"})
    assert revoked.status_code == 302
    assert "does not include payloads" in look.get(page).content.decode()


def test_no_grant_lets_a_guest_stay(customer_owner: Person, reseller_owner: Person) -> None:
    refused = NEVER_DELEGATED & TIER_PERMISSIONS[customer_owner.account.tier]
    assert Permission.IDENTITY_STAFF_WRITE in refused
    for permission in refused:
        with pytest.raises(Invalid):
            delegation_grant_create(
                actor=_proved(customer_owner),
                grantee_id=reseller_owner.account.id,
                permissions=[permission],
                ends_at=now() + timedelta(days=1),
            )


def test_a_stranger_ends_nothing(
    look: Client,  # noqa: ARG001
    customer_owner: Person,
    customer_viewer: Person,
    other_customer_owner: Person,
) -> None:
    running: UUID = delegations(customer_owner.scope)[0].id
    with pytest.raises(Denied):
        delegation_end(actor=customer_viewer.actor, delegation_id=running)
    with pytest.raises(NotFound):
        delegation_end(actor=other_customer_owner.actor, delegation_id=running)
    assert delegations(customer_owner.scope)[0].is_running
