"""The provider's page of keys, and a token copied again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from audit.selectors import EntryFilter, entries
from fleet.services import environment_create, registration_token_create
from portal.sessions import cookie_name
from qcloud.kernel.clock import now
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import unscoped
from qcloud.kernel.sealing import PLATFORM
from tests.factories.cast import Person
from tests.portal.conftest import session_key, sign_in
from vaultsvc import selectors
from vaultsvc.models import DataKey, State
from vaultsvc.services import account_shred, run_carry_on

pytestmark = pytest.mark.django_db(transaction=True)


def token_of(person: Person) -> tuple[str, str]:
    """Address of a new token, and its text."""
    place = environment_create(actor=person.actor, name="Production", slug="prod")
    info, text = registration_token_create(
        actor=person.actor, environment_id=place.id, name="rack 4"
    )
    return f"/c/{person.slug}/environments/{place.id}/tokens/{info.id}", text


def stale(person: Person, portal: str) -> Client:
    """Signed in, with a proof of identity that is too old for what is sensitive."""
    client = Client()
    client.cookies[cookie_name(portal)] = session_key(
        person, portal, proved_at=now() - timedelta(minutes=6)
    )
    return client


def test_the_page_shows_how_keys_are_and_never_a_key(
    cloud_admin: Person, customer_owner: Person, other_customer_owner: Person
) -> None:
    # Data keys are made in a transaction of their own: those of earlier tests are still there.
    present = [person.account.id for person in (cloud_admin, customer_owner, other_customer_owner)]
    with unscoped("test"):
        DataKey.objects.exclude(owner__in=[PLATFORM, *present]).delete()
    for person in (customer_owner, other_customer_owner):
        token_of(person)
    account_shred(
        actor=Actor.system("test"),
        scope=other_customer_owner.scope,
        slug="birch",
        confirmation="birch",
    )
    with unscoped("test"):
        DataKey.objects.filter(owner=customer_owner.account.id).update(
            created_at=now() - timedelta(days=91)
        )
        row = DataKey.objects.get(owner=customer_owner.account.id, state=State.ACTIVE)
    page = sign_in(cloud_admin).get("/admin/keys").content.decode()
    for words in ("Acme", "Birch", "usable", "keyring", "Keys have not been rotated yet"):
        assert words in page
    assert page.count('class="badge warn"') == 1
    for never in (bytes(row.wrapped).hex(), str(row.id), row.id.hex):
        assert never not in page
    listed = sign_in(cloud_admin).get("/admin/keys?f.state=due&export=csv")
    body = b"".join(listed.streaming_content) if listed.streaming else listed.content  # type: ignore[attr-defined]
    lines = body.decode().strip().splitlines()
    assert len(lines) == 2
    assert "Acme" in lines[1]


def test_rotation_from_the_page_with_progress(cloud_admin: Person, customer_owner: Person) -> None:
    token_of(customer_owner)
    client = sign_in(cloud_admin)
    answer = client.post("/admin/keys/rotate")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/keys")
    page = client.get("/admin/keys").content.decode()
    going = selectors.key_status().going
    assert going is not None
    assert going.total >= 2, "an owner, and its token"
    assert f'value="0" max="{going.total}"' in page
    assert "Sealing anew" in page
    again = client.post("/admin/keys/rotate")
    assert again.status_code == 409
    assert "being sealed anew already" in again.content.decode()
    run_carry_on(actor=Actor.system("test"))
    done = client.get("/admin/keys").content.decode()
    assert "Sealing anew" not in done
    assert selectors.key_status().going is None
    found = entries(cloud_admin.scope, EntryFilter(action="vaultsvc.key.rotate")).entries
    assert [entry.actor_label for entry in found] == [cloud_admin.email]


def test_rotation_needs_a_fresh_proof(cloud_admin: Person) -> None:
    assert stale(cloud_admin, "admin").get("/admin/keys").status_code == 200
    answer = stale(cloud_admin, "admin").post("/admin/keys/rotate")
    assert answer.status_code in {302, 403}
    assert selectors.key_status().going is None


def test_a_token_is_shown_again_to_who_proved_it_is_them(customer_owner: Person) -> None:
    address, text = token_of(customer_owner)
    listing = sign_in(customer_owner).get(address.partition("/tokens/")[0]).content.decode()
    assert "Copy again" in listing
    assert text not in listing
    answer = sign_in(customer_owner).post(f"{address}/reveal")
    assert text in answer.content.decode()
    assert answer["Cache-Control"] == "no-store"
    assert text not in stale(customer_owner, "c").post(f"{address}/reveal").content.decode()
    found = entries(customer_owner.scope, EntryFilter(action="fleet.token.reveal")).entries
    assert [entry.outcome for entry in found] == ["allowed"]


def test_a_token_of_another_environment_is_not_found(customer_owner: Person) -> None:
    address, text = token_of(customer_owner)
    other = environment_create(actor=customer_owner.actor, name="Other", slug="other")
    parts = address.split("/")
    parts[4] = str(other.id)
    answer = sign_in(customer_owner).post("/".join([*parts, "reveal"]))
    assert answer.status_code == 404
    assert text not in answer.content.decode()
