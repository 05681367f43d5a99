"""Windows that move minute by minute, against slow counts of each window by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from random import Random
from typing import Any
from uuid import UUID

import pytest

from pulse.alerts.readings import readings
from pulse.alerts.rules import Spec
from pulse.rollups import rebuild_touched, touch
from pulse.store.client import Store
from pulse.store.latency import KEY, microseconds
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person
from tests.pulse.rows import put

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
PROD, TEST = UUID(int=10), UUID(int=11)
BEGIN = datetime(2026, 3, 1, 6, 30, tzinfo=UTC)
END = BEGIN + 5 * HOUR

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def traffic(store: Store, customer_owner: Person, set_clock: Callable[[datetime], None]) -> Store:
    """Five hours with a silent one; the last half hour is not rolled up."""
    rng, mine = Random(7), customer_owner.account.id  # noqa: S311  chance, not a secret
    set_clock(END)
    for place, count in ((PROD, 1_500), (TEST, 500)):
        moments = [rng.randrange(5 * 3_600_000) for _ in range(count)]
        kept = [at for at in moments if not 2 <= at / 3_600_000 < 3]
        put(store, mine, place, BEGIN, len(kept), every=timedelta(),
            timestamp=lambda i, k=kept: BEGIN + timedelta(milliseconds=k[i]),
            status=lambda _i: rng.choice((200, 200, 404, 500, 599, 0)),
            bytes_sent=lambda _i: rng.randrange(10**6), host=lambda i: f"h{i % 2}",
            duration_us=lambda _i: int(rng.lognormvariate(9, 2)))  # fmt: skip
    with unscoped("test"):
        quarters = [BEGIN + 15 * MINUTE * i for i in range(20)]
        touch(new_id(), {mine: quarters})
    rebuild_touched(store=store)
    with unscoped("test"):
        touch(new_id(), {mine: quarters[-2:]})
    return store


def slow(store: Store, person: Person, spec: Spec, at: datetime, narrowed: str) -> float | None:
    since = at - spec.window * MINUTE
    rows = store.client().query(
        "SELECT count(), countIf(status BETWEEN 500 AND 599 OR status = 0),"  # noqa: S608
        f" sum(bytes_sent + bytes_received), quantilesExactWeighted(0.95, 0.99)({KEY}, 1)"
        f" FROM requests WHERE account_id = '{person.account.id}' AND {narrowed}"
        f" AND timestamp >= toDateTime64('{since:%Y-%m-%d %H:%M:%S}', 6, 'UTC')"
        f" AND timestamp < toDateTime64('{at:%Y-%m-%d %H:%M:%S}', 6, 'UTC')"
    )
    count, failed, moved, (p95, p99) = rows.result_rows[0]
    value: float
    if spec.measure in {"requests", "throughput"}:
        value = count if spec.measure == "requests" else moved / 1000
        return value / spec.window
    if not count:
        return None
    if spec.measure == "error_rate":
        value = 100 * failed / count
        return value
    return microseconds(p95 if spec.measure == "p95" else p99) / 1000


MEASURES = ("requests", "error_rate", "throughput", "p95", "p99")
WINDOWS = ((1, 90), (7, 90), (90, 60), (1_440, 20), (90, 0))


@pytest.mark.parametrize("narrowed", ["", "environment", "host"])
def test_every_window_is_what_a_slow_count_of_it_gives(
    traffic: Store, customer_owner: Person, narrowed: str
) -> None:
    for measure, (window, minutes) in product(MEASURES, WINDOWS):
        compare(traffic, customer_owner, measure, window, minutes, narrowed)


def compare(
    traffic: Store, customer_owner: Person, measure: str, window: int, minutes: int, narrowed: str
) -> None:
    filters: dict[str, Any] = {"host": "h1"} if narrowed == "host" else {}
    spec = Spec(measure=measure, above=True, threshold=1.0, window=window, filters=filters)
    place = TEST if narrowed == "environment" else None
    where = {"host": "host = 'h1'", "environment": f"environment_id = '{TEST}'"}.get(narrowed, "1")
    last = END - 7 * MINUTE
    found = readings(
        customer_owner.scope, spec, place, last - minutes * MINUTE, last, store=traffic
    )
    assert [one.at for one in found] == [last - i * MINUTE for i in range(minutes, -1, -1)]
    for one in found[:: max(1, minutes // 6)]:
        assert one.value == slow(traffic, customer_owner, spec, one.at, where), one.at


def test_a_week_of_windows_of_a_day_takes_seconds_at_most(
    traffic: Store, customer_owner: Person
) -> None:
    """The engine alone did not end within its minute."""
    spec = Spec(measure="p95", above=True, threshold=1.0, window=1_440)
    week = timedelta(days=7)
    found = readings(customer_owner.scope, spec, None, END - week, END, store=traffic)
    assert len(found) == 7 * 1_440 + 1
    assert [one.value for one in found[:5]] == [None] * 5
    assert found[-1].value == slow(traffic, customer_owner, spec, END, "1")
