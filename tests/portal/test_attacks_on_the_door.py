"""Coming in by the pages: foreign targets, half-done set-ups, polls, links, another portal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from time import sleep
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from django.core.cache import cache
from django.test import Client

from audit.selectors import EntryFilter, entries
from audit.services import record
from identity import tasks
from identity.models import AccessEvent, MfaRule, Session
from notify.models import Delivery
from portal.sessions import cookie_name
from qcloud.kernel.clock import now
from qcloud.kernel.scope import scoped, unscoped
from tests.factories.cast import PASSWORD, Person, accept, invite, last_token
from tests.portal.conftest import session_key, sign_in

pytestmark = pytest.mark.django_db
NEW = "a wholly different battery staple"


@pytest.fixture(autouse=True)
def _no_counts_from_before() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def enter(client: Client, person: Person, portal: str = "c", **more: str) -> Any:
    given = {"email": person.email, "password": PASSWORD} | more
    return client.post(f"/{portal}/sign-in", given)


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example/c/", "/\\evil.example", "\\\\evil.example/c/", "/..//evil.example",
        "/c/..//evil.example", "/c/%2e%2e//evil.example", "https:evil.example",
        "https:/evil.example",
        "https:///evil.example/c/", "http://testserver@evil.example/c/",
        "//testserver@evil.example/c/",
        "/%2f%2fevil.example", "/c/%2f%2fevil.example", "/c/%5cevil.example", "data:text/html,x",
        "javascript:alert(1)//c/", "/\t/evil.example", "\t//evil.example", "/c/\n//evil.example",
        "/c/%0d%0aSet-Cookie:x=1", "\u2044\u2044evil.example", "/c/\u2215/evil.example",
        "\uff0f\uff0fevil.example", "/c\uff0f\uff0fevil.example", "c/acme/", "?next=//evil.example",
        "http://[::1", "/c/acme/\0",
    ],
)  # fmt: skip
def test_no_target_leads_to_another_site(customer_owner: Person, target: str) -> None:
    client = Client()
    answer = enter(client, customer_owner, next=target)
    assert answer.status_code == 302
    place = urlsplit(answer["Location"])
    assert (place.scheme, place.netloc) == ("", "")
    assert place.path.startswith("/c/")
    path = unquote(answer["Location"])
    assert not any(part in path for part in ("//", "\\", "/..", "\n", "\r", "\t", "\0"))
    theme = client.post("/preferences", {"theme": "dark", "next": target})
    place = urlsplit(theme["Location"])
    assert place.netloc in {"", "testserver"}
    assert not theme["Location"].startswith(("//", "/\\", "\\"))


def test_what_a_page_asks_for_by_itself_keeps_nobody_signed_in(customer_owner: Person) -> None:
    client = sign_in(customer_owner)
    long_ago = now() - timedelta(minutes=30)
    with unscoped("test"):
        Session.objects.update(seen_at=long_ago)
    poll = {"X-QCloud-Poll": "1", "HX-Request": "true"}
    assert client.get("/c/acme/start", headers=poll).status_code == 200
    with unscoped("test"):
        assert Session.objects.get(portal="c").seen_at == long_ago
    assert client.get("/c/acme/start").status_code == 200
    with unscoped("test"):
        assert now() - Session.objects.get(portal="c").seen_at < timedelta(minutes=1)
        Session.objects.update(seen_at=now() - timedelta(hours=2))
    gone = client.get("/c/acme/start", headers=poll)
    assert "ended=1" in gone["HX-Redirect"]


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("get", "/admin/accounts", {}),
        ("get", "/admin/audit?export=csv", {}),
        ("get", "/admin/access?export=json", {}),
        ("get", "/admin/accounts", {"HX-Request": "true", "HX-Request-Type": "partial"}),
        ("get", "/admin/health", {"X-QCloud-Poll": "1"}),
        ("post", "/admin/mfa/rules", {}),
        ("post", "/admin/my/sign-in/password", {}),
        ("post", "/admin/my/sign-in/factor/remove", {}),
        ("get", "/admin/mfa/preview?subject=all", {}),
    ],
)
@pytest.mark.parametrize("stage", ["enrol", "factor"])
def test_nothing_opens_before_the_set_up_is_done(
    cloud_admin: Person, method: str, path: str, headers: dict[str, str], stage: str
) -> None:
    client = Client()
    key = session_key(cloud_admin, "admin", stage=stage, factor="password", proved_at=None)
    client.cookies[cookie_name("admin")] = key
    answer = getattr(client, method)(path, headers=headers)
    wanted = "/admin/set-up?" if stage == "enrol" else "/admin/sign-in/code?"
    assert (answer.get("HX-Redirect") or answer["Location"]).startswith(wanted)
    assert not answer.content
    assert client.get("/accounts")["Location"].startswith("/sign-in")


def test_a_rule_meets_open_sessions_and_its_grace_is_told_on_every_page(
    customer_owner: Person,
) -> None:
    client = Client()
    enter(client, customer_owner)
    pages = ("/c/acme/environments", "/c/acme/audit", "/c/acme/my/sign-in")
    told = "A second factor will be asked of you."
    assert told not in client.get(pages[0]).content.decode()
    with unscoped("test"):
        rule = MfaRule.objects.create(
            subject="tier", value="customer", required=True, grace_days=3, made_by="ada"
        )
    for path in pages:
        page = client.get(path).content.decode()
        assert told in page, path
        assert "/c/set-up?next=%2Fc%2Facme" in page
    with unscoped("test"):
        MfaRule.objects.filter(id=rule.id).update(grace_days=0)
    assert client.get(pages[0])["Location"].startswith("/c/set-up?")
    assert client.get("/c/acme/audit?export=csv")["Location"].startswith("/c/set-up?")


def test_a_cookie_of_one_portal_in_anothers_place_opens_nothing(reseller_owner: Person) -> None:
    key = session_key(reseller_owner, "r")
    for portal, path in (("admin", "/admin/"), ("c", "/c/acme/environments")):
        client = Client()
        client.cookies[cookie_name(portal)] = key
        assert client.get(path).status_code == 302
    with unscoped("test"):
        seen = AccessEvent.objects.filter(event="portal_refused", outcome="denied")
        assert {event.portal for event in seen} == {"admin", "c"}


def test_a_planted_session_key_is_not_taken_over(customer_owner: Person) -> None:
    client = Client()
    client.cookies[cookie_name("c")] = planted = "a" * 32
    enter(client, customer_owner)
    assert client.cookies[cookie_name("c")].value != planted
    thief = Client()
    thief.cookies[cookie_name("c")] = planted
    assert thief.get("/c/acme/environments").status_code == 302


def test_going_on_into_another_portal_gives_a_session_as_old_as_the_first(
    reseller_owner: Person, customer_owner: Person
) -> None:
    invite(customer_owner.account, "viewer", reseller_owner.email, customer_owner.actor)
    accept(last_token())
    client = Client()
    enter(client, reseller_owner, "r")
    began = now() - timedelta(hours=3)
    with unscoped("test"):
        Session.objects.update(begun_at=began, proved_at=began)
    answer = client.post("/c/continue", {"next": "/c/acme/environments"})
    assert answer["Location"] == "/c/acme/environments"
    assert client.get("/c/acme/environments").status_code == 200
    with unscoped("test"):
        new = Session.objects.get(portal="c")
        assert (new.begun_at, new.proved_at, new.user) == (began, began, reseller_owner.user)
    assert client.get("/r/north/usage").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_new_password_by_mail_page_by_page(customer_owner: Person) -> None:
    open_ = sign_in(customer_owner)
    client = Client()
    said = []
    for email in (customer_owner.email, "nobody@nowhere.example"):
        page = client.post("/c/password", {"email": email})
        said.append((page.status_code, re.sub(r'nonce="[^"]+"|value="[^"]+"|content="[^"]+"', "",
                                              page.content.decode())))  # fmt: skip
    assert said[0][0] == said[1][0] == 200
    assert "Look into your mail." in said[0][1]
    assert "Look into your mail." in said[1][1]
    tasks.send_notices()
    with unscoped("test"):
        (row,) = Delivery.objects.filter(what="password_reset")
        assert row.payload is not None
        text = json.loads(row.payload.reveal())["text"]
    (found,) = set(re.findall(r"http://127\.0\.0\.1:8600(/c/password/\S+)", text))
    page = client.get(found)
    assert page["Referrer-Policy"] == "same-origin"
    assert page["Cache-Control"] == "no-store"
    short = client.post(found, {"password": "short", "again": "short"})
    assert short.status_code == 422
    assert client.post(found, {"password": NEW, "again": NEW + "x"}).status_code == 422
    assert client.post(found, {"password": NEW, "again": NEW})["Location"] == "/c/sign-in"
    assert open_.get("/c/acme/environments").status_code == 302
    again = client.post(found, {"password": NEW + "2", "again": NEW + "2"})
    assert again.status_code == client.get(found).status_code == 410
    assert enter(client, customer_owner).status_code == 403
    assert enter(client, customer_owner, password=NEW)["Location"] == "/c/acme/"


def test_nobody_elses_address_is_logged_or_throttled(customer_owner: Person) -> None:
    client = Client()
    for number in range(3):
        client.post(
            "/c/sign-in",
            {"email": customer_owner.email, "password": "wrong"},
            headers={"X-Forwarded-For": f"203.0.113.{number}"},
            REMOTE_ADDR="198.51.100.7",
        )
    with unscoped("test"):
        seen = AccessEvent.objects.filter(event="sign_in").values_list("ip", flat=True)
        assert list(seen) == ["198.51.100.7"] * 3


def test_back_after_signing_out_shows_nothing(customer_owner: Person) -> None:
    client = sign_in(customer_owner)
    for path in ("/c/acme/environments", "/c/acme/audit", "/accounts", "/c/set-up"):
        assert "no-store" in client.get(path)["Cache-Control"], path
    client.post("/c/sign-out")
    assert client.get("/c/acme/environments").status_code == 302


def test_the_audit_log_is_ordered_by_its_columns_over_pages(customer_owner: Person) -> None:
    actor = customer_owner.actor
    with scoped(customer_owner.scope):
        for number in (3, 1, 2, 1, 3):
            record(actor=actor, action=f"test.order{number}", object_kind="x")
    for descending in (False, True):
        wanted, cursor, found = EntryFilter(sort="action", descending=descending), None, []
        while True:
            page = entries(customer_owner.scope, wanted, cursor, limit=2)
            found += [(entry.action, entry.id) for entry in page.entries]
            if (cursor := page.next_cursor) is None:
                break
        assert found == sorted(found, reverse=descending)
        assert len(found) == len(set(found)) >= 5
    sleep(1.1)  # ranges end with the last whole second
    shown = sign_in(customer_owner).get("/c/acme/audit?sort=action").content.decode()
    assert shown.index("test.order1") < shown.index("test.order2") < shown.index("test.order3")


def test_a_formula_in_a_user_agent_is_exported_as_text(customer_owner: Person) -> None:
    Client().post(
        "/c/sign-in",
        {"email": customer_owner.email, "password": "wrong"},
        headers={"user-agent": '=cmd|" /C calc"!A0'},
    )
    sleep(1.1)  # ranges end with the last whole second
    answer = sign_in(customer_owner).get("/c/acme/access?export=csv")
    text = b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
    assert b"cmd|" in text
    assert not re.search(rb'(^|,|")=cmd', text)
