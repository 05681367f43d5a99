"""Rules on real traffic: evaluated, told, silenced, recovered, and previewed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from audit.selectors import EntryFilter, entries
from fleet.services import environment_create
from notify.models import Delivery
from notify.services import channel_create
from pulse.alerts import services
from pulse.alerts.evaluating import CATCH_UP, evaluate
from pulse.alerts.preview import preview
from pulse.alerts.rules import Draft, Spec
from pulse.alerts.selectors import (
    IncidentFilter,
    IncidentInfo,
    RuleInfo,
    incident,
    incidents,
    rule,
    rules,
    silences,
)
from pulse.inventory.looking import look
from pulse.issues.detectors import Finding
from pulse.issues.observing import Window, observe
from pulse.store.client import Store, StoreSettings
from pulse.store.endpoints import Endpoint
from pulse.tables.alerts import AlertRule, Silence
from pulse.tables.issues import IssueActivity, IssueKind
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound
from qcloud.kernel.scope import scoped, unscoped
from tests.factories.cast import Person
from tests.pulse.conftest import free_port
from tests.pulse.rows import put

MINUTE, HOUR, SECOND = timedelta(minutes=1), timedelta(hours=1), timedelta(seconds=1)
ERRORS: dict[str, Any] = {"measure": "error_rate", "above": True, "threshold": 10.0, "window": 5}

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def start() -> datetime:
    return now().replace(second=0, microsecond=0) - 3 * HOUR


@pytest.fixture
def prod(customer_owner: Person) -> UUID:
    return environment_create(actor=customer_owner.actor, name="Production", slug="prod").id


Make = Callable[..., RuleInfo]


@pytest.fixture
def make(customer_owner: Person, start: datetime) -> Make:
    """A rule that was evaluated up to ``start``, with a mail channel of its own."""

    def rule_of(name: str = "errors", severity: str = "critical", **spec: Any) -> RuleInfo:
        actor = customer_owner.actor
        ids = [
            channel_create(
                actor=actor, kind="mail", name=f"{name} {who}",
                addresses=[f"{who}@acme.example"],
            )[0].id
            for who in ("first", "second")
        ]  # fmt: skip
        made = services.rule_create(
            actor=actor,
            draft=Draft(name, severity, Spec(**(ERRORS | spec)), None, (ids[0],), (ids[1],)),
        )
        with scoped(customer_owner.scope):
            AlertRule.objects.filter(id=made.id).update(evaluated_at=start)
        return made

    return rule_of


def told() -> list[tuple[str, str]]:
    """Every delivery in order: to whom, and what."""
    with unscoped("test"):
        rows = Delivery.objects.filter(what="alert").order_by("id").values_list("to", "subject")
        return [(to.partition("@")[0], subject) for to, subject in rows]


def known(person: Person) -> list[IncidentInfo]:
    return incidents(person.scope, IncidentFilter(), descending=False)[0]


def walk(person: Person, made: RuleInfo, start: datetime, minutes: int, store: Store) -> None:
    """The beat, once a minute."""
    for i in range(1, minutes + 1):
        evaluate(person.scope, made.id, start + i * MINUTE + 61 * SECOND, store=store)


def broken(store: Store, person: Person, prod: UUID, start: datetime) -> None:
    """Good for ten minutes, then ten minutes of errors, then good for twenty."""
    put(store, person.account.id, prod, start, 240, every=10 * SECOND,
        status=lambda i: 500 if 60 <= i < 120 else 200)  # fmt: skip


def test_an_alert_and_its_recovery_are_one_incident(
    store: Store, customer_owner: Person, prod: UUID, start: datetime, make: Make
) -> None:
    made = make(for_minutes=2)
    broken(store, customer_owner, prod, start)
    walk(customer_owner, made, start, 30, store)
    (found,) = known(customer_owner)
    # 6 of 30 requests of a window are 20 %: above 10 from minute 11 on, to minute 24.
    assert (found.started_at - start, found.fired_at - start) == (11 * MINUTE, 13 * MINUTE)
    assert found.recovered_at == start + 25 * MINUTE
    assert (found.first_value, found.worst_value, found.told) == (60.0, 100.0, 1)
    assert told() == [("first", "[Firing] errors"), ("first", "[Recovered] errors")]
    state = rule(customer_owner.scope, made.id)
    assert state is not None
    assert (state.phase, state.value) == ("ok", 0.0)


def test_evaluated_by_four_at_once_it_is_told_once(
    store: Store, customer_owner: Person, prod: UUID, start: datetime, make: Make
) -> None:
    made = make()
    broken(store, customer_owner, prod, start)
    barrier, judged = threading.Barrier(4), []

    def work() -> None:
        barrier.wait()
        moment = start + 20 * MINUTE + 61 * SECOND
        judged.append(evaluate(customer_owner.scope, made.id, moment, store=store))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(judged) == [0, 0, 0, 20]
    assert told() == [("first", "[Firing] errors")]
    assert len(known(customer_owner)) == 1


def test_missed_runs_are_made_up_for_without_a_burst(
    store: Store, customer_owner: Person, prod: UUID, start: datetime, make: Make
) -> None:
    """What is over is on record and told to nobody; the record is that of punctual runs."""
    punctual, missed = make("punctual"), make("missed")
    broken(store, customer_owner, prod, start)
    put(store, customer_owner.account.id, prod, start + HOUR, 60, every=10 * SECOND, status=500)
    walk(customer_owner, punctual, start, 100, store)
    evaluate(customer_owner.scope, missed.id, start + 100 * MINUTE + 61 * SECOND, store=store)
    by_rule = {
        made.name: [
            (i.started_at, i.fired_at, i.recovered_at, i.first_value, i.worst_value)
            for i in known(customer_owner)
            if i.rule_id == made.id
        ]
        for made in (punctual, missed)
    }
    assert by_rule["missed"] == by_rule["punctual"]
    assert len(by_rule["missed"]) == 2
    assert [subject for _to, subject in told()] == [
        "[Firing] punctual", "[Recovered] punctual", "[Firing] punctual", "[Recovered] punctual",
    ]  # fmt: skip


def test_what_still_fires_after_a_pause_is_told_once(
    store: Store, customer_owner: Person, prod: UUID, start: datetime, make: Make
) -> None:
    made = make(repeat=5)
    put(store, customer_owner.account.id, prod, start, 1_000, every=10 * SECOND, status=500)
    evaluate(customer_owner.scope, made.id, start + 2 * HOUR + 61 * SECOND, store=store)
    assert told() == [("first", "[Firing] errors")]
    evaluate(customer_owner.scope, made.id, start + 2 * HOUR + 6 * MINUTE + SECOND, store=store)
    assert told()[1:] == [("first", "[Still firing] errors")]


def test_a_day_is_made_up_for_and_no_more(
    store: Store, customer_owner: Person, start: datetime, make: Make
) -> None:
    made = make()
    with scoped(customer_owner.scope):
        AlertRule.objects.filter(id=made.id).update(evaluated_at=start - timedelta(days=30))
    judged = evaluate(customer_owner.scope, made.id, start + 61 * SECOND, store=store)
    assert judged == CATCH_UP / MINUTE + 1
    assert known(customer_owner) == []


def test_repeats_and_escalation_end_with_an_acknowledgement(
    store: Store, customer_owner: Person, customer_teammate: Person, prod: UUID, start: datetime,
    make: Make,
) -> None:  # fmt: skip
    made = make(repeat=5, escalate=7)
    put(store, customer_owner.account.id, prod, start, 360, every=10 * SECOND, status=500)
    walk(customer_owner, made, start, 13, store)
    assert told() == [
        ("first", "[Firing] errors"), ("first", "[Still firing] errors"),
        ("second", "[Escalated] errors"), ("first", "[Still firing] errors"),
    ]  # fmt: skip
    (found,) = known(customer_owner)
    services.incident_acknowledge(actor=customer_teammate.actor, incident_id=found.id)
    with pytest.raises(Conflict):
        services.incident_acknowledge(actor=customer_owner.actor, incident_id=found.id)
    walk(customer_owner, made, start + 13 * MINUTE, 60, store)
    assert told()[4:] == [("first", "[Recovered] errors"), ("second", "[Recovered] errors")]
    again = incident(customer_owner.scope, found.id)
    assert again is not None
    assert (again.acknowledged_by, again.escalated) == (customer_teammate.email, True)


def test_a_silence_is_noted_and_what_outlasts_it_is_told(
    store: Store, customer_owner: Person, prod: UUID, start: datetime, make: Make
) -> None:
    made, other = make(), make("other", severity="info")
    put(store, customer_owner.account.id, prod, start, 360, every=10 * SECOND, status=500)
    services.silence_create(
        actor=customer_owner.actor, reason="deploy", severity="critical",
        starts_at=start, ends_at=now() + HOUR,
    )  # fmt: skip
    for one in (made, other):
        walk(customer_owner, one, start, 10, store)
    assert told() == [("first", "[Firing] other")]
    assert {i.rule_name: i.silenced for i in known(customer_owner)} == {
        "errors": True, "other": False,
    }  # fmt: skip
    with scoped(customer_owner.scope):
        Silence.objects.update(ends_at=start + 10 * MINUTE)
    walk(customer_owner, made, start + 10 * MINUTE, 2, store)
    assert told()[1:] == [("first", "[Firing] errors")]


@pytest.mark.parametrize(
    ("missing", "phase", "count"),
    [("ignore", "ok", 0), ("keep", "firing", 1), ("alert", "no_data", 1)],
)
def test_no_data_is_a_state_of_its_own(
    store: Store, customer_owner: Person, prod: UUID, start: datetime, make: Make, missing: str,
    phase: str, count: int,
) -> None:  # fmt: skip
    made = make(missing=missing, window=1)
    put(store, customer_owner.account.id, prod, start, 12, every=10 * SECOND, status=500)
    walk(customer_owner, made, start, 10, store)
    found = rule(customer_owner.scope, made.id)
    assert found is not None
    assert (found.phase, found.value) == (phase, None)
    assert sum(i.recovered_at is None for i in known(customer_owner)) == count


def test_too_little_traffic_is_seen_without_any(
    store: Store, customer_owner: Person, start: datetime, make: Make
) -> None:
    made = make(measure="requests", above=False, threshold=1.0, for_minutes=3)
    walk(customer_owner, made, start, 5, store)
    assert told() == [("first", "[Firing] errors")]


def test_filters_narrow_and_other_accounts_do_not_count(
    store: Store, customer_owner: Person, other_customer_owner: Person, prod: UUID,
    start: datetime, make: Make,
) -> None:  # fmt: skip
    made = make(filters={"host": "api.example.com", "path_prefix": "/pay", "method": "POST"})
    mine, theirs = customer_owner.account.id, other_customer_owner.account.id
    wide: dict[str, Any] = {"every": 10 * SECOND, "status": 500}
    put(store, mine, prod, start, 60, method="GET", **wide)
    put(store, mine, prod, start, 60, method="POST", path="/refund", **wide)
    put(store, mine, prod, start, 60, method="POST", host="other.example.com", **wide)
    put(store, theirs, prod, start, 60, method="POST", **wide)
    walk(customer_owner, made, start, 10, store)
    assert known(customer_owner) == []
    put(store, mine, prod, start + 10 * MINUTE, 6, method="POST", **wide)
    walk(customer_owner, made, start + 10 * MINUTE, 3, store)
    assert len(known(customer_owner)) == 1


@pytest.mark.parametrize(
    ("measure", "threshold", "fires"),
    [("p95", 89.0, True), ("p95", 101.0, False), ("p99", 89.0, True), ("throughput", 1.7, True),
     ("throughput", 1.9, False), ("requests", 5.9, True), ("requests", 6.1, False)],
)  # fmt: skip
def test_every_measure_of_traffic(
    store: Store, customer_owner: Person, prod: UUID, start: datetime, make: Make, measure: str,
    threshold: float, fires: bool,  # noqa: FBT001  a parameter of the test
) -> None:  # fmt: skip
    """Six requests a minute of 300 bytes and 90 ms."""
    made = make(measure=measure, threshold=threshold, window=2)
    put(store, customer_owner.account.id, prod, start, 60, every=10 * SECOND, duration_us=90_000)
    walk(customer_owner, made, start, 6, store)
    assert [i.rule_name for i in known(customer_owner)] == (["errors"] if fires else [])


def test_issues_and_new_third_parties(
    store: Store, customer_owner: Person, prod: UUID, start: datetime, make: Make
) -> None:
    count: dict[str, Any] = {"above": True, "threshold": 0.0, "window": 5}
    issues_, vendors = (
        make("issues", measure="issues", **count),
        make("new", measure="vendors", **count),
    )
    with scoped(customer_owner.scope):
        finding = Finding(Endpoint(prod, "h", "/p"), IssueKind.ERRORS, "broken")
        observe(customer_owner.scope, [finding], Window(start, start + 2 * MINUTE))
        IssueActivity.objects.update(at=start + 2 * MINUTE)
    mine = customer_owner.account.id
    put(store, mine, prod, start - timedelta(days=3), 1, vendor="Stripe")
    put(store, mine, prod, start + MINUTE, 1, vendor="Stripe")
    look(customer_owner.scope, start + 2 * MINUTE, store=store)
    put(store, mine, prod, start + 3 * MINUTE - SECOND, 1, vendor="OpenAI")
    for minute in (3, 4, 5):
        look(customer_owner.scope, start + minute * MINUTE, store=store)
    for made in (issues_, vendors):
        walk(customer_owner, made, start, 12, store)
    spans = {i.rule_name: (i.fired_at - start, i.recovered_at) for i in known(customer_owner)}
    assert spans == {
        "issues": (3 * MINUTE, start + 8 * MINUTE), "new": (4 * MINUTE, start + 9 * MINUTE),
    }  # fmt: skip


def test_a_preview_says_what_the_evaluation_did(
    store: Store, customer_owner: Person, prod: UUID, start: datetime, make: Make
) -> None:
    made = make(for_minutes=2)
    broken(store, customer_owner, prod, start)
    put(store, customer_owner.account.id, prod, start + HOUR, 60, every=10 * SECOND, status=500)
    walk(customer_owner, made, start, 100, store)
    with scoped(customer_owner.scope):
        shown = preview(customer_owner.scope, made.spec, None, start + 100 * MINUTE, store=store)
    assert [(f.since, f.fired_at, f.until, f.worst) for f in shown.firings] == [
        (i.started_at, i.fired_at, i.recovered_at, i.worst_value) for i in known(customer_owner)
    ]
    assert shown.sentence == "Would have fired 2 times in the last 7 days."
    assert len(shown.points) <= 400
    assert max(v for _at, v in shown.points if v is not None) == 100.0


def test_a_store_that_is_away_is_waited_for(
    store: Store, customer_owner: Person, prod: UUID, start: datetime, make: Make
) -> None:
    made = make()
    broken(store, customer_owner, prod, start)
    nowhere = Store(StoreSettings(password="x", port=free_port()))
    moment = start + 20 * MINUTE + 61 * SECOND
    assert evaluate(customer_owner.scope, made.id, moment, store=nowhere) == 0
    found = rule(customer_owner.scope, made.id)
    assert found is not None
    assert "does not answer" in found.trouble
    assert evaluate(customer_owner.scope, made.id, moment, store=store) == 20
    assert told() == [("first", "[Firing] errors")]


class TestServices:
    def test_a_changed_rule_ends_its_incident_and_begins_afresh(
        self, store: Store, customer_owner: Person, prod: UUID, start: datetime, make: Make
    ) -> None:
        made = make()
        put(store, customer_owner.account.id, prod, start, 60, every=10 * SECOND, status=500)
        walk(customer_owner, made, start, 5, store)
        draft = Draft("renamed", "info", Spec("p95", above=True, threshold=1), prod)
        services.rule_change(actor=customer_owner.actor, rule_id=made.id, draft=draft)
        (found,) = known(customer_owner)
        assert (found.state, found.closed_reason) == ("closed", "The rule was changed.")
        (after,) = rules(customer_owner.scope)
        assert (after.name, after.phase, after.environment_id) == ("renamed", "ok", prod)

    def test_what_a_draft_may_not_name(
        self, customer_owner: Person, other_customer_owner: Person, prod: UUID, make: Make
    ) -> None:
        taken = make()
        spec = Spec(**ERRORS)
        theirs, _ = channel_create(
            actor=other_customer_owner.actor, kind="mail", name="m", addresses=["a@b.example"]
        )
        for draft, name in (
            (Draft("", "info", spec), "name"),
            (Draft("a\nb", "info", spec), "name"),
            (Draft("a", "dire", spec), "severity"),
            (Draft("a", "info", spec, UUID(int=9)), "environment"),
            (Draft("a", "info", spec, prod, (theirs.id,)), "channels"),
            (Draft("a", "info", Spec("p95", True, 1.0, escalate=5)), "escalation_channels"),
        ):
            with pytest.raises(Invalid) as refused:
                services.rule_create(actor=customer_owner.actor, draft=draft)
            assert list(refused.value.data["fields"]) == [name]
        with pytest.raises(Conflict):
            services.rule_create(actor=customer_owner.actor, draft=Draft(taken.name, "info", spec))

    def test_a_channel_in_use_stays(self, customer_owner: Person, make: Make) -> None:
        made = make()
        with pytest.raises(Conflict, match="errors"):
            services.alert_channel_remove(actor=customer_owner.actor, channel_id=made.channels[0])
        services.rule_remove(actor=customer_owner.actor, rule_id=made.id)
        services.alert_channel_remove(actor=customer_owner.actor, channel_id=made.channels[0])

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"reason": " "}, "reason"), ({"ends_at": -HOUR}, "ends_at"),
            ({"ends_at": timedelta(days=91)}, "ends_at"), ({"severity": "dire"}, "severity"),
            ({"rule_id": UUID(int=1)}, "rule"), ({"environment_id": UUID(int=1)}, "environment"),
        ],
    )  # fmt: skip
    def test_silences_that_make_no_sense(
        self, customer_owner: Person, changes: dict[str, Any], field: str
    ) -> None:
        values: dict[str, Any] = {"reason": "why", "ends_at": HOUR} | changes
        values["ends_at"] += now()
        with pytest.raises(Invalid) as refused:
            services.silence_create(actor=customer_owner.actor, starts_at=now(), **values)
        assert list(refused.value.data["fields"]) == [field]

    def test_rights_and_walls(
        self, customer_owner: Person, customer_viewer: Person, other_customer_owner: Person,
        make: Make,
    ) -> None:  # fmt: skip
        made = make()
        draft = Draft("x", "info", made.spec)
        quiet = services.silence_create(
            actor=customer_owner.actor, reason="why", starts_at=now(), ends_at=now() + HOUR
        )
        calls: list[Callable[..., Any]] = [
            lambda actor: services.rule_change(actor=actor, rule_id=made.id, draft=draft),
            lambda actor: services.rule_switch(actor=actor, rule_id=made.id, enabled=False),
            lambda actor: services.rule_remove(actor=actor, rule_id=made.id),
            lambda actor: services.silence_end(actor=actor, silence_id=quiet.id),
        ]
        for call in calls:
            with pytest.raises(Denied):
                call(customer_viewer.actor)
            with pytest.raises(NotFound):
                call(other_customer_owner.actor)
        assert rule(other_customer_owner.scope, made.id) is None
        assert silences(other_customer_owner.scope) == []
        services.silence_end(actor=customer_owner.actor, silence_id=quiet.id)
        assert [s.state for s in silences(customer_viewer.scope)] == ["over"]
        services.rule_switch(actor=customer_owner.actor, rule_id=made.id, enabled=False)
        actions = [e.action for e in entries(customer_owner.scope, EntryFilter()).entries][:4]
        assert actions == [
            "pulse.alert.disable", "pulse.alert.silence_end", "pulse.alert.silence",
            "pulse.alert.create",
        ]  # fmt: skip
