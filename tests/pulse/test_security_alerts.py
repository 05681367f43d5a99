"""Rules on who comes in, on what is used, and on agents, from the real thing to the mail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.test import override_settings

from fleet.models import Agent
from fleet.selectors import agent_by_token, registration_by_token
from fleet.services import (
    agent_heartbeat,
    agent_register,
    environment_create,
    registration_token_create,
)
from identity import guards
from identity.errors import SignInRefused
from identity.quotas import Quota
from identity.services import mfa_exempt, quotas_set
from notify.portal import portal_address
from notify.services import channel_create
from pulse.alerts import services
from pulse.alerts.evaluating import evaluate
from pulse.alerts.preview import preview
from pulse.alerts.rules import Draft, Spec
from pulse.alerts.selectors import RuleInfo, rule
from pulse.alerts.telling import alert_address
from pulse.inventory.looking import look
from pulse.inventory.selectors import known
from pulse.inventory.services import Verdict, vendor_review
from pulse.models import UsageHour
from pulse.store.client import Store
from pulse.tables.alerts import AlertRule
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Denied, Invalid
from qcloud.kernel.permissions import Permission
from qcloud.kernel.scope import scoped, unscoped
from tests.factories.cast import Person
from tests.identity.test_access_log import enter, fail, fresh
from tests.pulse.rows import put
from tests.pulse.test_alerts import told
from wire.protocol import HeartbeatRequest, RegisterRequest

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _no_counts_from_before() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def watch(person: Person, measure: str, threshold: float = 0, **spec: Any) -> RuleInfo:
    """A rule that has watched for a minute, with a mail channel."""
    actor = person.actor
    channel, _ = channel_create(
        actor=actor, kind="mail", name=f"{measure} mail", addresses=["first@acme.example"]
    )
    wanted = Spec(measure, above=True, threshold=threshold, window=spec.pop("window", 5), **spec)
    made = services.rule_create(
        actor=actor, draft=Draft(measure, "critical", wanted, None, (channel.id,))
    )
    with scoped(person.scope):
        AlertRule.objects.filter(id=made.id).update(evaluated_at=_minute() - MINUTE)
    return made


def _minute() -> datetime:
    return now().replace(second=0, microsecond=0)


def judge(person: Person, made: RuleInfo, after: int = 1) -> str:
    """Two minutes later; the phase that the rule is in then."""
    evaluate(person.scope, made.id, _minute() + (after + 1) * MINUTE)
    found = rule(person.scope, made.id)
    assert found is not None
    return found.phase


def test_a_locked_name_is_told_to_its_account_and_to_no_other(
    customer_owner: Person, customer_viewer: Person, other_customer_owner: Person
) -> None:
    mine = watch(customer_owner, "sign_in_locks")
    theirs = watch(other_customer_owner, "sign_in_locks")
    failures = watch(customer_owner, "sign_in_failures", 3)
    assert judge(customer_owner, mine, 0) == "ok"
    fail(customer_viewer.email, guards.lock_after())
    assert judge(customer_owner, mine) == "firing"
    assert judge(customer_owner, failures) == "firing"
    assert judge(other_customer_owner, theirs) == "ok"
    assert told() == [
        ("first", "[Firing] sign_in_locks"), ("first", "[Firing] sign_in_failures"),
    ]  # fmt: skip


def test_who_may_not_read_sign_ins_has_none_measured(
    customer_owner: Person, customer_teammate: Person
) -> None:
    """A count of failed sign-ins is a line of the access log."""
    may = customer_teammate.actor.permissions | {Permission.PULSE_ALERT_WRITE}
    editor = replace(customer_teammate.actor, permissions=may - {Permission.AUDIT_ACCESS_READ})
    for measure in ("sign_in_anomalies", "sign_in_failures", "sign_in_locks", "break_glass"):
        spec = Spec(measure, above=True, threshold=0)
        with pytest.raises(Denied):
            services.rule_create(actor=editor, draft=Draft(measure, "critical", spec, None, ()))
    plain = Spec("requests", above=True, threshold=0)
    made = services.rule_create(actor=editor, draft=Draft("plain", "critical", plain, None, ()))
    odd = Draft("plain", "critical", Spec("sign_in_locks", above=True, threshold=0), None, ())
    with pytest.raises(Denied):
        services.rule_change(actor=editor, rule_id=made.id, draft=odd)
    changed = services.rule_change(actor=customer_owner.actor, rule_id=made.id, draft=odd)
    assert changed.spec.measure == "sign_in_locks"
    # Nor is it changed by them to tell somebody else.
    with pytest.raises(Denied):
        services.rule_change(actor=editor, rule_id=made.id, draft=replace(odd, name="mine"))


def test_a_spray_on_names_that_nobody_bears_is_the_providers(
    cloud_admin: Person, customer_owner: Person
) -> None:
    rules = [
        (person, watch(person, "sign_in_anomalies")) for person in (cloud_admin, customer_owner)
    ]
    for number in range(9):
        with pytest.raises(SignInRefused):
            enter(f"guess{number}@acme.example", "Winter2026!")
    assert [judge(person, made) for person, made in rules] == ["firing", "ok"]
    assert told() == [("first", "[Firing] sign_in_anomalies")]


def test_break_glass_is_told(cloud_admin: Person) -> None:
    made = watch(cloud_admin, "break_glass")
    mfa_exempt(
        actor=fresh(cloud_admin), whom=cloud_admin.email, reason="the test has no telephone",
        ends_at=now() + timedelta(hours=1),
    )  # fmt: skip
    enter(cloud_admin.email, portal="admin")
    assert judge(cloud_admin, made, 0) == "ok"
    with override_settings(PRODUCTION=True, BREAK_GLASS=True, LOCAL_SIGN_IN=("admin",)):
        enter(cloud_admin.email, portal="admin")
    assert judge(cloud_admin, made) == "firing"


@pytest.mark.parametrize("measure", ["requests", "issues", "vendors", "silent_agents"])
def test_the_provider_watches_no_customers_traffic(cloud_admin: Person, measure: str) -> None:
    with pytest.raises(Invalid) as caught:
        watch(cloud_admin, measure)
    assert set(caught.value.data["fields"]) == {"measure"}


def test_what_is_of_the_whole_account_has_no_environment(customer_owner: Person) -> None:
    place = environment_create(actor=customer_owner.actor, name="Production", slug="prod")
    with pytest.raises(Invalid) as caught:
        Draft("x", "info", Spec("sign_in_locks", True, 0), place.id)
    assert set(caught.value.data["fields"]) == {"environment"}


def test_an_agent_that_falls_silent_and_comes_back(customer_owner: Person) -> None:
    place = environment_create(actor=customer_owner.actor, name="Production", slug="prod")
    _, secret = registration_token_create(
        actor=customer_owner.actor, environment_id=place.id, name="rack"
    )
    made = watch(customer_owner, "silent_agents", missing="alert")
    assert judge(customer_owner, made, 0) == "no_data"
    registration = registration_by_token(secret)
    assert registration is not None
    answer = agent_register(
        registration=registration,
        request=RegisterRequest(instance_id=uuid4(), name="node-1", version="0.1.0"),
    )
    identity = agent_by_token(answer.agent_token)
    assert identity is not None
    beat = HeartbeatRequest(boot_id=uuid4(), exchanges=1, probes=[])
    agent_heartbeat(identity=identity, request=beat)
    assert judge(customer_owner, made, 1) == "ok"
    with scoped(customer_owner.scope):
        Agent.objects.update(last_heartbeat_at=now() - 10 * MINUTE)
    assert judge(customer_owner, made, 2) == "firing"
    agent_heartbeat(identity=identity, request=beat)
    assert judge(customer_owner, made, 3) == "ok"
    assert told() == [
        ("first", "[Firing, no data] silent_agents"), ("first", "[Recovered] silent_agents"),
        ("first", "[Firing] silent_agents"), ("first", "[Recovered] silent_agents"),
    ]  # fmt: skip


def test_a_third_party_that_is_not_approved_is_told_while_it_is_called(
    store: Store, customer_owner: Person
) -> None:
    place = environment_create(actor=customer_owner.actor, name="Production", slug="prod")
    put(store, customer_owner.account.id, place.id, now() - 2 * MINUTE, vendor="Stripe")
    look(customer_owner.scope, now(), store=store)
    made = watch(customer_owner, "vendors_refused")
    assert judge(customer_owner, made, 0) == "ok"
    stripe = known(customer_owner.scope)["Stripe"]
    vendor_review(actor=customer_owner.actor, vendor_id=stripe.id, verdict=Verdict("refused"))
    assert judge(customer_owner, made, 1) == "firing"
    assert judge(customer_owner, made, 6) == "ok"


Used = Callable[[datetime, int], None]


@pytest.fixture
def used(customer_owner: Person) -> Used:
    def note(hour: datetime, requests: int) -> None:
        with unscoped("test"):
            UsageHour.objects.create(
                account_id=customer_owner.account.id, account_path=customer_owner.scope.path,
                environment_id=uuid4(), hour=hour, requests=requests, requests_ingress=0,
                requests_egress_internal=0, requests_egress_external=requests, bytes_sent=0,
                bytes_received=0, counted_at=hour,
            )  # fmt: skip

    return note


def test_usage_of_a_day_and_of_its_quota(
    customer_owner: Person, reseller_owner: Person, used: Used
) -> None:
    midnight = _minute().replace(hour=0, minute=0)
    for back, requests in ((25, 900), (24, 50), (1, 30), (0, 40)):
        used(midnight - timedelta(days=1) + timedelta(hours=24 - back), requests)
    day = Spec("usage_day", above=True, threshold=60, window=1)
    found = preview(customer_owner.scope, day, None, midnight + timedelta(hours=1))
    values = dict(found.points)
    assert max(value or 0 for value in values.values()) == 900
    assert found.firings[-1].until == midnight
    quota = Spec("quota_events", above=True, threshold=80, window=1)
    moment = midnight + timedelta(hours=2)
    assert preview(customer_owner.scope, quota, None, moment).minutes_without_data == 10_081
    quotas_set(
        actor=reseller_owner.actor, account_id=customer_owner.account.id,
        quotas={Quota.EVENTS: 1_000},
    )  # fmt: skip
    (fired,) = preview(customer_owner.scope, quota, None, moment).firings
    assert fired.worst == 90.0


def test_the_mail_of_an_alert_leads_to_the_portal_of_its_tier(
    cloud_admin: Person, reseller_owner: Person, customer_owner: Person
) -> None:
    for person, way in (
        (cloud_admin, "/admin"),
        (reseller_owner, f"/r/{reseller_owner.slug}"),
        (customer_owner, f"/c/{customer_owner.slug}"),
    ):
        with scoped(person.scope):
            page = alert_address(person.account.id, "incidents/1")
        assert page == f"{portal_address()}{way}/alerts/incidents/1"
