"""What every answer bears, and who gets a session for which portal."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from django.test import Client, RequestFactory, override_settings
from django.urls import resolve

from audit.selectors import EntryFilter, entries
from identity.services import account_suspend
from portal.client import client_ip
from portal.sessions import cookie_name
from portal.views.gallery import gallery
from tests.factories.cast import PASSWORD, Person
from tests.portal.conftest import sign_in

PAGES_OF_PORTALS = {"/c/acme/search": "c", "/r/north/": "r", "/admin/": "admin"}


def _sign_in(client: Client, person: Person, target: str = "") -> str:
    answer = client.post("/sign-in", {"email": person.email, "password": PASSWORD, "next": target})
    assert answer.status_code == 302
    return str(answer["Location"])


@pytest.mark.django_db
def test_the_policy_lets_nothing_in_that_is_not_ours() -> None:
    answer = Client().get("/sign-in")
    policy = answer["Content-Security-Policy"]
    nonce = re.search(r"'nonce-([^']+)'", policy)
    assert nonce is not None
    assert f'nonce="{nonce[1]}"' in answer.content.decode()
    assert policy == (
        f"default-src 'none'; script-src 'self' 'nonce-{nonce[1]}'; style-src 'self';"
        " img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types htmx"
    )
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["X-Frame-Options"] == "DENY"


@pytest.mark.django_db
def test_each_answer_has_a_nonce_of_its_own() -> None:
    first, second = (Client().get("/sign-in")["Content-Security-Policy"] for _ in range(2))
    assert first != second


@pytest.mark.django_db
def test_pages_have_no_inline_script_style_or_handler(customer_owner: Person) -> None:
    text = sign_in(customer_owner).get("/c/acme/search").content.decode()
    assert re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|hx-on", text) is None
    assert re.findall(r"<script(?![^>]*\bsrc=)", text) == []
    assert re.findall(r"(?:src|href)=\"(?:https?:)?//", text) == []


@pytest.mark.django_db
def test_a_session_belongs_to_one_portal(customer_owner: Person, reseller_owner: Person) -> None:
    client = Client()
    assert _sign_in(client, customer_owner) == "/c/acme/"
    assert cookie_name("c") in client.cookies
    assert cookie_name("r") not in client.cookies
    assert client.get("/r/north/").status_code == 302
    assert _sign_in(client, reseller_owner, "/r/north/usage") == "/r/north/usage"
    assert client.get("/c/acme/search").status_code == 200
    assert client.get("/r/north/usage").status_code == 200
    client.post("/r/sign-out")
    assert client.get("/r/north/usage").status_code == 302
    assert client.get("/c/acme/search").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    "target",
    ["https://evil.example/c/acme/", "//evil.example/c/", "javascript:alert(1)", "/sign-in"],
)
def test_signing_in_leads_to_no_other_site(customer_owner: Person, target: str) -> None:
    assert _sign_in(Client(), customer_owner, target) == "/c/acme/"


@pytest.mark.django_db
def test_a_visitor_is_asked_to_sign_in_and_comes_back(
    customer_owner: Person,  # noqa: ARG001
) -> None:
    path = "/c/acme/search?q=a&b=%C3%A4"
    answer = Client().get(path)
    assert answer["Location"] == f"/c/sign-in?next={quote(path, safe='')}"
    part = Client().get(path, headers={"HX-Request": "true"})
    assert part["HX-Redirect"] == answer["Location"]


@pytest.mark.django_db
def test_a_form_without_its_token_changes_nothing(customer_owner: Person) -> None:
    client = Client(enforce_csrf_checks=True)
    client.cookies = sign_in(customer_owner).cookies
    answer = client.post("/c/acme/environments", {"name": "X", "slug": "x"})
    assert answer.status_code == 403
    assert "portal.form_expired" in answer.content.decode()
    actions = [e.action for e in entries(customer_owner.scope, EntryFilter()).entries]
    assert "fleet.environment.create" not in actions


@pytest.mark.django_db
def test_a_suspended_account_is_read_and_not_changed(
    customer_owner: Person, reseller_owner: Person
) -> None:
    account_suspend(
        actor=reseller_owner.actor, account_id=customer_owner.account.id, reason="overdue"
    )
    client = sign_in(customer_owner)
    page = client.get("/c/acme/environments")
    assert page.status_code == 200
    assert "This account is suspended." in page.content.decode()
    assert "Create environment" not in page.content.decode()
    answer = client.post("/c/acme/environments", {"name": "X", "slug": "x"})
    assert answer.status_code == 403
    assert "suspended" in answer.content.decode()


@pytest.mark.django_db
def test_pages_are_kept_by_nobodys_cache(customer_owner: Person) -> None:
    client = sign_in(customer_owner)
    answer = client.get("/c/acme/environments")
    assert answer["Cache-Control"] == "private, no-store"
    assert {"Cookie", "HX-Request", "HX-Target"} <= set(answer["Vary"].split(", "))
    created = client.post("/c/acme/environments", {"name": "Prod", "slug": "prod"}, follow=True)
    token = client.post(f"{created.redirect_chain[-1][0]}/tokens", {"name": "rack"})
    assert token["Cache-Control"] == "no-store"
    assert re.search(r"qcr_[A-Za-z0-9_-]{43}", token.content.decode())


@pytest.mark.django_db
def test_a_fragment_is_the_page_without_its_frame(customer_owner: Person) -> None:
    client = sign_in(customer_owner)
    headers = {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "main#main"}
    part = client.get("/c/acme/environments", headers=headers).content.decode()
    assert "<h1" in part
    assert "<html" not in part
    assert "<header" not in part


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        ((), "203.0.113.9", "192.0.2.1"),
        (("192.0.2.0/24",), "203.0.113.9", "203.0.113.9"),
        (("192.0.2.0/24",), "10.9.9.9, 203.0.113.9", "203.0.113.9"),
        (("192.0.2.0/24", "203.0.113.0/24"), "10.9.9.9, 203.0.113.9", "10.9.9.9"),
        (("192.0.2.0/24",), "", "192.0.2.1"),
        (("192.0.2.0/24",), "::ffff:203.0.113.9", "203.0.113.9"),
        (("192.0.2.0/24",), "2001:DB8:0::1", "2001:db8::1"),
        (("192.0.2.0/24",), "10.9.9.9, not an address", "not an address"),
    ],
)
def test_an_address_is_believed_as_far_as_our_proxies_wrote_it(
    proxies: tuple[str, ...], forwarded: str, expected: str
) -> None:
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR=forwarded)
    with override_settings(TRUSTED_PROXIES=proxies):
        assert client_ip(request) == expected


def test_a_proxy_on_a_socket_of_both_families_is_known() -> None:
    request = RequestFactory().get(
        "/", REMOTE_ADDR="::ffff:192.0.2.1", HTTP_X_FORWARDED_FOR="203.0.113.9"
    )
    assert client_ip(request) == "192.0.2.1"
    with override_settings(TRUSTED_PROXIES=("192.0.2.0/24",)):
        assert client_ip(request) == "203.0.113.9"


@pytest.mark.django_db
def test_the_gallery_shows_every_component_and_has_no_address_here() -> None:
    request = RequestFactory().get("/gallery?dialog=sample&peek=1")
    request.csp_nonce = "n"  # type: ignore[attr-defined]
    request._messages = []  # type: ignore[attr-defined]
    request.user = None  # type: ignore[assignment]
    text = gallery(request).content.decode()
    parts = ("page-header", "stat-value", "table cards", "data-plot", "sparkline", "tag", "badge",
             "tabs", "peek-head", "dialog-head", "field", "data-copies", "shown once", "timeline",
             "toasts", "banner delegated", "progress", "skeleton", "empty", "payload-tree", "range",
             "live-region")  # fmt: skip
    assert [part for part in parts if part not in text] == []
    assert "<script>alert(1)</script>" not in text
    assert resolve("/sign-in").url_name == "sign-in"
    assert Client().get("/gallery").status_code == 404
