"""Second factors: sealed, single-use, slowed down; the set-up; the step before sensitive things."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest
from django.test import RequestFactory
from django_otp.oath import totp

from identity import services
from identity.access import Visitor
from identity.errors import CodeRefused, SignInRefused, StepUpRefused
from identity.models import AccessEvent, MfaRule, RecoveryDevice, Session, Stage, TotpDevice
from identity.otp import engine
from identity.services import Entered
from identity.sessions import SessionStore, person_of
from qcloud.kernel.clock import now
from qcloud.kernel.errors import StepUpNeeded
from qcloud.kernel.scope import unscoped
from tests.factories.cast import PASSWORD, Person

VISITOR = Visitor("192.0.2.7", "Browser/1.0", "req-1", "c")
STEP = 30


@pytest.fixture(autouse=True)
def _no_counts_from_before() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def visit() -> HttpRequest:
    request = RequestFactory().post("/c/sign-in", headers={"user-agent": "Browser/1.0"})
    request.session = SessionStore(portal="c")
    return request


def enter(person: Person, request: HttpRequest, portal: str = "c") -> Entered:
    return services.sign_in(
        request, email=person.email, password=PASSWORD, ip="192.0.2.7", request_id="r",
        portal=portal,
    )  # fmt: skip


def code_of(person: Person, *, confirmed: bool, steps: int = 0) -> str:
    """What the person's app shows, some steps from now."""
    with unscoped("test"):
        row = TotpDevice.objects.get(user=person.user, confirmed=confirmed)
    return f"{totp(row.seed.reveal_bytes(), t0=-steps * STEP):06d}"


def later(seconds: int = 3_600) -> None:
    """Codes and failures of before lie in the past."""
    with unscoped("test"):
        for model in (TotpDevice, RecoveryDevice):
            past = now() - timedelta(seconds=seconds)
            model.objects.exclude(throttling_failure_timestamp=None).update(
                throttling_failure_timestamp=past
            )
        TotpDevice.objects.update(last_t=-1)


def set_up(person: Person) -> tuple[str, ...]:
    """Through all steps, in a session of its own."""
    request = visit()
    enter(person, request)
    services.set_up_seed(request)
    codes = services.set_up_try(request, code=code_of(person, confirmed=False), visitor=VISITOR)
    services.set_up_finish(request, code=codes[3], visitor=VISITOR, device="")
    later()
    return codes


def events() -> list[tuple[str, str, str]]:
    with unscoped("test"):
        return list(AccessEvent.objects.order_by("id").values_list("event", "outcome", "factor"))


def test_a_seed_is_sealed_and_the_same_until_it_is_confirmed(customer_owner: Person) -> None:
    seed = engine().seed(customer_owner.user.id, customer_owner.email)
    assert engine().seed(customer_owner.user.id, customer_owner.email) == seed
    plain = base64.b32decode(seed.text.replace(" ", ""))
    assert len(plain) == 20
    assert seed.uri.startswith("otpauth://totp/QCloud:carla%40acme.example?secret=")
    with unscoped("test"), connection.cursor() as cursor:
        cursor.execute("SELECT seed FROM identity_totpdevice")
        stored = bytes(cursor.fetchone()[0])
    assert plain not in stored
    assert len(stored) > len(plain)


def test_a_set_up_goes_step_by_step_and_the_session_changes_its_key(
    customer_owner: Person,
) -> None:
    request = visit()
    enter(customer_owner, request)
    before = request.session.session_key
    services.set_up_seed(request)
    with pytest.raises(CodeRefused):
        services.set_up_try(request, code="000000", visitor=VISITOR)
    later()
    code = code_of(customer_owner, confirmed=False)
    codes = services.set_up_try(request, code=f"{code[:3]} {code[3:]}", visitor=VISITOR)
    assert len(set(codes)) == 10
    assert not engine().state(customer_owner.user.id).is_complete
    with pytest.raises(CodeRefused):
        services.set_up_finish(request, code="AAAA", visitor=VISITOR, device="")
    services.set_up_finish(request, code=codes[0].lower(), visitor=VISITOR, device="")
    state = engine().state(customer_owner.user.id)
    assert (state.is_complete, state.codes_left) == (True, 10)
    assert request.session.session_key != before
    assert person_of(request) == customer_owner.user


