"""Addresses, forms and methods that nobody meant: each gets a page, none a fault."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Final
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.test import Client, override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.selectors import EntryFilter, entries
from identity.models import Account, AccountState
from portal.kit.exports import spreadsheet_safe
from portal.kit.headers import masked_headers
from portal.kit.payload import payload_view
from portal.sessions import cookie_name
from qcloud.kernel.scope import unscoped
from tests.factories.cast import PASSWORD, Person
from tests.portal.conftest import sign_in
from tests.portal.world import World

_INVOICE: Final = uuid4()


def mark(value: str) -> str:
    """A page mark of the list of invoices as somebody else might forge it."""
    return urlsafe_b64encode(f"{_INVOICE} {value}".encode()).decode()


ADDRESSES: Final = (
    ("/c/acme/requests", {"from": "0001-01-01T00:00:00+14:00"}),
    ("/c/acme/requests", {"from": "0001-01-01", "to": "now"}),
    ("/c/acme/live", {"from": "0001-01-01", "to": "9999-12-31T23:59:59-14:00"}),
    ("/c/acme/vendors", {"to": "9999-12-31T23:59:59"}),
    ("/c/acme/usage", {"to": "0001-01-01"}),
    ("/c/acme/usage", {"from": "9999-12-30", "to": "9999-12-31"}),
    ("/c/acme/audit", {"q": "\0", "from": "1850-01-01"}),
    ("/c/acme/audit", {"q": "a\0b", "export": "csv"}),
    ("/r/north/invoices", {"q": "a\0b"}),
    ("/r/north/invoices", {"sort": "total", "after": mark("NaN")}),
    ("/r/north/invoices", {"sort": "-total", "after": mark("-Infinity")}),
    ("/r/north/invoices", {"sort": "total", "after": mark("1E+999999")}),
    ("/r/north/invoices", {"sort": "total", "after": mark("1E-999999")}),
    ("/r/north/invoices", {"sort": "computed", "after": mark("0001-01-01T00:00:00+14:00")}),
    ("/r/north/invoices", {"sort": "computed", "after": mark("2026-11-01")}),
    ("/r/north/invoices", {"sort": "buyer", "after": mark("a\0b")}),
    ("/r/north/invoices", {"sort": "period", "after": mark("\0")}),
)


def test_no_address_is_a_fault(
    world: World, customer_owner: Person, reseller_owner: Person
) -> None:
    clients = {"c": sign_in(customer_owner), "r": sign_in(reseller_owner)}
    request = f"/c/acme/requests/{world.request_id}"
    offsets = [(request, {"offset": text}) for text in ("²", "٣", "9" * 5_000, "-1", "1e3")]
    for path, query in (*ADDRESSES, *offsets):
        answer = clients[path[1]].get(path, query)
        assert answer.status_code in {200, 422}, (path, query)
        if answer.status_code == 422:
            assert answer["X-Request-ID"] in answer.content.decode()


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    page=st.sampled_from(["requests", "live", "vendors", "usage", "invoices", "audit", "search"]),
    query=st.dictionaries(
        st.sampled_from(
            ["q", "from", "to", "sort", "after", "export", "peek", "f.host", "f.status", "f.env"]
        ),
        st.one_of(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
            st.datetimes().map(str),
            st.uuids().map(str),
            st.decimals().map(lambda value: mark(str(value))),
        ),
        max_size=4,
    ),
)
def test_no_parameters_are_a_fault(
    world: World,  # noqa: ARG001  what the pages show
    customer_owner: Person,
    page: str,
    query: dict[str, str],
) -> None:
    answer = sign_in(customer_owner).get(f"/c/acme/{page}", query)
    body = b"".join(answer) if answer.streaming else answer.content
    assert answer.status_code in {200, 422}
    assert body


@pytest.mark.django_db
def test_what_cannot_be_read_and_what_is_not_done_have_pages(customer_owner: Person) -> None:
    client = sign_in(customer_owner)
    many = client.get("/c/acme/search?" + "&".join(f"a{i}=1" for i in range(1_500)))
    long = client.post("/sign-in", {"email": "a" * 3_000_000})
    elsewhere = client.get("/sign-in", headers={"host": "evil.example"})
    method = client.put("/c/acme/search")
    public = client.get("/preferences")
    got = client.get("/c/sign-out")
    seen = [answer.status_code for answer in (many, long, elsewhere, method, public, got)]
    assert seen == [400, 400, 400, 405, 405, 405]
    assert (method["Allow"], public["Allow"]) == ("GET, HEAD", "POST")
    for answer in (many, long, elsewhere, method, public, got):
        assert answer["X-Request-ID"] in answer.content.decode()
        assert "Nothing was changed" in answer.content.decode()


@pytest.mark.django_db
def test_a_parent_that_is_not_there_is_refused_and_journalled(cloud_admin: Person) -> None:
    form = {
        "tier": "customer",
        "parent": str(uuid4()),
        "name": "Cedar",
        "slug": "cedar",
        "currency": "EUR",
        "timezone": "Europe/Berlin",
        "email": "c@cedar.example",
        "owner_name": "C",
        "password": PASSWORD,
    }
    answer = sign_in(cloud_admin).post("/admin/accounts", form)
    assert answer.status_code == 404
    found = entries(cloud_admin.scope, EntryFilter(outcome="denied")).entries
    assert [(e.action, e.object_id) for e in found] == [("portal.page.post", "/admin/accounts")]
    assert [e for e in entries(cloud_admin.scope).entries if "cedar" in str(e.data)] == []


@pytest.mark.django_db
def test_a_closing_account_is_told_that_it_is_closing(customer_owner: Person) -> None:
    with unscoped("test"):
        Account.objects.filter(id=customer_owner.account.id).update(state=AccountState.CLOSING)
    client = sign_in(customer_owner)
    page = client.get("/c/acme/environments").content.decode()
    assert "This account is closing." in page
    assert "Create environment" not in page
    refused = client.post("/c/acme/environments", {"name": "X", "slug": "x"})
    assert refused.status_code == 403
    assert "The account is closing" in refused.content.decode()
    assert "suspended" not in page + refused.content.decode()


@pytest.fixture
def _no_counts() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.mark.django_db
@pytest.mark.usefixtures("_no_counts")
def test_signing_in_without_redis_says_so(customer_owner: Person) -> None:
    nowhere = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "unix:///nonexistent/redis.sock",
        }
    }
    client = Client()
    form = {"email": customer_owner.email, "password": PASSWORD}
    with override_settings(CACHES=nowhere):
        answer = client.post("/sign-in", form)
    assert answer.status_code == 503
    assert "Signing in is not possible at the moment" in answer.content.decode()
    assert client.get("/c/acme/search").status_code == 302
    found = entries(customer_owner.scope, EntryFilter(action="identity.session.sign_in")).entries
    assert [(e.outcome, e.reason) for e in found] == [("failed", "attempts cannot be counted")]
    assert client.post("/sign-in", form).status_code == 302


@pytest.mark.django_db
@pytest.mark.usefixtures("_no_counts")
def test_signing_in_again_ends_the_session_that_is_replaced(customer_owner: Person) -> None:
    client = Client()
    form = {"email": customer_owner.email, "password": PASSWORD}
    assert client.post("/sign-in", form).status_code == 302
    before = client.cookies[cookie_name("c")].value
    assert client.post("/sign-in", {**form, "password": "wrong"}).status_code == 403
    assert client.get("/c/acme/search").status_code == 200
    assert client.post("/sign-in", form).status_code == 302
    assert client.cookies[cookie_name("c")].value != before
    assert client.get("/c/acme/search").status_code == 200
    thief = Client()
    thief.cookies[cookie_name("c")] = before
    assert thief.get("/c/acme/search").status_code == 302


def test_an_invoice_is_computed_again_only_when_asked(world: World, reseller_owner: Person) -> None:
    client = sign_in(reseller_owner)
    path = f"/r/north/invoices/{world.invoice_id}"
    plain, checked = (client.get(a).content.decode() for a in (path, f"{path}?verify=1"))
    assert "Recomputed" not in plain
    assert f'href="{path}?verify=1"' in plain
    assert "Recomputed: equal." in checked


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Authorization", "Bearer abcdefghijklmnop4242", "Bearer ••••4242"),
        ("authorization", "hunter2 and-more-of-the-secret", "••••cret"),
        ("Cookie", "sid=abc", "••••"),
        ("Set-Cookie", "sid=0123456789abcdef; Path=/", "••••th=/"),
        ("Proxy-Authorization", "Basic dXNlcjpwYXNzd29yZA==", "Basic ••••ZA=="),
        ("X-Auth-Key", "short", "••••"),
        ("X-API-Key", "0123456789abcdef", "••••cdef"),
        ("api_key", "0123456789abcdef", "••••cdef"),
        ("Ocp-Apim-Subscription-Key", "0123456789abcdef", "••••cdef"),
        ("X-Amz-Security-Token", "0123456789abcdef", "••••cdef"),
        ("X-Forwarded-Jwt", "eyJ.0123456789abcdef", "••••cdef"),
        (":authority", "api.example", "api.example"),
        ("Idempotency-Key", "order-17", "order-17"),
        ("Sec-WebSocket-Key", "x3JJHMbDL1EzLkh9", "x3JJHMbDL1EzLkh9"),
        ("Content-Type", "application/json", "application/json"),
    ],
)
def test_credentials_are_shown_as_kind_and_tail(name: str, value: str, shown: str) -> None:
    assert masked_headers([(name, value)]) == [(name, shown)]


def test_half_a_surrogate_in_a_body_can_be_shown() -> None:
    tree = payload_view(b'{"\\ud800": ["\\udfff", "\\ud83d\\ude00"]}', "tree", 0).tree
    assert tree is not None
    assert tree.children[0].key == "\\ud800"
    assert [n.text for n in tree.children[0].children] == ['"\\udfff"', '"\U0001f600"']


@pytest.mark.parametrize("text", ["=1+1", "\n=1+1", "＝1+1", "＋1", "－1", "＠SUM(A1)"])
def test_no_text_becomes_a_formula(text: str) -> None:
    assert spreadsheet_safe(text) == f"'{text}"
