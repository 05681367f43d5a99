"""Sign-in: one answer for every failure, throttled, each attempt in the access log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from statistics import median
from time import perf_counter
from typing import Any

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.core.cache import cache
from django.http import HttpRequest
from django.test import RequestFactory

from audit.models import Entry
from audit.selectors import EntryFilter, entries
from identity.errors import SignInRefused, SignInThrottled
from identity.models import Session, User
from identity.services import SIGN_IN, SIGN_OUT, account_suspend, sign_in, sign_out, signin
from identity.sessions import SessionStore, person_of, stored_key
from qcloud.kernel.clock import now
from qcloud.kernel.errors import QCloudError
from qcloud.kernel.scope import scoped, unscoped
from tests.factories.cast import PASSWORD, Person


@pytest.fixture(autouse=True)
def _no_counts_from_before() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def visit(session_key: str | None = None) -> HttpRequest:
    request = RequestFactory().post("/sign-in", headers={"user-agent": "Browser/1.0"})
    request.session = SessionStore(session_key)
    return request


def enter(
    email: str, password: str = PASSWORD, ip: str = "192.0.2.7", request: HttpRequest | None = None
) -> User:
    entered = sign_in(request or visit(), email=email, password=password, ip=ip, request_id="req-1")
    return entered.user


def log() -> list[dict[str, Any]]:
    with unscoped("test"):
        return list(
            Entry.objects.filter(action=SIGN_IN)
            .order_by("id")
            .values("outcome", "reason", "actor_label", "account_id", "ip", "data")
        )


def test_the_right_password_opens_a_session(customer_owner: Person) -> None:
    request = visit()
    user = enter(" Carla@ACME.example", request=request)
    assert user.id == customer_owner.user.id
    assert person_of(request) == user
    request.session.save()
    later = visit(request.session.session_key)
    assert person_of(later) == user
    with unscoped("test"):
        assert User.objects.get(id=user.id).last_login is not None
    assert log() == [
        {
            "outcome": "allowed",
            "reason": "",
            "actor_label": "carla@acme.example",
            "account_id": customer_owner.account.id,
            "ip": "192.0.2.7",
            "data": {
                "user_name": "carla@acme.example",
                "user_agent": "Browser/1.0",
                "factor": "password",
            },
        }
    ]


def test_every_failure_answers_the_same_and_is_told_apart_in_the_log(
    customer_owner: Person, customer_viewer: Person, cloud_admin: Person
) -> None:
    with unscoped("test"):
        User.objects.filter(id=customer_viewer.user.id).update(is_active=False)
    tries = [
        (customer_owner.email, "wrong"),
        ("nobody@nowhere.example", PASSWORD),
        (customer_viewer.email, PASSWORD),
        ("", ""),
        ("a\0b@c.example", "\0"),
    ]
    answers = []
    for email, password in tries:
        request = visit()
        with pytest.raises(SignInRefused) as caught:
            enter(email, password, request=request)
        answers.append((caught.value.code, caught.value.http_status, caught.value.message))
        assert request.session.is_empty()
    assert len(set(answers)) == 1
    home = customer_owner.account.id
    assert [(e["outcome"], e["reason"], e["account_id"]) for e in log()] == [
        ("denied", "wrong password", home),
        ("denied", "no such person", cloud_admin.account.id),
        ("denied", "this person is inactive", home),
        ("denied", "no such person", cloud_admin.account.id),
        ("denied", "no such person", cloud_admin.account.id),
    ]


def test_each_account_sees_the_attempts_on_its_own_people(
    customer_owner: Person, reseller_owner: Person, other_customer_owner: Person
) -> None:
    for email in (customer_owner.email, "nobody@nowhere.example"):
        with pytest.raises(SignInRefused):
            enter(email, "wrong")

    def seen(person: Person) -> list[str]:
        page = entries(person.scope, EntryFilter(action=SIGN_IN))
        return [entry.actor_label for entry in page.entries]

    assert seen(customer_owner) == [customer_owner.email]
    assert seen(reseller_owner) == [customer_owner.email]
    assert seen(other_customer_owner) == []


@pytest.fixture
def dear_hashes(customer_owner: Person, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hashes as dear as outside of tests."""
    monkeypatch.setattr(Argon2PasswordHasher, "time_cost", 2)
    monkeypatch.setattr(Argon2PasswordHasher, "memory_cost", 102_400)
    signin._nobodys_hash.cache_clear()
    with unscoped("test"):
        user = User.objects.get(id=customer_owner.user.id)
        user.set_password(PASSWORD)
        user.save()
    yield
    signin._nobodys_hash.cache_clear()