def test_a_code_counts_once_and_within_one_step(customer_owner: Person) -> None:
    set_up(customer_owner)
    user = customer_owner.user.id
    # Far from the edge of a step: the code of the step at hand must not change on the way.
    time.sleep(max(0.0, 3 - (STEP - time.time() % STEP)))
    for steps, taken in ((-2, ""), (2, ""), (-1, "totp"), (0, "totp"), (0, ""), (-1, ""), (1, "")):
        code = code_of(customer_owner, confirmed=True, steps=steps)
        with unscoped("test"):
            TotpDevice.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
        if (steps, taken) == (1, ""):
            assert engine().verify(user, code) == "totp"
            continue
        assert engine().verify(user, code) == taken, steps


def test_after_a_wrong_code_a_right_one_comes_too_soon(customer_owner: Person) -> None:
    set_up(customer_owner)
    user = customer_owner.user.id
    code = code_of(customer_owner, confirmed=True)
    assert engine().verify(user, "000000" if code != "000000" else "111111") == ""
    assert engine().verify(user, code) == ""
    with unscoped("test"):
        assert TotpDevice.objects.get().throttling_failure_count == 1
    later(2)
    assert engine().verify(user, code) == "totp"


@pytest.mark.parametrize(
    "code", ["", "\0", "١٢٣٤٥٦", "12345", "1234567", "½½½½½½", "9" * 5_000, "-12345", "1e5   "]
)
def test_what_is_no_code_is_refused(customer_owner: Person, code: str) -> None:
    set_up(customer_owner)
    assert engine().verify(customer_owner.user.id, code) == ""


def test_a_recovery_code_is_stored_as_a_hash_and_works_once(customer_owner: Person) -> None:
    codes = set_up(customer_owner)
    with unscoped("test"):
        stored = str(RecoveryDevice.objects.get().hashes)
    assert not any(code in stored or code.replace(" ", "") in stored for code in codes)
    user = customer_owner.user.id
    assert engine().verify(user, codes[0].replace(" ", "-").lower()) == "recovery"
    assert engine().state(user).codes_left == 9
    assert engine().verify(user, codes[0]) == ""
    later()
    renewed = engine().codes_make(user)
    assert engine().verify(user, codes[1]) == ""
    later()
    assert engine().verify(user, renewed[1]) == "recovery"


def test_with_a_factor_the_password_alone_opens_nothing(customer_owner: Person) -> None:
    set_up(customer_owner)
    request = visit()
    entered = enter(customer_owner, request)
    assert (entered.stage, entered.device) == (Stage.FACTOR, "")
    assert not person_of(request).is_authenticated
    waiting = request.session.session_key
    with pytest.raises(CodeRefused) as wrong:
        services.second_factor(request, code="000000", visitor=VISITOR, device="")
    code = code_of(customer_owner, confirmed=True)
    with pytest.raises(CodeRefused) as hasty:
        services.second_factor(request, code=code, visitor=VISITOR, device="")
    assert str(wrong.value) == str(hasty.value)
    later()
    entered = services.second_factor(request, code=code, visitor=VISITOR, device="")
    assert entered.stage == Stage.FULL
    assert person_of(request) == customer_owner.user
    assert request.session.session_key != waiting
    assert not SessionStore().exists(waiting or "")
    assert events()[-5:] == [
        ("password", "allowed", "password"),
        ("second_factor", "denied", ""),
        ("second_factor", "denied", ""),
        ("second_factor", "allowed", "totp"),
        ("sign_in", "allowed", "totp"),
    ]
    other = visit()
    enter(customer_owner, other)
    with pytest.raises(CodeRefused):
        services.second_factor(other, code=code, visitor=VISITOR, device="")


