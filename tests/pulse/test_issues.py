"""Issues: found in traffic, grouped, resolved, come back, and never without bound."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.core.cache import cache

from audit.selectors import EntryFilter, entries
from pulse.issues import observing, services
from pulse.issues.detectors import Finding, Sums, findings
from pulse.issues.observing import Window, observe
from pulse.issues.scan import scan
from pulse.issues.selectors import IssueFilter, IssueInfo, activity, issue, issues, trends
from pulse.store.client import Store
from pulse.store.endpoints import Endpoint, EndpointSums
from pulse.tables.issues import Issue, IssueKind
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound
from qcloud.kernel.scope import scoped
from tests.factories.cast import Person
from tests.pulse.rows import put

PROD = UUID(int=10)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PAY = Endpoint(PROD, "api.example.com", "/pay")
WHOLE = Endpoint(PROD, "api.example.com", "")
MS = 1_000

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def at() -> datetime:
    """A moment whose window ends ten minutes and a half before a full hour."""
    return now().replace(minute=49, second=45, microsecond=0) - HOUR


def listed(person: Person) -> list[IssueInfo]:
    return issues(person.scope, IssueFilter())[0]


class TestDetectors:
    """Exactly at the thresholds, without a store."""

    @pytest.mark.parametrize(
        ("now_sums", "before", "kinds"),
        [
            ((100, 5, MS), [(1000, 0, MS)], ["errors"]),
            ((100, 4, MS), [(1000, 0, MS)], []),
            ((101, 5, MS), [(1000, 0, MS)], []),
            ((19, 19, MS), [(1000, 0, MS)], []),
            ((100, 30, MS), [(1000, 100, MS)], ["errors"]),
            ((100, 29, MS), [(1000, 100, MS)], []),
            ((100, 30, MS), [(1000, 0, MS), (100, 11, MS)], []),
            ((100, 30, MS), [(1000, 0, MS), (19, 19, MS)], ["errors"]),
            ((100, 5, MS), [], ["errors"]),
            ((100, 0, 200 * MS), [(100, 0, 100 * MS)], ["latency"]),
            ((100, 0, 199 * MS), [(100, 0, 100 * MS)], []),
            ((100, 0, 199 * MS), [(100, 0, 99 * MS)], ["latency"]),
            ((100, 0, 90 * MS), [(100, 0, 10 * MS)], []),
            ((100, 0, 900 * MS), [], []),
            ((100, 50, 900 * MS), [(100, 0, 10 * MS)], ["errors", "latency"]),
        ],
    )
    def test_thresholds(
        self,
        now_sums: tuple[int, int, float],
        before: list[tuple[int, int, float]],
        kinds: list[str],
    ) -> None:
        baselines: list[Sums] = [{PAY: EndpointSums(*sums)} for sums in before]
        found = findings({PAY: EndpointSums(*now_sums)}, baselines)
        assert [f.kind.value for f in found] == kinds

    def test_a_host_is_named_only_when_none_of_its_endpoints_is(self) -> None:
        bad, fine = EndpointSums(100, 50, MS), EndpointSums(100, 0, MS)
        assert [f.endpoint for f in findings({PAY: bad, WHOLE: bad}, [])] == [PAY]
        assert [f.endpoint for f in findings({PAY: fine, WHOLE: bad}, [])] == [WHOLE]

    def test_a_fingerprint_is_of_place_and_kind(self) -> None:
        one = Finding(PAY, IssueKind.ERRORS, "10 of 20")
        assert one.fingerprint == Finding(PAY, IssueKind.ERRORS, "other words").fingerprint
        others = {
            Finding(PAY, IssueKind.LATENCY, "").fingerprint,
            Finding(WHOLE, IssueKind.ERRORS, "").fingerprint,
            Finding(Endpoint(UUID(int=11), PAY.host, PAY.route), IssueKind.ERRORS, "").fingerprint,
            Finding(Endpoint(PROD, "api.example.com/", "pay"), IssueKind.ERRORS, "").fingerprint,
        }
        assert len(others | {one.fingerprint}) == 5


def test_errors_are_found_counted_and_linked(
    store: Store, customer_owner: Person, other_customer_owner: Person, at: datetime
) -> None:
    mine, theirs = customer_owner.account.id, other_customer_owner.account.id
    put(store, mine, PROD, at - HOUR, 40)
    put(store, mine, PROD, at - 5 * MINUTE, 40, status=lambda i: 503 if i < 30 else 200)
    put(store, theirs, PROD, at - 5 * MINUTE, 40, path="/theirs", status=503)
    assert scan(customer_owner.scope, at, store=store) == 1
    (found,) = listed(customer_owner)
    assert (found.kind, found.host, found.route) == ("errors", "api.example.com", "/pay")
    assert found.cause == "30 of 40 requests failed (75%), usually 0.0%."
    assert found.count == 30
    assert found.first_seen == at.replace(minute=39, second=0)
    assert [a.what for a in activity(customer_owner.scope, found.id)] == ["found"]
    assert scan(customer_owner.scope, at, store=store) == 1
    assert listed(customer_owner) == [found], "twice is once"
    put(store, mine, PROD, at - 4 * MINUTE, 10, status=500)
    scan(customer_owner.scope, at, store=store)
    (more,) = listed(customer_owner)
    assert (more.id, more.count) == (found.id, 40)
    hours = trends(customer_owner.scope, [found.id])[found.id]
    assert sum(hours) == 40
    assert listed(other_customer_owner) == []


def test_what_is_usual_is_no_issue(store: Store, customer_owner: Person, at: datetime) -> None:
    mine = customer_owner.account.id
    for moment in (at - 40 * MINUTE, at - 5 * MINUTE):
        put(store, mine, PROD, moment, 40, status=lambda i: 503 if i % 4 == 0 else 200)
    assert scan(customer_owner.scope, at, store=store) == 0
    assert listed(customer_owner) == []


def test_the_same_hour_a_week_ago_explains_it(
    store: Store, customer_owner: Person, at: datetime
) -> None:
    """A batch job that fails every week at this time is not news."""
    mine = customer_owner.account.id
    put(store, mine, PROD, at - 40 * MINUTE, 40)
    put(store, mine, PROD, at - 7 * DAY - 5 * MINUTE, 40, status=503)
    put(store, mine, PROD, at - 5 * MINUTE, 40, status=503)
    assert scan(customer_owner.scope, at, store=store) == 0


def test_latency_against_the_hour_before(
    store: Store, customer_owner: Person, at: datetime
) -> None:
    mine = customer_owner.account.id
    put(store, mine, PROD, at - 40 * MINUTE, 40, duration_us=20_000)
    put(store, mine, PROD, at - 5 * MINUTE, 40, duration_us=900_000)
    scan(customer_owner.scope, at, store=store)
    (found,) = listed(customer_owner)
    assert (found.kind, found.count) == ("latency", 40)


def test_a_status_that_a_week_never_had(store: Store, customer_owner: Person, at: datetime) -> None:
    mine = customer_owner.account.id
    put(store, mine, PROD, at - 3 * DAY, 100)
    put(store, mine, PROD, at - 2 * DAY, 1, status=404)
    put(store, mine, PROD, at - 5 * MINUTE, 1, status=404)
    put(store, mine, PROD, at - 5 * MINUTE, 2, status=418)
    for _again in range(2):
        scan(customer_owner.scope, at, store=store)
    (found,) = listed(customer_owner)
    assert (found.kind, found.status, found.count) == ("new_status", 418, 2)
    assert found.title == "New status 418 on api.example.com/pay"


def test_a_fault_spread_over_ten_thousand_paths_is_one_issue(
    store: Store, customer_owner: Person, at: datetime
) -> None:
    put(store, customer_owner.account.id, PROD, at - 5 * MINUTE, 10_000,
        every=timedelta(milliseconds=1), path=lambda i: f"/p{i:x}z", status=500)  # fmt: skip
    assert scan(customer_owner.scope, at, store=store) == 1
    (found,) = listed(customer_owner)
    assert (found.host, found.route, found.count) == ("api.example.com", "", 10_000)


def test_a_storm_of_issues_is_bounded_and_says_so(
    customer_owner: Person, at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observing, "MOST_OPEN", 70)
    storm = [
        Finding(Endpoint(PROD, "h", f"/{i}"), IssueKind.ERRORS, "broken") for i in range(1_000)
    ]
    for run in range(4):
        with scoped(customer_owner.scope):
            observe(customer_owner.scope, storm, Window(at + run * MINUTE, at + (run + 1) * MINUTE))
    rows, total = issues(customer_owner.scope, IssueFilter(), limit=200)
    assert total == 71
    (over,) = [row for row in rows if row.kind == "overflow"]
    assert over.cause.startswith("930 more places look broken")


class TestRegression:
    WINDOW = 10 * MINUTE

    def see(self, person: Person, since: datetime) -> None:
        with scoped(person.scope):
            finding = Finding(PAY, IssueKind.ERRORS, "broken")
            observe(person.scope, [finding], Window(since, since + self.WINDOW))

    def resolved(self, person: Person) -> tuple[IssueInfo, datetime]:
        self.see(person, now() - HOUR)
        (found,) = listed(person)
        done = services.issue_resolve(actor=person.actor, issue_id=found.id)
        assert done.resolved_at is not None
        return done, done.resolved_at

    def test_what_was_under_way_when_it_was_resolved_does_not_bring_it_back(
        self, customer_owner: Person
    ) -> None:
        done, moment = self.resolved(customer_owner)
        self.see(customer_owner, moment - timedelta(microseconds=1))
        found = issue(customer_owner.scope, done.id)
        assert found is not None
        assert (found.state, found.regressions) == ("resolved", 0)

    def test_what_comes_after_it_does(self, customer_owner: Person) -> None:
        done, moment = self.resolved(customer_owner)
        self.see(customer_owner, moment)
        self.see(customer_owner, moment + MINUTE)
        found = issue(customer_owner.scope, done.id)
        assert found is not None
        assert (found.state, found.regressions, found.resolved_at) == ("open", 1, None)
        done_things = [a.what for a in activity(customer_owner.scope, done.id)]
        assert done_things == ["regressed", "resolved", "found"]

    def test_an_ignored_one_stays_quiet_until_its_time_is_over(
        self, customer_owner: Person
    ) -> None:
        self.see(customer_owner, now() - HOUR)
        (found,) = listed(customer_owner)
        until = now() + HOUR
        services.issue_ignore(actor=customer_owner.actor, issue_id=found.id, until=until)
        self.see(customer_owner, until - timedelta(seconds=1))
        assert [i.state for i in listed(customer_owner)] == ["ignored"]
        self.see(customer_owner, until)
        assert [i.state for i in listed(customer_owner)] == ["open"]


class TestServices:
    @pytest.fixture
    def found(self, customer_owner: Person, at: datetime) -> IssueInfo:
        with scoped(customer_owner.scope):
            finding = Finding(PAY, IssueKind.ERRORS, "broken")
            observe(customer_owner.scope, [finding], Window(at, at + MINUTE))
        return listed(customer_owner)[0]

    def test_an_issue_is_given_to_staff_alone(
        self, found: IssueInfo, customer_teammate: Person, other_customer_owner: Person
    ) -> None:
        given = services.issue_assign(
            actor=customer_teammate.actor, issue_id=found.id, user_id=customer_teammate.user.id
        )
        assert given.assignee == customer_teammate.email
        with pytest.raises(Invalid):
            services.issue_assign(
                actor=customer_teammate.actor,
                issue_id=found.id,
                user_id=other_customer_owner.user.id,
            )
        again = services.issue_assign(
            actor=customer_teammate.actor, issue_id=found.id, user_id=None
        )
        assert (again.assignee, again.assignee_id) == ("", None)

    def test_every_change_is_noted_and_journalled(
        self, found: IssueInfo, customer_owner: Person
    ) -> None:
        actor = customer_owner.actor
        services.issue_resolve(actor=actor, issue_id=found.id)
        with pytest.raises(Conflict):
            services.issue_resolve(actor=actor, issue_id=found.id)
        services.issue_reopen(actor=actor, issue_id=found.id)
        with pytest.raises(Conflict):
            services.issue_reopen(actor=actor, issue_id=found.id)
        services.issue_ignore(actor=actor, issue_id=found.id, until=None)
        done = [a.what for a in activity(customer_owner.scope, found.id)]
        assert done == ["ignored", "reopened", "resolved", "found"]
        journal = entries(customer_owner.scope, EntryFilter(action="pulse.issue")).entries
        assert [e.action for e in journal] == [
            "pulse.issue.ignored", "pulse.issue.reopened", "pulse.issue.resolved",
        ]  # fmt: skip

    @pytest.mark.parametrize("away", [timedelta(0), -HOUR, timedelta(days=366)])
    def test_ignored_until_a_moment_that_makes_sense(
        self, found: IssueInfo, customer_owner: Person, away: timedelta
    ) -> None:
        with pytest.raises(Invalid):
            services.issue_ignore(actor=customer_owner.actor, issue_id=found.id, until=now() + away)

    def test_viewers_read_and_strangers_find_nothing(
        self, found: IssueInfo, customer_viewer: Person, other_customer_owner: Person
    ) -> None:
        assert issue(customer_viewer.scope, found.id) == found
        with pytest.raises(Denied):
            services.issue_resolve(actor=customer_viewer.actor, issue_id=found.id)
        assert issue(other_customer_owner.scope, found.id) is None
        assert activity(other_customer_owner.scope, found.id) == []
        with pytest.raises(NotFound):
            services.issue_resolve(actor=other_customer_owner.actor, issue_id=found.id)
        with scoped(other_customer_owner.scope):
            assert not Issue.objects.exists()
