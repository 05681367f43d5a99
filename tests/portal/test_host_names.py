"""A reseller's host name shows that reseller and its customers, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client

from identity import tasks
from identity.brands import forget
from identity.models import AccessEvent, Membership, Session
from identity.services import brand_set
from notify.models import Delivery
from portal.sessions import cookie_name
from qcloud.kernel.errors import Invalid
from qcloud.kernel.scope import unscoped
from tests.factories.cast import PASSWORD, Person

pytestmark = pytest.mark.django_db
NORTH, SOUTH = "cloud.north.example", "cloud.south.example"


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()
    forget()


def brand(person: Person, host: str, product: str = "North Cloud") -> None:
    brand_set(
        actor=person.actor, product=product, accent_light="", accent_dark="", sender="", host=host
    )


def enter(client: Client, person: Person, host: str, portal: str = "c", **more: str) -> Any:
    given = {"email": person.email, "password": PASSWORD} | more
    return client.post(f"/{portal}/sign-in", given, headers={"host": host})


def get(client: Client, path: str, host: str) -> HttpResponse:
    return client.get(path, headers={"host": host})  # type: ignore[return-value]


def test_customers_sign_in_under_their_resellers_name(
    reseller_owner: Person, customer_owner: Person
) -> None:
    brand(reseller_owner, NORTH)
    client = Client()
    page = get(client, "/c/sign-in", NORTH).content.decode()
    assert "<span>North Cloud</span>" in page
    assert enter(client, customer_owner, NORTH)["Location"] == "/c/acme/"
    assert get(client, "/c/acme/search", NORTH).status_code == 200
    with unscoped("test"):
        assert Session.objects.get().site_id == reseller_owner.account.id
    assert enter(client, reseller_owner, NORTH, "r")["Location"] == "/r/north/"
    assert get(client, "/r/north/usage", NORTH).status_code == 200


def test_others_and_the_provider_find_nothing_there(
    reseller_owner: Person, other_customer_owner: Person, cloud_admin: Person
) -> None:
    brand(reseller_owner, NORTH)
    client = Client()
    assert enter(client, other_customer_owner, NORTH).status_code == 403
    for path in ("/admin/", "/admin/sign-in", "/admin/password", "/admin/set-up"):
        assert get(client, path, NORTH).status_code == 404, path
    assert enter(client, cloud_admin, NORTH, "admin").status_code == 404
    answer = client.post(
        "/sign-in?next=/admin/",
        {"email": cloud_admin.email, "password": PASSWORD, "next": "/admin/"},
        headers={"host": NORTH},
    )
    assert answer.status_code == 404
    assert enter(client, cloud_admin, NORTH, "r").status_code == 403
    with unscoped("test"):
        assert not Session.objects.exists()


def test_a_session_of_one_host_name_is_none_under_another(
    reseller_owner: Person, other_reseller_owner: Person, customer_owner: Person
) -> None:
    brand(reseller_owner, NORTH)
    brand(other_reseller_owner, SOUTH, "South Cloud")
    client = Client()
    enter(client, customer_owner, NORTH)
    for host in ("127.0.0.1", SOUTH):
        stolen = Client()
        stolen.cookies[cookie_name("c")] = client.cookies[cookie_name("c")].value
        assert get(stolen, "/c/acme/search", host).status_code == 302, host
        assert get(stolen, "/accounts", host).status_code == 302, host
    with unscoped("test"):
        seen = AccessEvent.objects.filter(event="portal_refused")
        assert {(e.reason, e.user_name) for e in seen} == {
            ("a session of one host name was shown to another", customer_owner.email)
        }
    assert get(client, "/c/acme/search", NORTH).status_code == 200


def test_who_works_for_two_sellers_customers_sees_those_of_the_name(
    reseller_owner: Person, customer_owner: Person, other_customer_owner: Person
) -> None:
    brand(reseller_owner, NORTH)
    with unscoped("test"):
        Membership.objects.create(
            user=customer_owner.user, account_id=other_customer_owner.account.id, role="viewer",
        )  # fmt: skip
    client = Client()
    enter(client, customer_owner, NORTH)
    assert get(client, f"/c/{other_customer_owner.slug}/search", NORTH).status_code == 404
    listed = get(client, "/accounts", NORTH).content.decode()
    assert "/c/acme/" in listed
    assert other_customer_owner.slug not in listed
    here = Client()
    enter(here, customer_owner, "127.0.0.1")
    path = f"/c/{other_customer_owner.slug}/search"
    assert get(here, path, "127.0.0.1").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "cloud.north.example.evil.example", "cloud.north.example@evil.example",
             "evil.example:80#cloud.north.example", "", "cloud.north.example, evil.example"],
)  # fmt: skip
def test_unknown_host_names_are_refused(reseller_owner: Person, host: str) -> None:
    brand(reseller_owner, NORTH)
    answer = Client().get("/c/sign-in", headers={"host": host})
    assert answer.status_code == 400
    assert "evil.example" not in answer.content.decode()


def test_no_brand_takes_the_operators_name(reseller_owner: Person, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["testserver", ".cloud.example"]
    for host in ("cloud.example", "admin.cloud.example", "testserver"):
        with pytest.raises(Invalid):
            brand(reseller_owner, host)
    brand(reseller_owner, NORTH)
    # What the operator names later is the operator's all the same.
    settings.ALLOWED_HOSTS = [NORTH]
    assert Client().get("/admin/sign-in", headers={"host": NORTH}).status_code == 200


def content(row: Delivery) -> dict[str, Any]:
    assert row.payload is not None
    found: dict[str, Any] = json.loads(row.payload.reveal())
    return found


def links() -> list[str]:
    tasks.send_notices()
    with unscoped("test"):
        rows = list(Delivery.objects.filter(what="password_reset").order_by("id"))
    return [re.findall(r"https?://\S+", content(row)["text"])[0] for row in rows]


@pytest.mark.django_db(transaction=True)
def test_a_mailed_link_leads_where_the_person_is_at_home(
    reseller_owner: Person,
    other_reseller_owner: Person,
    customer_owner: Person,
    cloud_admin: Person,
) -> None:
    brand(reseller_owner, NORTH)
    brand(other_reseller_owner, SOUTH, "South Cloud")
    for person, host in (
        (customer_owner, f"{NORTH}:6666"),
        (customer_owner, SOUTH),  # somebody else's reseller cannot have the link
        (cloud_admin, NORTH),
        (customer_owner, "127.0.0.1:6666"),
    ):
        answer = Client().post("/c/password", {"email": person.email}, headers={"host": host})
        assert answer.status_code == 200
    found = [link.split("/password/")[0] for link in links()]
    assert found == [
        f"http://{NORTH}:8600/c",
        "http://127.0.0.1:8600/c",
        "http://127.0.0.1:8600/c",
        "http://127.0.0.1:8600/c",
    ]
    refused = Client().post(
        "/c/password", {"email": customer_owner.email}, headers={"host": "evil.example"}
    )
    assert refused.status_code == 400
    forwarded = {"host": "127.0.0.1", "x-forwarded-host": "evil.example"}
    Client().post("/c/password", {"email": customer_owner.email}, headers=forwarded)
    assert links()[-1].startswith("http://127.0.0.1:8600/c/password/")


@pytest.mark.django_db(transaction=True)
def test_mails_about_signing_in_bear_the_resellers_brand(
    reseller_owner: Person, customer_owner: Person, other_customer_owner: Person
) -> None:
    brand(reseller_owner, NORTH)
    for person in (customer_owner, other_customer_owner):
        Client().post("/c/password", {"email": person.email})
    tasks.send_notices()
    with unscoped("test"):
        rows = Delivery.objects.filter(what="password_reset").order_by("id")
        seen = {row.to: content(row)["brand"]["product"] for row in rows}
    assert seen == {customer_owner.email: "North Cloud", other_customer_owner.email: "QCloud"}