def test_five_wrong_codes_ask_for_the_password_again(customer_owner: Person) -> None:
    set_up(customer_owner)
    request = visit()
    enter(customer_owner, request)
    for _ in range(4):
        with pytest.raises(CodeRefused):
            services.second_factor(request, code="000000", visitor=VISITOR, device="")
    with pytest.raises(SignInRefused):
        services.second_factor(request, code="000000", visitor=VISITOR, device="")
    with unscoped("test"):
        assert not Session.objects.filter(stage=Stage.FACTOR).exists()
    assert events()[-1][:2] == ("session_end", "allowed")


def test_the_provider_sets_up_first_and_goes_on_where_it_stopped(cloud_admin: Person) -> None:
    request = visit()
    assert enter(cloud_admin, request, "admin").stage == Stage.ENROL
    assert not person_of(request).is_authenticated
    seed = services.set_up_seed(request)
    again = visit()
    assert enter(cloud_admin, again, "admin").stage == Stage.ENROL
    assert services.set_up_seed(again) == seed
    code = code_of(cloud_admin, confirmed=False)
    services.set_up_try(again, code=code, visitor=VISITOR)
    later()
    third = visit()
    assert enter(cloud_admin, third, "admin").stage == Stage.FACTOR
    code = code_of(cloud_admin, confirmed=True)
    assert services.second_factor(third, code=code, visitor=VISITOR, device="").stage == Stage.ENROL
    codes = services.set_up_codes(third, visitor=VISITOR)
    entered = services.set_up_finish(third, code=codes[0], visitor=VISITOR, device="")
    assert entered.stage == Stage.FULL
    assert person_of(third) == cloud_admin.user


def test_a_step_up_takes_a_code_where_there_is_one_else_the_password(
    customer_owner: Person,
) -> None:
    request = visit()
    enter(customer_owner, request)
    request.session.change(proved_at=now() - timedelta(hours=1))  # type: ignore[attr-defined]
    with pytest.raises(StepUpNeeded):
        services.set_up_seed(request)
    with pytest.raises(StepUpRefused):
        services.step_up(request, proof="wrong", visitor=VISITOR)
    services.step_up(request, proof=PASSWORD, visitor=VISITOR)
    services.set_up_seed(request)
    set_up(customer_owner)
    request = visit()
    enter(customer_owner, request)
    code = code_of(customer_owner, confirmed=True)
    services.second_factor(request, code=code, visitor=VISITOR, device="")
    with pytest.raises(StepUpRefused):
        services.step_up(request, proof=PASSWORD, visitor=VISITOR)
    later()
    services.step_up(request, proof=code_of(customer_owner, confirmed=True), visitor=VISITOR)
    assert events()[-1] == ("step_up", "allowed", "totp")


def due_now(row: Session) -> bool:
    due = services.factor_demand(row).due
    return due is not None and due <= now()


def test_a_rule_holds_in_open_sessions_from_the_next_request_on(customer_owner: Person) -> None:
    request = visit()
    enter(customer_owner, request)
    row = SessionStore(request.session.session_key, "c").row
    assert row is not None
    assert services.factor_demand(row).due is None
    with unscoped("test"):
        rule = MfaRule.objects.create(subject="role", value="owner", required=True, made_by="ada")
    assert due_now(row)
    with unscoped("test"):
        MfaRule.objects.filter(id=rule.id).update(grace_days=3)
    assert not due_now(row)


def test_who_lost_everything_begins_anew_once_the_provider_reset_it(
    cloud_admin: Person, customer_owner: Person
) -> None:
    set_up(customer_owner)
    services.mfa_factors_reset(
        actor=replace(cloud_admin.actor, proved_at=now()),
        email=customer_owner.email,
        reason="telephone lost, seen in person",
    )
    with unscoped("test"):
        assert not Session.objects.filter(user=customer_owner.user).exists()
    assert enter(customer_owner, visit()).stage == Stage.FULL
