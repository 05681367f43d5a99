"""Templates of paths as people see and change them."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from audit.models import Entry
from pulse.routes.selectors import path_hosts, templates
from qcloud.kernel.scope import scoped
from tests.factories.cast import Person
from tests.portal.conftest import sign_in
from tests.pulse.test_route_tree import words
from tests.pulse.test_routes import Book

pytestmark = pytest.mark.django_db(transaction=True)


def to(name: str, *args: object) -> str:
    return reverse(f"c:{name}", args=("acme", *args))


def learned(person: Person) -> tuple[Book, str]:
    book = Book()
    book.ask([f"/shops/{word}/orders/1" for word in words(60)], account=person.account.id)
    (host,) = path_hosts(person.scope)
    return book, to("path-host", host.id)


def test_a_template_is_seen_forgotten_and_taken_back(customer_owner: Person) -> None:
    book, address = learned(customer_owner)
    client: Client = sign_in(customer_owner)
    assert address in client.get(to("paths")).content.decode()
    page = client.get(address, {"path": "/shops/mine/orders/2"}).content.decode()
    assert "<code>/shops/{name}/orders/{id}</code>" in page
    (host,) = path_hosts(customer_owner.scope)
    (template,) = templates(customer_owner.scope, host.id)
    typed = {"host_id": str(host.id), "do": "forget"}
    change = to("path-template", template.id)
    done = client.post(change, typed, follow=True).content.decode()
    assert "/shops/{name} is forgotten." in done
    asked = ["/shops/mine/orders/2"]
    account = customer_owner.account.id
    assert book.ask(asked, account=account) == ["/shops/mine/orders/{id}"]
    again = client.post(change, typed)
    assert again.status_code == 409
    assert "It is forgotten already." in again.content.decode()
    client.post(change, typed | {"do": "restore"})
    assert book.ask(asked, account=account) == ["/shops/{name}/orders/{id}"]
    assert Book().ask(asked, account=account) == ["/shops/{name}/orders/{id}"]
    with scoped(customer_owner.scope):
        journal = Entry.objects.filter(action__startswith="pulse.path_template.")
        assert sorted(journal.values_list("action", flat=True)) == [
            "pulse.path_template.forgotten", "pulse.path_template.restored",
        ]  # fmt: skip


def test_a_template_by_hand_wins_from_the_next_load_on(customer_owner: Person) -> None:
    book, address = learned(customer_owner)
    client = sign_in(customer_owner)
    typed = {"host": "Shop.example.com", "template": "/shops/acme/{...}"}
    saved = client.post(to("paths"), typed)
    assert saved["Location"] == address
    page = client.get(address).content.decode()
    assert "/shops/acme/{…}" in page
    assert "By hand" in page
    account = customer_owner.account.id
    assert book.ask(["/shops/acme/orders/2", "/shops/b/orders/2"], account=account) == [
        "/shops/acme/{…}", "/shops/{name}/orders/{id}",
    ]  # fmt: skip
    twice = client.post(to("paths"), typed)
    assert twice.status_code == 409
    assert "is there already" in twice.content.decode()
    wrong = client.post(to("paths"), {"host": "x", "template": "no slash"})
    assert wrong.status_code == 422
    assert "Begin with /" in wrong.content.decode()


def test_a_viewer_sees_them_and_is_offered_nothing(
    customer_owner: Person, customer_viewer: Person
) -> None:
    _, address = learned(customer_owner)
    page = sign_in(customer_viewer).get(address).content.decode()
    assert "/shops/{name}" in page
    assert "Forget" not in page
    assert "Add template" not in page


def test_a_full_host_says_so(customer_owner: Person) -> None:
    book = Book()
    many = [f"/a{a}z/b{b}z" for a in range(40) for b in range(50)]
    book.ask(many, account=customer_owner.account.id)
    (host,) = path_hosts(customer_owner.scope)
    assert host.full_since is not None
    client = sign_in(customer_owner)
    assert "no room for more paths" in client.get(to("path-host", host.id)).content.decode()
    assert "Full" in client.get(to("paths")).content.decode()