@pytest.mark.usefixtures("dear_hashes")
def test_the_time_does_not_tell_who_exists(customer_owner: Person) -> None:
    def timed(email: str) -> float:
        began = perf_counter()
        with pytest.raises(SignInRefused):
            enter(email, "wrong")
        cache.clear()
        return perf_counter() - began

    names = (customer_owner.email, "nobody@nowhere.example")
    for name in names:
        timed(name)
    known, unknown = (
        median(times)
        for times in zip(*((timed(names[0]), timed(names[1])) for _ in range(5)), strict=True)
    )
    # Without the second hash an unknown name would answer in a fraction of the time.
    assert 0.5 < unknown / known < 2


def test_names_are_throttled_whether_they_exist_or_not(customer_owner: Person) -> None:
    for email in (customer_owner.email, "nobody@nowhere.example"):
        for number in range(10):
            with pytest.raises(SignInRefused):
                enter(email, "wrong", ip=f"192.0.2.{number}")
        with pytest.raises(SignInThrottled) as caught:
            enter(email, PASSWORD, ip="192.0.2.200")
        assert (caught.value.http_status, caught.value.data) == (
            429,
            {"retry_after_seconds": 300},
        )
    assert [e["reason"] for e in log()].count("too many attempts") == 2
    assert len(log()) == 22


def test_signing_in_again_and_again_is_no_attack(customer_owner: Person) -> None:
    for _ in range(12):
        assert enter(customer_owner.email).id == customer_owner.user.id
    assert [e["outcome"] for e in log()] == ["allowed"] * 12


@pytest.mark.parametrize(
    ("first", "second"),
    [("198.51.100.9", "198.51.100.9"), ("2001:db8::1", "2001:db8::ffff")],
)
def test_addresses_are_throttled(
    customer_owner: Person,
    monkeypatch: pytest.MonkeyPatch,
    first: str,
    second: str,
) -> None:
    monkeypatch.setattr("identity.guards.address_rate", lambda: "3/5m")
    for number in range(3):
        with pytest.raises(SignInRefused):
            enter(f"nobody{number}@nowhere.example", "wrong", ip=first)
    with pytest.raises(SignInThrottled):
        enter(customer_owner.email, ip=second)
    assert enter(customer_owner.email, ip="203.0.113.1")


def test_signing_in_changes_the_session_key(customer_owner: Person) -> None:
    planted = SessionStore()
    planted["basket"] = 1
    planted.save()
    request = visit(planted.session_key)
    enter(customer_owner.email, request=request)
    assert request.session.session_key != planted.session_key
    assert "basket" not in request.session
    assert not person_of(visit(planted.session_key)).is_authenticated


def test_signing_in_as_somebody_else_keeps_nothing(
    customer_owner: Person, other_customer_owner: Person
) -> None:
    request = visit()
    enter(customer_owner.email, request=request)
    request.session["draft"] = "acme's"
    enter(other_customer_owner.email, request=request)
    assert "draft" not in request.session
    assert person_of(request) == other_customer_owner.user


