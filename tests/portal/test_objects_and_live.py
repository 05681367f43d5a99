"""Where payloads are, and the live page: compared, broken down, on to an alert."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from audit.selectors import EntryFilter, entries
from fleet.services import object_store_s3_set, object_store_set
from pulse.analytics import TrafficFilter, search_requests, totals
from pulse.rollups import touch
from pulse.store.client import Store
from qcloud.kernel.clock import now
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person
from tests.portal.conftest import sign_in
from tests.portal.world import World
from tests.pulse.rows import put

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)


@pytest.fixture
def client(customer_owner: Person) -> Client:
    return sign_in(customer_owner)


def to(name: str, *args: object) -> str:
    return reverse(f"c:{name}", args=("acme", *args))


def exported(client: Client, **asked: str) -> list[dict[str, str]]:
    answer = client.get(to("objects"), {"export": "json", **asked})
    rows: list[dict[str, str]] = json.loads(b"".join(answer))
    return rows


def test_payloads_are_found_by_what_is_known_of_them(world: World, client: Client) -> None:
    rows = exported(client)
    assert {r["request_id"] for r in rows} == {str(world.request_id), str(world.hostile_id)}
    digest = rows[0]["digest"]
    assert len(exported(client, q=digest.upper())) == 2
    assert len(exported(client, **{"f.digest": digest})) == 2
    assert exported(client, q="0" * 40) == []
    assert [r["request_id"] for r in exported(client, q=str(world.hostile_id))] == [
        str(world.hostile_id)
    ]
    assert exported(client, **{"f.method": "DELETE"}) == []


def test_a_payload_is_opened_at_its_store_and_that_is_journalled(
    world: World, client: Client, customer_owner: Person, tmp_path: object
) -> None:
    digest = exported(client)[0]["digest"]
    path = to("object-open", world.environment_id, digest)
    refused = client.get(path)
    assert refused.status_code == 404
    assert "access_url" in refused.content.decode()
    assert path not in client.get(to("objects")).content.decode()
    object_store_set(
        actor=customer_owner.actor, environment_id=world.environment_id,
        path=f"{tmp_path}/objects", access_url="https://store.example/{{BUCKET}}/{{DIGEST}}",
    )  # fmt: skip
    assert path in client.get(to("objects")).content.decode()
    answer = client.get(path)
    assert (answer.status_code, answer["Location"]) == (
        302, f"https://store.example/objects/{digest}",
    )  # fmt: skip
    assert answer["Referrer-Policy"] == "same-origin"
    kept = entries(customer_owner.scope, EntryFilter(object_id=digest)).entries
    assert [(e.action, e.outcome) for e in kept] == [("fleet.object.locate", "allowed")]


def test_no_transaction_is_open_while_the_customers_store_is_asked(
    world: World, client: Client, customer_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may take its time; what is opened, and that it was, is one transaction afterwards."""
    fresh = replace(customer_owner.actor, proved_at=now())
    object_store_s3_set(
        actor=fresh, environment_id=world.environment_id, endpoint="s3.example",
        bucket="kept", region="eu-1", access_key="AKIAEXAMPLE0001", secret_key="secret-of-sixteen",
    )  # fmt: skip
    digest, asked, status = "a" * 40, [], 200

    def head(address: str, **_: object) -> int:
        asked.append(address)
        assert not connection.in_atomic_block
        return status

    monkeypatch.setattr("fleet.signed.head", head)
    path = to("object-open", world.environment_id, digest)
    answer = client.get(path)
    assert (answer.status_code, len(asked)) == (302, 1)
    assert answer["Location"].startswith("https://s3.example/")
    status = 404
    assert client.get(path).status_code == 404
    kept = entries(customer_owner.scope, EntryFilter(object_id=digest)).entries
    assert [(e.action, e.outcome) for e in kept] == [("fleet.object.locate", "allowed")]
    assert client.get(to("object-open", new_id(), digest)).status_code == 404
    assert len(asked) == 2


