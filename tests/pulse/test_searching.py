"""Requests by tag, pod and header: filtered, ranked, never past the tenant's wall."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from pulse.alerts.readings import readings
from pulse.alerts.rules import Spec
from pulse.analytics import TrafficFilter, rankings, search_requests, top, totals
from pulse.store import client as store_client
from pulse.store.client import Store
from qcloud.kernel.clock import now
from qcloud.kernel.scope import scoped
from tests.factories.cast import Person
from tests.pulse.rows import put
from tests.pulse.test_issues import PROD

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)
EU = "region:eu\nteam:shop"


@pytest.fixture(autouse=True)
def traffic(
    store: Store, customer_owner: Person, other_customer_owner: Person,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[None]:  # fmt: skip
    monkeypatch.setattr(store_client, "_default", store)
    at, mine = now() - HOUR / 2, customer_owner.account.id
    put(
        store,
        mine,
        PROD,
        at,
        3,
        path="/eu",
        tags=EU,
        headers="traceparent: 00-a\nx-request-id: r-1",
    )
    put(store, mine, PROD, at, 2, path="/us", tags="region:us\nteam:shop", status=503)
    put(store, mine, PROD, at, 1, path="/bare", pod_namespace="shop", pod_name="cart-1")
    put(store, other_customer_owner.account.id, PROD, at, 9, tags=EU, headers="x-request-id: r-1")
    return iter(())


def found(person: Person, **fields: Any) -> dict[str, int]:
    chosen = TrafficFilter(now() - HOUR, now(), **fields)
    counts: dict[str, int] = {}
    for row in search_requests(person.scope, chosen, limit=100).rows:
        counts[row.path] = counts.get(row.path, 0) + 1
    # Sums and lists must say the same, rolled up or not.
    assert totals(person.scope, chosen).requests == sum(counts.values())
    return counts


@pytest.mark.parametrize(
    ("fields", "paths"),
    [
        ({"tag": "team:shop"}, {"/eu": 3, "/us": 2}),
        ({"tag": "region:eu"}, {"/eu": 3}),
        ({"tag": "region"}, {"/eu": 3, "/us": 2}),
        ({"tag": "reg"}, {}),
        ({"tag": "region:e"}, {}),
        ({"tag": "shop"}, {}),
        ({"tag": "region:eu\nteam:shop"}, {}),
        ({"tag": "region:eu", "status": 503}, {}),
        ({"header": "x-request-id: r-1"}, {"/eu": 3}),
        ({"header": "X-Request-Id:r-1"}, {"/eu": 3}),
        ({"header": "r-1"}, {"/eu": 3}),
        ({"header": "r-"}, {}),
        ({"header": "traceparent: r-1"}, {}),
        ({"pod": "shop/cart-1"}, {"/bare": 1}),
    ],
)
def test_narrowed(customer_owner: Person, fields: dict[str, Any], paths: dict[str, int]) -> None:
    assert found(customer_owner, **fields) == paths


def test_ranked_by_tag_beside_other_dimensions(customer_owner: Person) -> None:
    chosen = TrafficFilter(now() - HOUR, now())
    by_tag = {
        row.value: (row.requests, row.errors) for row in top(customer_owner.scope, chosen, "tag")
    }
    assert by_tag == {"team:shop": (5, 2), "region:eu": (3, 0), "region:us": (2, 2)}
    several = rankings(customer_owner.scope, chosen, ("host", "tag", "pod"))
    assert [(r.value, r.requests) for r in several["host"].rows] == [("api.example.com", 6)]
    assert {r.value for r in several["tag"].rows} == set(by_tag)
    assert [(r.value, r.requests) for r in several["pod"].rows] == [("shop/cart-1", 1)]


def test_an_alert_watches_a_tag(customer_owner: Person) -> None:
    minute = (now() - HOUR / 2).replace(second=0, microsecond=0) + timedelta(minutes=2)
    values = {}
    for tag in ("region:eu", "region:us", "region:mars"):
        spec = Spec("error_rate", above=True, threshold=1, window=5, filters={"tag": tag})
        with scoped(customer_owner.scope):
            (measured,) = readings(customer_owner.scope, spec, None, minute, minute)
        values[tag] = measured.value
    assert values == {"region:eu": 0.0, "region:us": 100.0, "region:mars": None}
