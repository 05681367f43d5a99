"""Whoever tries to get in beside the door: races, old sessions, locks, clocks, mails, time."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from statistics import median
from time import perf_counter
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from identity import guards, policies, services, tasks
from identity.access import SIGN_IN
from identity.anomalies import HABIT_LEAST
from identity.errors import CodeRefused, SignInRefused, SignInThrottled
from identity.models import AccessEvent, NameGuard, Session, Stage
from identity.otp import engine
from identity.sessions import SessionStore, person_of, why_over
from notify.models import Delivery
from qcloud.kernel.clock import now
from qcloud.kernel.errors import NotFound, StepUpNeeded
from qcloud.kernel.permissions import require_fresh
from qcloud.kernel.scope import unscoped
from tests.factories.cast import PASSWORD, Person
from tests.identity.test_factors import VISITOR, code_of, later, set_up, visit
from tests.identity.test_factors import enter as enter_at

NOBODY = "nobody@nowhere.example"


@pytest.fixture(autouse=True)
def _no_counts_from_before() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def attempt(
    email: str, password: str = PASSWORD, *, device: str = "", ip: str = "192.0.2.7"
) -> Any:
    cache.clear()  # the throttle in front is another test's
    return services.sign_in(
        visit(), email=email, password=password, ip=ip, request_id="r", portal="c", device=device
    )


def fail(email: str, times: int, device: str = "") -> None:
    for _ in range(times):
        with pytest.raises(SignInRefused):
            attempt(email, "wrong", device=device)


def mails() -> list[dict[str, Any]]:
    tasks.send_notices()
    with unscoped("test"):
        rows = list(Delivery.objects.exclude(what="invitation").order_by("id"))
        return [
            {"what": row.what, "to": row.to, **json.loads(row.payload.reveal())}
            for row in rows
            if row.payload
        ]


def at_once(work: Callable[[], object], times: int = 6) -> list[object]:
    """What each of several threads got, begun together."""
    gate, found = threading.Barrier(times), []

    def run() -> None:
        gate.wait()
        try:
            found.append(work())
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return found


@pytest.mark.django_db(transaction=True)
def test_of_the_same_code_sent_many_times_at_once_one_is_taken(customer_owner: Person) -> None:
    codes = set_up(customer_owner)
    user_id = customer_owner.user.id
    shown = code_of(customer_owner, confirmed=True)
    assert sorted(map(str, at_once(lambda: engine().verify(user_id, shown)))) == [""] * 5 + ["totp"]
    later()
    found = at_once(lambda: engine().verify(user_id, codes[0]))
    assert sorted(map(str, found)) == [""] * 5 + ["recovery"]
    assert engine().state(user_id).codes_left == 9


@pytest.mark.django_db
def test_a_new_second_factor_ends_whatever_came_in_with_the_password_alone(
    customer_owner: Person,
) -> None:
    thief, waiting = visit(), visit()
    enter_at(customer_owner, thief)
    enter_at(customer_owner, waiting)
    waiting.session.change(stage=Stage.ENROL)  # type: ignore[attr-defined]  # our own store
    keys = [r.session.session_key for r in (thief, waiting)]
    set_up(customer_owner)
    for key in keys:
        request = visit()
        request.session = SessionStore(key, "c")
        assert not person_of(request).is_authenticated
        with pytest.raises(SignInRefused):
            services.set_up_seed(request)
        with pytest.raises(SignInRefused):
            services.set_up_try(request, code="000000", visitor=VISITOR)
        with pytest.raises(SignInRefused):
            services.set_up_codes(request, visitor=VISITOR)
        with pytest.raises(SignInRefused):
            services.factors_remove(request, visitor=VISITOR)
    assert engine().state(customer_owner.user.id).is_complete


@pytest.mark.django_db
def test_a_lock_also_stops_sessions_that_wait_for_a_code(customer_owner: Person) -> None:
    set_up(customer_owner)
    before = visit()
    enter_at(customer_owner, before)
    fail(customer_owner.email, guards.lock_after())
    shown = code_of(customer_owner, confirmed=True)
    with pytest.raises(SignInRefused):
        services.second_factor(before, code=shown, visitor=VISITOR, device="")
    with unscoped("test"):
        assert not Session.objects.filter(stage=Stage.FACTOR).exists()
    assert engine().verify(customer_owner.user.id, shown) == "totp"  # it was not used up


@pytest.mark.django_db(transaction=True)
def test_codes_guessed_in_many_sessions_lock_the_name_and_the_owner_is_told(
    customer_owner: Person,
) -> None:
    set_up(customer_owner)
    for session in range(guards.lock_after() // 4):
        request = visit()
        cache.clear()
        services.sign_in(
            request, email=customer_owner.email, password=PASSWORD, ip=f"192.0.2.{session}",
            request_id="r", portal="c",
        )  # fmt: skip
        for _ in range(4):
            with pytest.raises(CodeRefused):
                services.second_factor(request, code="000000", visitor=VISITOR, device="")
    with pytest.raises(SignInThrottled):
        attempt(customer_owner.email)
    assert "locked_out" in [mail["what"] for mail in mails()]


@pytest.mark.django_db
def test_a_known_browsers_failures_are_forgotten_by_its_own_success(
    customer_owner: Person,
) -> None:
    device = attempt(customer_owner.email).device
    for _ in range(2):
        fail(customer_owner.email, guards.lock_after() - 1, device)
        assert attempt(customer_owner.email, device=device).device == device
    fail(customer_owner.email, 3)  # elsewhere: the owner's success does not wipe it out
    attempt(customer_owner.email, device=device)
    with unscoped("test"):
        assert [row.failures for row in NameGuard.objects.all()] == [3]


@pytest.mark.django_db
def test_the_figures_are_settings(cloud_admin: Person, customer_owner: Person) -> None:
    services.settings_set(
        actor=replace(cloud_admin.actor, proved_at=now()),
        group="guards",
        texts={policies.GUARD_LOCK_AFTER.key: "5", policies.GUARD_LOCK_FOR.key: "2 h"},
    )
    fail(customer_owner.email, 5)
    with pytest.raises(SignInThrottled):
        attempt(customer_owner.email)
    until = guards.locked_until(customer_owner.email)
    assert until is not None
    assert timedelta(minutes=119) < until - now() <= timedelta(hours=2)


def measured(email: str, error: type[Exception]) -> tuple[float, int]:
    """Median seconds and number of queries of an attempt that is refused."""
    times: list[float] = []
    with CaptureQueriesContext(connection) as seen:
        for _ in range(7):
            begun = perf_counter()
            with pytest.raises(error):
                attempt(email, "wrong")
            times.append(perf_counter() - begun)
    return median(times), len(seen)


@pytest.mark.django_db
def test_a_locked_name_costs_the_same_whether_it_exists_or_not(customer_owner: Person) -> None:
    for email in (customer_owner.email, NOBODY):
        fail(email, guards.lock_after())
    (mine, my_queries), (nobodys, queries) = (
        measured(email, SignInThrottled) for email in (customer_owner.email, NOBODY)
    )
    assert my_queries == queries
    assert 0.4 < mine / nobodys < 2.5


@pytest.mark.django_db
def test_asking_for_a_link_costs_the_same_whether_the_name_exists_or_not(
    customer_owner: Person,
) -> None:
    counts = []
    for email in (customer_owner.email, NOBODY):
        with CaptureQueriesContext(connection) as seen:
            services.password_reset_ask(visit(), email=email, visitor=VISITOR)
        counts.append(len(seen))
    assert counts[0] == counts[1]


@pytest.mark.django_db
def test_wrong_used_and_hasty_codes_get_one_answer(customer_owner: Person) -> None:
    set_up(customer_owner)
    shown = code_of(customer_owner, confirmed=True)
    engine().verify(customer_owner.user.id, shown)
    request = visit()
    enter_at(customer_owner, request)
    said = []
    for code in (shown, "000000", code_of(customer_owner, confirmed=True, steps=1)):
        with pytest.raises(CodeRefused) as refused:
            services.second_factor(request, code=code, visitor=VISITOR, device="")
        said.append((refused.value.message, refused.value.code, refused.value.http_status))
    assert len(set(said)) == 1


@pytest.mark.django_db
def test_a_clock_that_was_set_back_prolongs_nothing(customer_owner: Person) -> None:
    request = visit()
    enter_at(customer_owner, request)
    row = request.session.row  # type: ignore[attr-defined]  # our own store
    assert why_over(row, now()) == ""
    assert why_over(row, row.begun_at - timedelta(hours=1)) == "its time was up"
    ahead = replace(customer_owner.actor, proved_at=now() + timedelta(hours=1))
    with pytest.raises(StepUpNeeded):
        require_fresh(ahead)


@pytest.mark.django_db
def test_a_sign_in_at_an_hour_without_habit_is_flagged(
    customer_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    noon = now().replace(hour=12, minute=0)
    with unscoped("test"):
        for day in range(1, HABIT_LEAST + 1):
            AccessEvent(
                account_id=customer_owner.account.id, account_path=customer_owner.account.path,
                at=noon - timedelta(days=day), event=SIGN_IN, outcome="allowed",
                user_id=customer_owner.user.id, user_name=customer_owner.email,
            ).save(force_insert=True)  # fmt: skip
    flags = {}
    for hour in (3, 11, 13):
        monkeypatch.setattr("identity.anomalies.now", lambda h=hour: noon.replace(hour=h))
        attempt(customer_owner.email)
        with unscoped("test"):
            last = AccessEvent.objects.filter(event=SIGN_IN).order_by("-id").first()
        assert last is not None
        flags[hour] = [flag["kind"] for flag in last.flags]
    assert flags == {3: ["hours"], 11: [], 13: []}


@pytest.mark.django_db(transaction=True)
def test_changes_of_a_second_factor_are_mailed(cloud_admin: Person, customer_owner: Person) -> None:
    set_up(customer_owner)
    request = visit()
    enter_at(customer_owner, request)
    services.second_factor(
        request, code=code_of(customer_owner, confirmed=True), visitor=VISITOR, device=""
    )
    services.set_up_codes(request, visitor=VISITOR)
    services.factors_remove(request, visitor=VISITOR)
    services.mfa_factors_reset(
        actor=replace(cloud_admin.actor, proved_at=now()),
        email=customer_owner.email,
        reason="telephone lost, seen in person",
    )
    told = [(mail["to"], mail["subject"]) for mail in mails() if mail["what"] == "notice"]
    assert [to for to, _ in told] == [customer_owner.email] * 4
    words = ("was set up", "recovery codes", "was removed", "taken away")
    assert [w for w, (_, subject) in zip(words, told, strict=True) if w in subject] == list(words)
    assert cloud_admin.actor.ip not in mails()[-1]["text"]


@pytest.mark.django_db(transaction=True)
def test_the_break_glass_door_is_mailed_to_the_owners_and_logged(
    cloud_admin: Person, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    services.mfa_exempt(
        actor=replace(cloud_admin.actor, proved_at=now()), whom=cloud_admin.email,
        reason="the test has no telephone", ends_at=now() + timedelta(hours=1),
    )  # fmt: skip
    with override_settings(PRODUCTION=True, BREAK_GLASS=True, LOCAL_SIGN_IN=("admin",)):
        services.sign_in(
            visit(), email=cloud_admin.email, password=PASSWORD, ip="192.0.2.7", request_id="r",
            portal="admin",
        )  # fmt: skip
    (mail,) = mails()
    assert (mail["to"], mail["what"]) == (cloud_admin.email, "notice")
    assert mail["subject"].startswith("Break-glass sign-in was used")
    assert cloud_admin.email in mail["text"]
    with unscoped("test"):
        (event,) = AccessEvent.objects.filter(reason="break-glass")
    assert (event.user_name, event.outcome) == (cloud_admin.email, "allowed")
    assert "break_glass_used" in caplog.text + "".join(capsys.readouterr())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("agent", ["A" * 10_000_000, "Fire\0fox", "X\r\nBcc: all@evil.example"])
def test_a_hostile_user_agent_is_cut_and_never_a_header(customer_owner: Person, agent: str) -> None:
    first, second = visit(), visit()
    for request in (first, second):
        request.META["HTTP_USER_AGENT"] = agent
        services.sign_in(
            request, email=customer_owner.email, password=PASSWORD, ip="192.0.2.7",
            request_id="r", portal="c",
        )  # fmt: skip
    with unscoped("test"):
        stored = AccessEvent.objects.filter(event=SIGN_IN).values_list("user_agent", flat=True)
        assert {len(text) <= 256 and "\0" not in text for text in stored} == {True}
    (mail,) = mails()
    assert mail["what"] == "new_device"
    assert "\n" not in mail["subject"]
    assert "\r" not in mail["subject"]


@pytest.mark.django_db
def test_a_saved_view_is_its_owners_alone(
    customer_owner: Person, customer_viewer: Person, other_customer_owner: Person
) -> None:
    view = services.view_save(
        actor=customer_owner.actor, page="access", name="Refused", query="f.outcome=denied"
    )
    for other in (customer_viewer, other_customer_owner):
        with pytest.raises(NotFound):
            services.view_delete(actor=other.actor, view_id=view)
    services.view_delete(actor=customer_owner.actor, view_id=view)