def test_signing_out_ends_the_session_everywhere_it_was_copied_to(
    customer_owner: Person,
) -> None:
    request = visit()
    enter(customer_owner.email, request=request)
    request.session.save()
    key = request.session.session_key
    sign_out(request, ip="192.0.2.7", request_id="req-2")
    assert not person_of(request).is_authenticated
    assert not person_of(visit(key)).is_authenticated
    page = entries(customer_owner.scope, EntryFilter(action=SIGN_OUT))
    assert [entry.actor_label for entry in page.entries] == [customer_owner.email]
    sign_out(visit(), ip="", request_id="")
    assert len(entries(customer_owner.scope, EntryFilter(action=SIGN_OUT)).entries) == 1


def test_a_new_password_and_an_inactive_person_end_open_sessions(
    customer_owner: Person,
) -> None:
    request = visit()
    enter(customer_owner.email, request=request)
    request.session.save()
    key = request.session.session_key
    with unscoped("test"):
        User.objects.filter(id=customer_owner.user.id).update(is_active=False)
    assert not person_of(visit(key)).is_authenticated
    with unscoped("test"):
        user = User.objects.get(id=customer_owner.user.id)
        user.is_active = True
        user.set_password("another horse battery staple")
        user.save()
    assert not person_of(visit(key)).is_authenticated
    assert not SessionStore().exists(key or "")


def test_the_table_holds_no_key_that_opens_a_session(customer_owner: Person) -> None:
    request = visit()
    enter(customer_owner.email, request=request)
    request.session.save()
    key = request.session.session_key or ""
    with unscoped("test"):
        (stored,) = Session.objects.values_list("session_key", flat=True)
    assert stored == stored_key(key)
    assert not person_of(visit(stored)).is_authenticated
    assert person_of(visit(key)) == customer_owner.user


def test_no_tenant_sees_a_session(customer_owner: Person) -> None:
    request = visit()
    enter(customer_owner.email, request=request)
    request.session.save()
    with scoped(customer_owner.scope):
        assert Session.objects.count() == 0
        assert Session.objects.all().delete()[0] == 0
    assert person_of(visit(request.session.session_key)) == customer_owner.user


def test_expired_sessions_are_cleared(customer_owner: Person) -> None:
    request = visit()
    enter(customer_owner.email, request=request)
    with unscoped("test"):
        Session.objects.update(begun_at=now() - timedelta(hours=24))
    assert not person_of(visit(request.session.session_key)).is_authenticated
    SessionStore.clear_expired()
    with unscoped("test"):
        assert Session.objects.count() == 0


def test_staff_of_a_suspended_account_still_signs_in(
    customer_owner: Person, reseller_owner: Person
) -> None:
    account_suspend(
        actor=reseller_owner.actor, account_id=customer_owner.account.id, reason="unpaid"
    )
    assert enter(customer_owner.email).id == customer_owner.user.id


@pytest.mark.django_db
def test_before_the_platform_is_set_up_nobody_enters() -> None:
    with pytest.raises(QCloudError, match="do not match"):
        enter("ada@provider.example")
    assert [e["reason"] for e in log()] == ["no such person"]


def test_a_burst_gets_no_more_tries_than_one_after_another(
    customer_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attempts that arrive while the first passwords are still being checked count as well."""
    inside: list[str] = []

    def checked_slowly(password: str, _encoded: str) -> bool:
        inside.append(password)
        if len(inside) < 30:
            with suppress(SignInRefused, SignInThrottled):
                enter(customer_owner.email, f"guess {len(inside)}", ip=f"192.0.2.{len(inside)}")
        return False

    monkeypatch.setattr(signin, "check_password", checked_slowly)
    with pytest.raises(SignInRefused):
        enter(customer_owner.email, "guess 0", ip="192.0.2.99")
    assert inside == [f"guess {number}" for number in range(10)]
    assert [e["reason"] for e in log()].count("too many attempts") == 1


def test_failures_between_successes_still_count(customer_owner: Person) -> None:
    for number in range(10):
        with pytest.raises(SignInRefused):
            enter(customer_owner.email, f"wrong {number}")
        if number < 9:
            assert enter(customer_owner.email)
    with pytest.raises(SignInThrottled):
        enter(customer_owner.email)