def test_what_is_gone_from_the_store_is_not_offered_there(
    world: World, client: Client, store: Store, customer_owner: Person, tmp_path: Path
) -> None:
    lost, at, place = "a" * 40, now() - HOUR / 4, world.environment_id
    put(store, customer_owner.account.id, place, at, object_digest=lost, path="/lost")
    (row,) = search_requests(
        customer_owner.scope, TrafficFilter(at - HOUR, now(), path="/lost"), store=store
    ).rows
    page = client.get(to("request", row.request_id)).content.decode()
    assert "The payload could not be opened." in page
    assert f"Object {lost} is not in the environment" in page
    assert "that you opened it is in the audit log" not in page
    assert "Open in your store" not in page, "no browser finds a directory of the platform"
    folder = str(tmp_path / "objects")
    address = "https://store.acme.example/{{DIGEST}}"
    object_store_set(
        actor=customer_owner.actor, environment_id=place, path=folder, access_url=address
    )
    assert "Open in your store" in client.get(to("request", row.request_id)).content.decode()
    there = client.get(to("request", world.request_id)).content.decode()
    assert "that you opened it is in the audit log" in there


def test_live_compares_with_what_was_before(
    store: Store, world: World, client: Client, customer_owner: Person
) -> None:
    account, at = customer_owner.account.id, now() - 24 * HOUR - HOUR / 4
    put(store, account, world.environment_id, at, 9, host="api.stripe.com")
    quarter = at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)
    with unscoped("test"):
        touch(new_id(), {account: [quarter, quarter + HOUR / 4]})
    page = unescape(client.get(to("live"), {"from": "now-1h", "cmp": "1d"}).content.decode())
    said = re.search(r'data-field="compared">(.*?)</p>', page)
    assert said is not None
    counted = re.search(r"Compared with a day earlier: requests (\d+) % more \(9\)", said[1])
    assert counted is not None
    # 63 of now; the oldest of them may be more than an hour old by the time they are counted.
    assert 570 <= int(counted[1]) <= 600
    assert page.count("data-dashed") == 2
    assert page.count('class="swatch dashed c-muted"') == 2
    bare = client.get(to("live"), {"from": "now-1h", "cmp": "7d"}).content.decode()
    assert "No request a week earlier: nothing to compare with." in bare
    assert "data-dashed" not in bare
    plain = client.get(to("live"), {"from": "now-1h", "cmp": "nonsense"}).content.decode()
    assert "data-dashed" not in plain


def test_live_is_broken_down_by_node_and_narrowed_to_one(
    store: Store, world: World, client: Client, customer_owner: Person
) -> None:
    account, place = customer_owner.account.id, world.environment_id
    at = now() - HOUR / 4
    put(store, account, place, at, 5, hostname="n7", pod_name="web-1", pod_namespace="shop",
        container_name="web")  # fmt: skip
    page = client.get(to("live"), {"by": "pod"}).content.decode()
    assert "f.pod=shop/web-1" in page
    for name, value in (("pod", "shop/web-1"), ("node", "n7"), ("container", "web")):
        narrowed = TrafficFilter(at, at + HOUR, **{name: value})  # type: ignore[arg-type]
        assert totals(customer_owner.scope, narrowed, store=store).requests == 5
        assert len(search_requests(customer_owner.scope, narrowed, store=store).rows) == 5


def test_a_status_of_nothing_is_still_a_filter(
    store: Store, world: World, customer_owner: Person
) -> None:
    at = now() - HOUR / 4
    put(store, customer_owner.account.id, world.environment_id, at, 3, status=0)
    unanswered = TrafficFilter(at - HOUR, at + HOUR, status=0)
    assert totals(customer_owner.scope, unanswered, store=store).requests == 3


def test_an_alert_begins_with_the_filter_of_the_page(world: World, client: Client) -> None:
    asked = {"f.host": "api.stripe.com", "f.status": "5xx", "f.env": "prod"}
    page = unescape(client.get(to("live"), asked).content.decode())
    link = re.search(r'href="([^"]*alerts/rules/new[^"]*)"', page)
    assert link is not None
    form = client.get(link[1]).content.decode()
    assert re.search(r'name="host"[^>]*value="api.stripe.com"', form)
    assert re.search(r'<option value="5xx" selected', form)
    assert re.search(rf'<option value="{world.environment_id}" selected', form)


def test_who_may_not_change_alerts_is_not_sent_to_the_form(
    world: World,  # noqa: ARG001
    customer_viewer: Person,
) -> None:
    assert "Alert on this filter" not in sign_in(customer_viewer).get(to("live")).content.decode()
