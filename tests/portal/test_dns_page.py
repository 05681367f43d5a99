"""The page of DNS lookups as people use it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories.cast import Person
from tests.portal.conftest import sign_in
from tests.portal.world import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client(world: World, customer_owner: Person) -> Client:  # noqa: ARG001  filled
    return sign_in(customer_owner)


def page(client: Client, **asked: str) -> str:
    answer = client.get(reverse("c:dns", args=("acme",)), asked)
    assert answer.status_code == 200
    return answer.content.decode()


def rows(client: Client, **asked: str) -> list[dict[str, Any]]:
    exported = client.get(reverse("c:dns", args=("acme",)), asked | {"export": "json"})
    found: list[dict[str, Any]] = json.loads(b"".join(exported))
    return found


def test_names_by_process_with_what_they_were_told(client: Client) -> None:
    found = {row["name"]: row for row in rows(client)}
    assert len(found) == 64
    stripe, slow = found["api.stripe.com"], found["slow.example"]
    assert (stripe["lookups"], stripe["failed"], stripe["rcodes"], stripe["process"]) == (
        20, 0, "NOERROR", "/usr/bin/curl")  # fmt: skip
    assert stripe["addresses"] == "203.0.113.7, 203.0.113.8"
    assert stripe["environments"] == "Production"
    assert (slow["failed"], slow["timeouts"], slow["rcodes"], slow["types"]) == (1, 1, "", "AAAA")
    assert next(iter(rows(client)))["name"] == "api.stripe.com"
    text = page(client)
    assert "50 of 64 names by process" in text
    assert "60 no such name, 1 without an answer" in text
    assert "&lt;script&gt;1&lt;/script&gt;.example" in text
    assert "<script>1</script>.example" not in text


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"f.result": "timeout"}, ["slow.example"]),
        ({"f.result": "failed", "q": "slow"}, ["slow.example"]),
        ({"f.result": "nxdomain", "f.name": "Q7.dga.example."}, ["q7.dga.example"]),
        ({"f.name": "api.stripe.com", "f.result": "failed"}, []),
        ({"f.process": "/usr/bin/curl", "f.seen": "new", "f.result": "ok", "sort": "name"},
         ["<script>1</script>.example", "api.stripe.com"]),
        ({"f.env": "prod", "f.name": "old.example"}, ["old.example"]),
        ({"f.env": "nowhere"}, []), ({"f.direction": "ingress"}, []),
        ({"q": "DGA.EXAMPLE", "f.direction": "egress-internal", "f.name": "q1.dga.example"},
         ["q1.dga.example"]),
        ({"from": "now-2m", "sort": "name", "f.process": "/usr/bin/curl"}, ["api.stripe.com"]),
    ],
)  # fmt: skip
def test_filters(client: Client, asked: dict[str, str], names: list[str]) -> None:
    assert [row["name"] for row in rows(client, **asked)] == names


def test_new_is_what_nobody_asked_for_before(client: Client) -> None:
    new = {row["name"]: row["new"] for row in rows(client)}
    assert (new["api.stripe.com"], new["old.example"]) == (True, False)
    week = {row["name"]: row["new"] for row in rows(client, **{"from": "now-7d"})}
    assert week["old.example"] is True
    assert "old.example" not in {row["name"] for row in rows(client, **{"f.seen": "new"})}


def test_pages_sorting_and_csv(client: Client) -> None:
    first = page(client, sort="name")
    assert "Next page" in first
    csv = b"".join(client.get(reverse("c:dns", args=("acme",)), {"export": "csv"})).decode()
    head, *lines = csv.strip().splitlines()
    assert head.lstrip("\ufeff").startswith("name,new,process,lookups,failed")
    assert len(lines) == 64
    by_failures = rows(client, sort="-failed")
    assert by_failures[0]["failed"] >= by_failures[-1]["failed"] == 0


def test_switched_on_from_the_environments_page(client: Client, world: World) -> None:
    place = reverse("c:environment", args=("acme", world.environment_id))
    switch = reverse("c:dns-audit-set", args=("acme", world.environment_id))
    assert "Not reported" in client.get(place).content.decode()
    shown = client.post(switch, {"reported": "on"}, follow=True).content.decode()
    assert "Agents follow within a minute." in shown
    assert f'{reverse("c:dns", args=("acme",))}?f.env=prod">Reported</a>' in shown
    wrong = client.post(switch, {"reported": "<b>"})
    assert wrong.status_code == 422
    assert "Choose one of the list." in wrong.content.decode()


def test_nothing_to_show_says_how_to_get_it(client: Client) -> None:
    text = page(client, **{"from": "2020-01-01T00:00", "to": "2020-01-02T00:00"})
    assert "No lookup in this range" in text
    assert "DNS lookups are switched on" in text
    assert "Nothing matches this filter" in page(client, q="there-is-no-such-name")
