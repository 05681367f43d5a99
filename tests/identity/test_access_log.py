"""The access log: locks, notices, anomalies, who reads what, and what is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpRequest
from django.test import RequestFactory, override_settings

from audit.models import Entry
from identity import guards, services, tasks
from identity.access import SIGN_IN
from identity.access_log import AccessFilter, access_events
from identity.agents import describe
from identity.anomalies import TOPIC
from identity.errors import LocalSignInOff, ResetLinkSpent, SignInRefused, SignInThrottled
from identity.mfa import affected, policy
from identity.models import AccessEvent, NameGuard, PasswordReset, Session
from identity.sessions import SessionStore, person_of
from notify.models import Delivery
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Invalid
from qcloud.kernel.models import OutboxMessage
from qcloud.kernel.scope import unscoped
from tests.factories.cast import PASSWORD, Person
from tests.identity import mmdb

LINK = "http://127.0.0.1:8600/c/password/"
NEW = "a wholly different battery staple"


@pytest.fixture(autouse=True)
def _no_counts_from_before() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def visit(agent: str = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0") -> HttpRequest:
    request = RequestFactory().post("/c/sign-in", headers={"user-agent": agent})
    request.session = SessionStore(portal="c")
    return request


def enter(email: str, password: str = PASSWORD, **given: Any) -> services.Entered:
    words = {"ip": "192.0.2.7", "request_id": "r", "portal": "c"} | given
    request = words.pop("request", None) or visit()
    return services.sign_in(request, email=email, password=password, **words)


def log(**wanted: Any) -> list[AccessEvent]:
    with unscoped("test"):
        return list(AccessEvent.objects.filter(**wanted).order_by("id"))


def mails() -> list[tuple[str, str]]:
    with unscoped("test"):
        rows = Delivery.objects.exclude(what="invitation").order_by("id")
        return list(rows.values_list("what", "to"))


def fail(email: str, times: int) -> None:
    for number in range(times):
        cache.clear()  # the throttle in front is another test's
        with pytest.raises(SignInRefused):
            enter(email, "wrong", ip=f"192.0.{number}.1")


def test_a_name_is_locked_alike_whether_it_exists_or_not(customer_owner: Person) -> None:
    answers = []
    for email in (customer_owner.email, "nobody@nowhere.example"):
        fail(email, guards.lock_after())
        cache.clear()
        with pytest.raises(SignInThrottled) as caught:
            enter(email)
        answers.append((str(caught.value), caught.value.http_status, caught.value.data))
        assert [e.reason for e in log(user_name=email)][-2:] == [
            "locked: too many failures in a day",
            "locked",
        ]
    assert answers[0] == answers[1]


def test_a_lock_ends_by_time_and_by_staff_admins(
    customer_owner: Person, customer_viewer: Person
) -> None:
    fail(customer_viewer.email, guards.lock_after())
    cache.clear()
    (locked,) = services.locked_names(customer_owner.actor)
    assert (locked.email, locked.user_id) == (customer_viewer.email, customer_viewer.user.id)
    services.name_unlock(actor=customer_owner.actor, user_id=customer_viewer.user.id)
    assert enter(customer_viewer.email).user == customer_viewer.user
    fail(customer_viewer.email, guards.lock_after())
    cache.clear()
    with unscoped("test"):
        NameGuard.objects.update(locked_until=now() - timedelta(seconds=1))
    assert enter(customer_viewer.email).user == customer_viewer.user


def test_guessing_elsewhere_does_not_lock_a_known_browser_out(customer_owner: Person) -> None:
    device = enter(customer_owner.email).device
    fail(customer_owner.email, guards.lock_after())
    cache.clear()
    with pytest.raises(SignInThrottled):
        enter(customer_owner.email)
    assert enter(customer_owner.email, device=device).device == device


@pytest.mark.django_db(transaction=True)
def test_notices_are_mailed_once_and_to_nobody_for_nobody(customer_owner: Person) -> None:
    first = enter(customer_owner.email).device
    enter(customer_owner.email, device=first)
    tasks.send_notices()
    assert mails() == []
    enter(customer_owner.email, device="planted by somebody")
    for email in (customer_owner.email, "nobody@nowhere.example"):
        fail(email, guards.lock_after())
    tasks.send_notices()
    tasks.send_notices()
    assert sorted(mails()) == [
        ("locked_out", customer_owner.email),
        ("new_device", customer_owner.email),
    ]


def test_a_spray_is_flagged_and_told(customer_owner: Person) -> None:
    for number in range(9):
        with pytest.raises(SignInRefused):
            enter(f"guess{number}@acme.example", "Winter2026!")
    flags = [e.flags for e in log(event=SIGN_IN)]
    assert flags[:8] == [[]] * 8
    assert flags[8] == [{"kind": "spray", "why": "8 names failed from 192.0.2.7 in 10 minutes"}]
    with unscoped("test"):
        (told,) = OutboxMessage.objects.filter(topic=TOPIC).values_list("payload", flat=True)
    assert told["flags"] == flags[8]
    page, _ = access_events(customer_owner.scope, AccessFilter(flag="any"))
    assert page == []


def test_impossible_travel_needs_a_location_database(
    customer_owner: Person, tmp_path: Path
) -> None:
    berlin = {
        "country": {"names": {"en": "Germany"}},
        "city": {"names": {"en": "Berlin"}},
        "location": {"latitude": 52.52, "longitude": 13.4},
    }
    sydney = {
        "country": {"names": {"en": "Australia"}},
        "city": {"names": {"en": "Sydney"}},
        "location": {"latitude": -33.87, "longitude": 151.21},
    }
    path = tmp_path / "city.mmdb"
    path.write_bytes(mmdb.write({"192.0.2.0/24": berlin, "198.51.100.0/24": sydney}))
    enter(customer_owner.email, ip="198.51.100.1")
    with override_settings(LOCATION_DATABASE=path):
        enter(customer_owner.email)
        enter(customer_owner.email, ip="198.51.100.1")
        enter(customer_owner.email, ip="203.0.113.1")
        enter(customer_owner.email, ip="not an address")
    seen = [(e.place, [f["kind"] for f in e.flags]) for e in log(event=SIGN_IN)]
    assert seen == [
        ("", []),
        ("Germany, Berlin", []),
        ("Australia, Sydney", ["travel"]),
        ("", []),
        ("", []),
    ]
    assert "16,0" in log(event=SIGN_IN)[2].flags[0]["why"]
    path.write_bytes(b"no database")
    with override_settings(LOCATION_DATABASE=path):
        assert enter(customer_owner.email).user == customer_owner.user


def test_what_a_client_sends_is_cut_and_kept_as_text(customer_owner: Person) -> None:
    request = visit("a\0b" + "x" * 10_000_000)
    enter(customer_owner.email, request=request)
    (event,) = log(event=SIGN_IN)
    assert event.user_agent == ("a\N{REPLACEMENT CHARACTER}b" + "x" * 256)[:256]
    assert describe(event.user_agent) == "an unknown program"
    assert describe("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0") == "Firefox on Linux"


def test_each_account_reads_its_own_people_and_those_below(
    customer_owner: Person, reseller_owner: Person, other_customer_owner: Person
) -> None:
    enter(customer_owner.email)
    enter(other_customer_owner.email)
    enter(reseller_owner.email, portal="r")

    def seen(person: Person, **wanted: Any) -> list[str]:
        return [e.user_name for e in access_events(person.scope, AccessFilter(**wanted))[0]]

    assert seen(customer_owner) == [customer_owner.email]
    assert seen(other_customer_owner) == [other_customer_owner.email]
    assert seen(reseller_owner) == [reseller_owner.email, customer_owner.email]
    assert seen(reseller_owner, sort="user_name", descending=False) == [
        customer_owner.email,
        reseller_owner.email,
    ]
    assert seen(reseller_owner, portal="r") == [reseller_owner.email]
    first, cursor = access_events(reseller_owner.scope, AccessFilter(sort="event"), limit=1)
    second, end = access_events(reseller_owner.scope, AccessFilter(sort="event"), cursor, 1)
    assert ({first[0].user_name, second[0].user_name}, end) == (
        {reseller_owner.email, customer_owner.email},
        "",
    )
    with pytest.raises(Invalid):
        access_events(reseller_owner.scope, AccessFilter(), "nonsense")


def test_old_rows_are_forgotten_and_the_journal_says_so(customer_owner: Person) -> None:
    enter(customer_owner.email)
    with unscoped("test"):
        young = AccessEvent.objects.get(event=SIGN_IN)
        old = AccessEvent(**{
            f.attname: getattr(young, f.attname)
            for f in AccessEvent._meta.fields if f.attname != "id"
        })  # fmt: skip
        old.at = now() - timedelta(days=401)
        old.save(force_insert=True)
    assert tasks.access_forget() == 1
    assert [e.id for e in log(event=SIGN_IN)] == [young.id]
    with unscoped("test"):
        (entry,) = Entry.objects.filter(action="identity.access.forget")
    assert entry.data["rows"] == 1


@pytest.mark.django_db(transaction=True)
def test_a_reset_link_works_once_for_an_hour_and_ends_sessions(
    customer_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = visit()
    enter(customer_owner.email, request=request)
    sent: list[str] = []
    monkeypatch.setattr(
        "identity.services.passwords.mail_send",
        lambda **given: sent.append(given["context"]["link"]),
    )
    visitor = access_visitor()
    for email in (customer_owner.email, "nobody@nowhere.example"):
        services.password_reset_ask(visit(), email=email, visitor=visitor)
    tasks.send_notices()
    (link,) = sent
    token = link.removeprefix(LINK)
    with unscoped("test"):
        assert token not in PasswordReset.objects.get().token_hash
    with pytest.raises(Invalid):
        services.password_reset(token=token, new="short", visitor=visitor)
    services.password_reset(token=token, new=NEW, visitor=visitor)
    with pytest.raises(ResetLinkSpent):
        services.password_reset(token=token, new=NEW + "2", visitor=visitor)
    assert not person_of(again(request)).is_authenticated
    with pytest.raises(SignInRefused):
        enter(customer_owner.email)
    assert enter(customer_owner.email, NEW).user == customer_owner.user
    services.password_reset_ask(visit(), email=customer_owner.email, visitor=visitor)
    tasks.send_notices()
    with unscoped("test"):
        PasswordReset.objects.update(expires_at=now())
    with pytest.raises(ResetLinkSpent):
        services.password_reset(token=sent[1].removeprefix(LINK), new=NEW + "3", visitor=visitor)


def access_visitor() -> Any:
    from identity.access import Visitor

    return Visitor("192.0.2.7", "Browser/1.0", "req-1", "c")


def again(request: HttpRequest) -> HttpRequest:
    later = visit()
    later.session = SessionStore(request.session.session_key, "c")
    return later


def test_a_changed_password_ends_the_other_sessions(customer_owner: Person) -> None:
    here, there = visit(), visit()
    enter(customer_owner.email, request=here)
    enter(customer_owner.email, request=there)
    with pytest.raises(Invalid):
        services.password_change(here, present="wrong", new=NEW, visitor=access_visitor())
    services.password_change(here, present=PASSWORD, new=NEW, visitor=access_visitor())
    here.session.save()
    assert person_of(again(here)) == customer_owner.user
    assert not person_of(again(there)).is_authenticated


def test_in_production_only_the_providers_door_opens_and_loudly(
    cloud_admin: Person, customer_owner: Person, caplog: pytest.LogCaptureFixture
) -> None:
    del caplog
    with override_settings(PRODUCTION=True, BREAK_GLASS=False, LOCAL_SIGN_IN=()):
        for person, portal in ((cloud_admin, "admin"), (customer_owner, "c")):
            with pytest.raises(LocalSignInOff):
                enter(person.email, portal=portal)
    with override_settings(PRODUCTION=True, BREAK_GLASS=True, LOCAL_SIGN_IN=("admin",)):
        with pytest.raises(LocalSignInOff):
            enter(customer_owner.email)
        services.mfa_exempt(
            actor=fresh(cloud_admin), whom=cloud_admin.email, reason="the test has no telephone",
            ends_at=now() + timedelta(hours=1),
        )  # fmt: skip
        enter(cloud_admin.email, portal="admin")
        assert services.break_glass_now() == [cloud_admin.email]
    with unscoped("test"):
        assert Session.objects.filter(break_glass=True).count() == 1
        assert Entry.objects.filter(action="identity.break_glass.enter").count() == 1
        topics = list(OutboxMessage.objects.values_list("topic", flat=True))
    assert topics.count("identity.access.break_glass") == 1


def fresh(person: Person) -> Any:
    from dataclasses import replace

    return replace(person.actor, proved_at=now())


def test_a_preview_counts_whom_a_rule_would_meet(
    cloud_admin: Person, customer_owner: Person, customer_viewer: Person
) -> None:
    present = policy()
    assert [(a.email, a.state, a.is_new) for a in affected(present, present)] == [
        (cloud_admin.email, "must set up", False)
    ]
    draft = services.mfa_rule_draft("account", customer_owner.slug, required=True, grace_days=5)
    seen = affected(present, services.mfa_policy_with(draft))
    assert [(a.email, a.state, a.is_new) for a in seen] == [
        (customer_owner.email, "in grace", True),
        (customer_viewer.email, "in grace", True),
        (cloud_admin.email, "must set up", False),
    ]
    services.mfa_exempt(
        actor=fresh(cloud_admin), whom=customer_viewer.email, reason="the telephone was stolen",
        ends_at=now() + timedelta(days=1),
    )  # fmt: skip
    with_it = affected(policy(), services.mfa_policy_with(draft))
    assert {a.email: a.state for a in with_it}[customer_viewer.email] == "exempt"
