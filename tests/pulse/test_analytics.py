"""What the pages show, and to whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse import analytics
from pulse.analytics import DIMENSIONS, MAX_BUCKETS, TrafficFilter
from pulse.analytics.steps import steps_for
from pulse.store.client import Store
from pulse.store.gate import TENANT_TABLES
from qcloud.kernel.errors import Invalid, NotFound
from qcloud.kernel.scope import Scope, Tier
from tests.pulse.lines import NOON, event, lines
from tests.pulse.loaded import load_frames
from tests.pulse.rows import put
from tests.pulse.test_block import frame
from wire.events import Direction

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = TrafficFilter(since=NOON, until=NOON + timedelta(hours=1))
OWNER = Scope(UUID(int=1), "/1/", Tier.CUSTOMER)
STRANGER = Scope(UUID(int=2), "/2/", Tier.CUSTOMER)
PROD, TEST = UUID(int=10), UUID(int=11)


@pytest.fixture
def traffic(store: Store) -> Store:
    """Four requests of the owner's, one of the stranger's."""
    second = timedelta(seconds=1)
    mine = lines(
        event(path="/pay", host="api.stripe.com", duration_us=1_000, exe="/bin/shop", method="POST",
              bytes_sent=10, bytes_received=20, auth_token_type="bearer", source_ip="10.0.0.1"),
        event(path="/pay", host="api.stripe.com", status=503, timestamp=NOON + second,
              duration_us=9_000, exe="/bin/shop"),
        event(path="/", host="shop.example.com", direction=Direction.INGRESS,
              timestamp=NOON + 30 * second, exe="/bin/edge"),
    )  # fmt: skip
    other = lines(event(path="/x_y%", status=0, timestamp=NOON + 59 * 60 * second, replayed=True))
    frames = [
        frame(mine, account_id=OWNER.account_id, environment_id=PROD),
        frame(other, account_id=OWNER.account_id, environment_id=TEST),
        frame(lines(event(path="/secret")), account_id=STRANGER.account_id),
    ]
    load_frames(store, frames)
    return store


def test_one_page_says_what_its_parts_say(traffic: Store) -> None:
    page = analytics.traffic_page(OWNER, HOUR, store=traffic)
    assert page.totals == analytics.totals(OWNER, HOUR, store=traffic)
    assert page.requests == analytics.requests_over_time(OWNER, HOUR, store=traffic)
    assert page.latency == analytics.latency_over_time(OWNER, HOUR, store=traffic)
    assert page.status == analytics.status_over_time(OWNER, HOUR, store=traffic)
    for name, ranking in page.rankings.items():
        assert list(ranking.rows) == analytics.top(OWNER, HOUR, name, store=traffic)


def test_the_sums_are_exact(traffic: Store) -> None:
    sums = analytics.totals(OWNER, HOUR, store=traffic)
    assert (sums.requests, sums.ingress, sums.egress_external) == (4, 1, 3)
    assert (sums.status_2xx, sums.status_5xx, sums.no_response, sums.errors) == (2, 1, 1, 1)
    assert (sums.bytes_sent, sums.bytes_received, sums.replayed) == (10, 20, 1)


def test_gaps_are_zero_or_nothing(traffic: Store) -> None:
    series = analytics.requests_over_time(OWNER, HOUR, store=traffic)
    assert (series.step, len(series.times)) == (timedelta(seconds=30), 120)
    external = {line.name: line.values for line in series.series}["egress-external"]
    assert external == (2, *[0] * 117, 1, 0)
    latency = analytics.latency_over_time(OWNER, HOUR, store=traffic).series[0]
    assert [place for place, value in enumerate(latency.values) if value is not None] == [0, 1, 118]


Read = Callable[[Scope, Store], Any]
READS: dict[str, Read] = {
    "page": lambda scope, store: (
        analytics.traffic_page(scope, HOUR, store=store).rankings["route"].rows
    ),
    "totals": lambda scope, store: analytics.totals(scope, HOUR, store=store).requests,
    "series": lambda scope, store: sum(
        sum(v or 0 for v in line.values)
        for line in analytics.requests_over_time(scope, HOUR, store=store).series
    ),
    "latency": lambda scope, store: [
        v for line in analytics.latency_over_time(scope, HOUR, store=store).series
        for v in line.values if v is not None
    ],
    "top": lambda scope, store: analytics.top(scope, HOUR, "path", store=store),
    "vendors": lambda scope, store: analytics.vendors(scope, HOUR, store=store),
    "processes": lambda scope, store: analytics.processes(scope, HOUR, store=store),
    "search": lambda scope, store: analytics.search_requests(scope, HOUR, store=store).rows,
}  # fmt: skip


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
@pytest.mark.parametrize("tier", [Tier.RESELLER, Tier.CLOUD])
def test_those_above_see_no_traffic(traffic: Store, tier: Tier, read: Read) -> None:
    assert read(OWNER, traffic)
    assert not read(replace(OWNER, tier=tier), traffic)
    assert not read(replace(OWNER, account_id=UUID(int=3)), traffic)


def test_the_paths_shown_are_the_most_frequent_ones(store: Store) -> None:
    often = [event(path=f"/{i}", duration_us=1_000) for i in range(12) for _ in range(30 - i)]
    seldom = [event(path=f"/once/{i}") for i in range(300)]
    failed = [event(path="/0", status=500, duration_us=9_000) for _ in range(5)]
    body = lines(*often, *seldom, *failed, event(path=""))
    frames = [frame(body, account_id=OWNER.account_id, environment_id=PROD)]
    load_frames(store, frames)
    rows = analytics.top(OWNER, HOUR, "path", store=store)
    assert [(row.value, row.requests) for row in rows] == [
        ("/0", 35), *((f"/{i}", 30 - i) for i in range(1, 10)),
    ]  # fmt: skip
    assert [row.errors for row in rows] == [5, *[0] * 9]
    assert rows[0].p95_ms == pytest.approx(9, rel=0.01)
    assert rows[1].p95_ms == pytest.approx(1, rel=0.01)


def test_a_neighbour_is_never_there(traffic: Store) -> None:
    rows = analytics.search_requests(OWNER, HOUR, store=traffic).rows
    assert [row.path for row in rows] == ["/x_y%", "/", "/pay", "/pay"]
    secret = analytics.search_requests(STRANGER, HOUR, store=traffic).rows[0]
    with pytest.raises(NotFound):
        analytics.request_detail(OWNER, secret.request_id, store=traffic)
    found = analytics.request_detail(STRANGER, secret.request_id, store=traffic)
    assert (found.account_id, found.path) == (STRANGER.account_id, "/secret")


def test_every_table_with_tenants_is_filtered(store: Store) -> None:
    rows = store.client().query(
        "SELECT DISTINCT table FROM system.columns"
        " WHERE database = currentDatabase() AND name = 'account_id'"
    )
    assert {row[0] for row in rows.result_rows} == set(TENANT_TABLES)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"environments": (TEST,)}, 1),
        ({"environments": (PROD, TEST)}, 4),
        ({"host": "api.stripe.com"}, 2),
        ({"path": "/pay", "method": "POST"}, 1),
        ({"path_prefix": "/x_"}, 1),
        ({"path_prefix": "/x%"}, 0),
        ({"status": 0}, 1),
        ({"status": 503}, 1),
        ({"status_class": "5xx"}, 1),
        ({"status_class": "none"}, 1),
        ({"process": "/bin/shop"}, 2),
        ({"direction": "ingress"}, 1),
        ({"vendor": "Stripe"}, 2),
        ({"query": "STRIPE"}, 2),
        ({"query": "' OR 1 = 1 --"}, 0),
        ({"query": "{account:UUID}"}, 0),
        ({"since": NOON + timedelta(seconds=1)}, 3),
        ({"until": NOON + timedelta(seconds=1)}, 1),
    ],
)
def test_filters_narrow(traffic: Store, chosen: dict[str, Any], expected: int) -> None:
    narrowed = replace(HOUR, **chosen)
    assert analytics.totals(OWNER, narrowed, store=traffic).requests == expected
    rows = analytics.search_requests(OWNER, narrowed, store=traffic).rows
    assert len(rows) == expected
    if rows:
        by_id = replace(HOUR, query=str(rows[0].request_id).upper())
        assert analytics.search_requests(OWNER, by_id, store=traffic).rows == (rows[0],)


@pytest.mark.parametrize("by", analytics.SORTS)
@pytest.mark.parametrize("descending", [True, False])
def test_pages_hold_every_request_once_in_every_order(
    traffic: Store, by: str, *, descending: bool
) -> None:
    seen: list[analytics.RequestRow] = []
    cursor, order = None, analytics.Order(by, descending=descending)
    while True:
        page = analytics.search_requests(OWNER, HOUR, cursor, order=order, limit=1, store=traffic)
        seen += page.rows
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(seen) == len({row.request_id for row in seen}) == 4
    values = [getattr(row, by) for row in seen]
    assert values == sorted(values, reverse=descending)


@pytest.mark.parametrize("by", ["status", "duration_us"])
def test_pages_of_what_is_alike_hold_every_request_once(store: Store, by: str) -> None:
    """Many of one value, and many of one moment as well: sorted as one slow sort would."""
    mine, at = OWNER.account_id, NOON + timedelta(minutes=1)
    for moment in (at, at + timedelta(microseconds=1), at + timedelta(seconds=9)):
        put(store, mine, PROD, moment, 12, every=timedelta(),
            status=lambda i: 200 + i % 3, duration_us=lambda i: 5 - i % 3)  # fmt: skip
    for descending in (True, False):
        way = "DESC" if descending else "ASC"
        slow = store.client().query(
            f"SELECT request_id FROM requests ORDER BY {by} {way}, timestamp {way},"  # noqa: S608
            f" request_id {way}"
        )
        order, seen = analytics.Order(by, descending=descending), list[UUID]()
        cursor: str | None = None
        while len(seen) < 36:
            page = analytics.search_requests(OWNER, HOUR, cursor, order=order, limit=5, store=store)
            seen += [row.request_id for row in page.rows]
            cursor = page.next_cursor
        assert cursor is None
        assert seen == [row[0] for row in slow.result_rows]


def test_an_order_that_is_none_of_ours_is_said() -> None:
    with pytest.raises(Invalid, match="can be sorted by timestamp, status"):
        analytics.Order("path; DROP TABLE requests")


def test_a_cursor_from_the_end_of_time_finds_the_last_page(traffic: Store) -> None:
    late = f"{2**63 - 1:x}.{2**63 - 1:x}.{'f' * 32}"
    assert len(analytics.search_requests(OWNER, HOUR, late, store=traffic).rows) in {0, 4}


@pytest.mark.parametrize(
    "cursor",
    ["x", "1", "zz.zz", "f" * 40 + ".1." + "0" * 32, "1.0", "1.-1." + "0" * 32, "1." + "0" * 32],
)
def test_a_damaged_cursor_is_said(store: Store, cursor: str) -> None:
    with pytest.raises(Invalid, match="first page"):
        analytics.search_requests(OWNER, HOUR, cursor, store=store)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_every_dimension_answers(traffic: Store, dimension: str) -> None:
    rows = analytics.top(OWNER, HOUR, dimension, store=traffic)
    assert all(row.value for row in rows)
    assert sum(row.requests for row in rows) <= 4


def test_a_wrong_filter_is_refused() -> None:
    with pytest.raises(Invalid):
        replace(HOUR, direction="sideways")
    with pytest.raises(Invalid):
        replace(HOUR, status_class="9xx")
    with pytest.raises(Invalid):
        replace(HOUR, until=HOUR.since)


def test_an_inventory_says_who_and_how(traffic: Store) -> None:
    stripe = next(r for r in analytics.vendors(OWNER, HOUR, store=traffic) if r.vendor == "Stripe")
    assert (stripe.requests, stripe.errors, stripe.hosts) == (2, 1, ("api.stripe.com",))
    assert (stripe.processes, stripe.auth_types) == (("/bin/shop",), ("bearer",))
    edge = next(r for r in analytics.processes(OWNER, HOUR, store=traffic) if r.exe == "/bin/edge")
    assert (edge.requests, edge.ingress, edge.vendors) == (1, 1, 0)


def test_a_request_opens_with_everything(traffic: Store) -> None:
    row = analytics.search_requests(OWNER, replace(HOUR, method="POST"), store=traffic).rows[0]
    detail = analytics.request_detail(OWNER, row.request_id, store=traffic)
    assert {f.name: getattr(detail, f.name) for f in fields(row)} == vars(row)
    assert (detail.source_ip, detail.destination_ip) == ("10.0.0.1", "")


@given(
    st.integers(0, 2**31).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    st.timedeltas(timedelta(seconds=1), timedelta(days=4_000)),
)
def test_steps_cover_the_range_in_few_buckets(since: datetime, span: timedelta) -> None:
    steps = steps_for(since, since + span)
    times = steps.times
    assert 1 <= len(times) <= MAX_BUCKETS
    assert times[0] <= since < times[0] + steps.step
    assert times[-1] < since + span <= times[-1] + steps.step
