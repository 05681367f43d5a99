"""The register of third parties as people use it."""

from __future__ import annotations

import json
import re

import pytest
from django.test import Client
from django.urls import reverse

from pulse.inventory.selectors import vendor
from tests.factories.cast import Person
from tests.portal.conftest import sign_in
from tests.portal.world import World

pytestmark = pytest.mark.django_db(transaction=True)


def to(name: str, *args: object) -> str:
    return reverse(f"c:{name}", args=("acme", *args))


def test_a_third_party_from_the_list_to_its_review(world: World, customer_owner: Person) -> None:
    client = sign_in(customer_owner)
    listed = client.get(to("vendors")).content.decode()
    assert to("vendor", world.vendor_id) in listed
    assert "Not reviewed" in listed
    page = client.get(to("vendor", world.vendor_id)).content.decode()
    assert "First seen" in page
    assert "Undo the last change" not in page
    typed = {"review": "refused", "owner_id": str(customer_owner.user.id),
             "note": "<script>alert(1)</script>"}  # fmt: skip
    saved = client.post(to("vendor-review", world.vendor_id), typed, follow=True).content.decode()
    assert "Not approved" in saved
    assert "<script>alert(1)" not in saved
    assert "Undo the last change" in saved
    exported = client.get(to("vendors"), {"f.review": "refused", "export": "json"})
    rows = json.loads(b"".join(exported))
    assert [(r["vendor"], r["review"], r["owner"]) for r in rows] == [
        ("Stripe", "Not approved", customer_owner.email)
    ]
    back = client.post(to("vendor-review", world.vendor_id), {"undo": "1"}, follow=True)
    assert "The last change was taken back." in back.content.decode()
    found = vendor(customer_owner.scope, world.vendor_id)
    assert found is not None
    assert (found.review, found.owner, found.note) == ("open", "", "")
    again = client.post(to("vendor-review", world.vendor_id), {"undo": "1"})
    assert again.status_code == 409


def test_its_callers_and_paths_can_be_exported(world: World, customer_owner: Person) -> None:
    client, day = sign_in(customer_owner), {"from": "now-24h"}
    for name, column, count in (("vendor-callers", "process", 1), ("vendor-paths", "path", 63)):
        page = client.get(to(name, world.vendor_id), day).content.decode()
        assert f'id="{name.removeprefix("vendor-")}"' in page
        lines = b"".join(client.get(to(name, world.vendor_id), day | {"export": "csv"})).decode()
        head, *rows = lines.strip().splitlines()
        assert head.lstrip("\ufeff").split(",")[0] == column
        assert len(rows) == count


def test_what_is_typed_wrong_comes_back_with_the_reason(
    world: World, customer_owner: Person
) -> None:
    client = sign_in(customer_owner)
    refused = client.post(to("vendor-review", world.vendor_id), {"review": "maybe", "note": "kept"})
    assert refused.status_code == 422
    text = refused.content.decode()
    assert "Choose one of the list." in text
    assert re.search(r"<textarea[^>]*>kept</textarea>", text)


def test_a_viewer_reads_and_is_offered_no_form(world: World, customer_viewer: Person) -> None:
    client: Client = sign_in(customer_viewer)
    page = client.get(to("vendor", world.vendor_id)).content.decode()
    assert "May it be used" in page
    assert "<textarea" not in page


def test_a_new_third_party_stands_on_the_overview(world: World, customer_owner: Person) -> None:
    page = sign_in(customer_owner).get(to("overview")).content.decode()
    assert to("vendor", world.vendor_id) in page
