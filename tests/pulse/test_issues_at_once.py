"""Much that breaks at once, and templates that are new: few issues, and true ones."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.cache import cache

from pulse.issues import statuses
from pulse.issues.detectors import Finding, findings
from pulse.issues.gathering import TOGETHER, gathered
from pulse.issues.observing import Window, observe
from pulse.issues.scan import scan
from pulse.issues.selectors import IssueFilter, IssueInfo, issues
from pulse.store.client import Store
from pulse.store.endpoints import Endpoint, EndpointSums, compared, seen_before
from pulse.store.latency import P95, microseconds
from pulse.tables.issues import Issue, IssueKind, IssueState
from pulse.tables.routes import Origin, PathHost, PathTemplate
from qcloud.kernel.clock import now
from qcloud.kernel.scope import scoped
from tests.factories.cast import Person
from tests.pulse.rows import put

PROD = UUID(int=10)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
HOST = "api.example.com"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def at() -> datetime:
    return now().replace(minute=49, second=45, microsecond=0) - HOUR


def listed(person: Person) -> list[IssueInfo]:
    rows = issues(person.scope, IssueFilter(), limit=500)[0]
    return sorted(rows, key=lambda row: (row.kind, row.host, row.route))


def paths(store: Store, person: Person, at: datetime, count: int, **columns: Any) -> None:
    """Twenty requests of each of so many paths."""
    own = {"route": lambda i: f"/p{i % count}"} | columns
    put(store, person.account.id, PROD, at, 20 * count, every=timedelta(milliseconds=10), **own)


def test_a_deployment_that_breaks_everything_is_one_issue(
    store: Store, customer_owner: Person, at: datetime
) -> None:
    paths(store, customer_owner, at - 40 * MINUTE, 40)
    paths(store, customer_owner, at - 5 * MINUTE, 40, status=500, duration_us=900_000)
    assert scan(customer_owner.scope, at, store=store) == 2
    errors, latency = listed(customer_owner)
    assert (errors.kind, errors.host, errors.route, errors.count) == ("errors", HOST, "", 800)
    assert errors.cause.startswith("40 paths at once: /p0, /p1, /p10 and 37 more. 20 of 20 req")
    assert (latency.kind, latency.host, latency.route, latency.count) == ("latency", HOST, "", 800)
    # What breaks a minute later joins it.
    put(store, customer_owner.account.id, PROD, at - MINUTE, 20, route="/late", status=500)
    scan(customer_owner.scope, at + MINUTE, store=store)
    assert [(i.kind, i.route) for i in listed(customer_owner)] == [("errors", ""), ("latency", "")]
    assert listed(customer_owner)[0].count == 820


def test_few_at_once_are_named_and_keep_their_own_issues(
    store: Store, customer_owner: Person, at: datetime
) -> None:
    paths(store, customer_owner, at - 5 * MINUTE, TOGETHER, status=500)
    scan(customer_owner.scope, at, store=store)
    assert [i.route for i in listed(customer_owner)] == [f"/p{i}" for i in range(TOGETHER)]
    paths(store, customer_owner, at - 2 * MINUTE, TOGETHER + 2, status=500)
    scan(customer_owner.scope, at + MINUTE, store=store)
    found = {i.route: i for i in listed(customer_owner)}
    assert sorted(found) == ["", *(f"/p{i}" for i in range(TOGETHER))]
    assert found["/p0"].count == 40
    assert found[""].cause.startswith("2 paths at once: /p5, /p6. 20 of 20")


def test_many_hosts_at_once_are_one_issue_of_the_environment(
    store: Store, customer_owner: Person, at: datetime
) -> None:
    mine = customer_owner.account.id
    for number in range(TOGETHER + 1):
        paths(store, customer_owner, at - 5 * MINUTE, 10, status=503, host=f"h{number}")
    put(store, mine, UUID(int=11), at - 5 * MINUTE, 20, status=503, host="h0", route="/p0")
    scan(customer_owner.scope, at, store=store)
    other, whole = sorted(listed(customer_owner), key=lambda row: row.count)
    assert (other.environment_id, other.host, other.route) == (UUID(int=11), "h0", "/p0")
    assert (whole.environment_id, whole.host, whole.route) == (PROD, "", "")
    assert whole.count == 1_200
    assert whole.title == "Requests fail on many hosts"
    assert whole.cause.startswith("6 hosts at once: h0, h1, h2 and 3 more. 10 paths at once: /p0")


def test_what_comes_back_at_once_is_one_issue_too(customer_owner: Person, at: datetime) -> None:
    window = Window(at - 10 * MINUTE, at)
    known = [Finding(Endpoint(PROD, "h", f"/{i}"), IssueKind.ERRORS, "bad") for i in range(30)]
    with scoped(customer_owner.scope):
        observe(customer_owner.scope, known, Window(at - 3 * DAY, at - 3 * DAY + HOUR))
        Issue.objects.update(state=IssueState.RESOLVED, resolved_at=at - 2 * DAY)
        observe(customer_owner.scope, gathered(known, at), window)
        still = Issue.objects.filter(state=IssueState.RESOLVED).count()
        opened = list(Issue.objects.filter(state=IssueState.OPEN).values_list("host", "route"))
    assert (still, opened) == (30, [("h", "")])


class TestTemplates:
    def learned(self, person: Person, text: str, when: datetime, host: str = HOST) -> None:
        with scoped(person.scope):
            row, _ = PathHost.objects.get_or_create(
                account_id=person.account.id, host=host, defaults={"salt": b"s", "seen_at": when}
            )
            PathTemplate.objects.create(
                account_id=person.account.id, path_host=row, text=text, origin=Origin.LEARNED,
                version=1, created_at=when, changed_at=when, changed_by="QCloud",
            )  # fmt: skip

    def usual(self, store: Store, person: Person, at: datetime) -> None:
        """One in ten fails, before under names of their own and now under a template."""
        mine = person.account.id
        bad: dict[str, Any] = {"status": lambda i: 503 if i % 10 == 0 else 200}
        put(store, mine, PROD, at - 55 * MINUTE, 200, route=lambda i: f"/shops/s{i}", **bad)
        put(store, mine, PROD, at - 5 * MINUTE, 200, route="/shops/{name}", **bad)

    def test_what_was_usual_before_it_was_learned_is_no_issue(
        self, store: Store, customer_owner: Person, at: datetime
    ) -> None:
        self.usual(store, customer_owner, at)
        self.learned(customer_owner, "/shops/{name}", at - 6 * MINUTE)
        assert scan(customer_owner.scope, at, store=store) == 0

    def test_what_breaks_meanwhile_is_told_of_the_host(
        self, store: Store, customer_owner: Person, at: datetime
    ) -> None:
        self.usual(store, customer_owner, at)
        put(store, customer_owner.account.id, PROD, at - 5 * MINUTE, 200, status=500,
            route="/shops/{name}")  # fmt: skip
        self.learned(customer_owner, "/shops/{name}", at - 6 * MINUTE)
        scan(customer_owner.scope, at, store=store)
        (found,) = listed(customer_owner)
        assert (found.kind, found.host, found.route, found.count) == ("errors", HOST, "", 220)

    def test_an_older_one_is_compared_with_itself(
        self, store: Store, customer_owner: Person, at: datetime
    ) -> None:
        mine = customer_owner.account.id
        put(store, mine, PROD, at - 55 * MINUTE, 200, route="/shops/{name}")
        put(store, mine, PROD, at - 5 * MINUTE, 200, route="/shops/{name}", status=500)
        self.learned(customer_owner, "/shops/{name}", at - 2 * HOUR)
        scan(customer_owner.scope, at, store=store)
        found = [(i.kind, i.route) for i in listed(customer_owner)]
        assert found == [("errors", "/shops/{name}"), ("new_status", "/shops/{name}")]

    def test_a_status_that_its_host_had_under_other_names_is_not_new(
        self, store: Store, customer_owner: Person, at: datetime
    ) -> None:
        mine = customer_owner.account.id
        put(store, mine, PROD, at - 2 * DAY, 1, route="/shops/s1", status=404)
        put(store, mine, PROD, at - 3 * HOUR, 200, route="/shops/{name}")
        for status in (404, 418):
            put(store, mine, PROD, at - 5 * MINUTE, 1, route="/shops/{name}", status=status)
        self.learned(customer_owner, "/shops/{name}", at - 4 * HOUR)
        scan(customer_owner.scope, at, store=store)
        assert [i.status for i in listed(customer_owner)] == [418]

    def test_who_has_no_past_is_compared_with_its_host(self) -> None:
        new, host = Endpoint(PROD, HOST, "/new"), Endpoint(PROD, HOST, "")
        current = {new: EndpointSums(100, 20, 1.0)}
        assert findings(current, [{host: EndpointSums(1_000, 70, 1.0)}]) == []
        (found,) = findings(current, [{host: EndpointSums(1_000, 60, 1.0)}])
        assert found.cause == "20 of 100 requests failed (20%), usually 6.0%."


def test_the_store_is_asked_once_for_a_status(
    store: Store, customer_owner: Person, at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = customer_owner.account.id
    paths(store, customer_owner, at - 2 * DAY, 10, status=lambda i: 404 if i < 10 else 200)
    paths(store, customer_owner, at - 5 * MINUTE, 10, status=lambda i: 404 if i < 10 else 200)
    asked: list[int] = []
    real = seen_before

    def noted(scope: Any, chosen: Any, endpoints: Any, **more: Any) -> Any:
        asked.append(len(endpoints))
        return real(scope, chosen, endpoints, **more)

    monkeypatch.setattr(statuses, "seen_before", noted)
    for minute in range(3):
        scan(customer_owner.scope, at + minute * MINUTE, store=store)
    assert asked == [10]
    put(store, mine, PROD, at + MINUTE, 1, route="/p3", status=410)
    scan(customer_owner.scope, at + 3 * MINUTE, store=store)
    assert asked == [10, 1]


def test_sums_of_several_spans_are_those_of_each(
    store: Store, customer_owner: Person, at: datetime
) -> None:
    """Against slow counts, one for each place and span."""
    mine, end = customer_owner.account.id, at.replace(second=0)
    spans = [(end - 10 * MINUTE, end), (end - 70 * MINUTE, end - 10 * MINUTE),
             (end - DAY - 10 * MINUTE, end - DAY)]  # fmt: skip
    for number, (since, _) in enumerate(spans):
        put(store, mine, PROD, since, 90, route=lambda i: f"/p{i % 3}" if i % 9 else "",
            host=lambda i: f"h{i % 2}", status=lambda i, n=number: (200, 500, 0, 404)[(i + n) % 4],
            duration_us=lambda i, n=number: 1_000 * (i + 1) * (n + 1))  # fmt: skip
    put(store, mine, PROD, spans[1][0], 5, host="gone", route="/gone")
    found = compared(customer_owner.scope, spans, store=store)
    assert [len(sums) for sums in found] == [10, 10, 10]
    for (since, until), sums in zip(spans, found, strict=True):
        for place, counted in sums.items():
            rows = store.client().query(
                f"SELECT count(), countIf(status >= 500 OR status = 0), {P95} FROM requests"  # noqa: S608
                f" WHERE account_id = '{mine}' AND environment_id = '{place.environment_id}'"
                f" AND host = '{place.host}' AND timestamp >= '{since:%Y-%m-%d %H:%M:%S}'"
                f" AND timestamp < '{until:%Y-%m-%d %H:%M:%S}'"
                + (f" AND if(route = '', path, route) = '{place.route}'" if place.route else "")
            )
            ((requests, errors, key),) = rows.result_rows
            assert counted == EndpointSums(requests, errors, microseconds(key))
