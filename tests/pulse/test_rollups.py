"""Rollups say what the requests say: at every moment, under every filter, over every range."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from pulse import analytics
from pulse.analytics.covers import cover_for_ranks, cover_for_series, manifest_for
from pulse.analytics.steps import steps_for
from pulse.analytics.tiles.question import question_of
from pulse.models import Load
from pulse.rollups import forget_old_versions, merging, rebuild, rebuild_touched
from pulse.store import series as raw_series
from pulse.store.client import ClickHouseError, Store
from pulse.store.filters import TrafficFilter
from pulse.store.gate import ask_as_system
from pulse.store.rolled import kinds, read, write
from pulse.store.rolled.cover import MAX_SPANS as MAX_RAW
from pulse.store.rolled.cover import Manifest
from pulse.store.rolled.kinds import VALUES
from pulse.store.tops import tops
from pulse.tables.rollups import RollupDay, TouchedSpan
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import Scope, Tier, unscoped
from tests.pulse.lines import NOON, event, lines
from tests.pulse.loaded import load_frames
from tests.pulse.test_block import frame
from wire.events import Direction, RequestEvent

database = pytest.mark.django_db(transaction=True)

OWNER = Scope(UUID(int=1), "/1/", Tier.CUSTOMER)
STRANGER = Scope(UUID(int=2), "/2/", Tier.CUSTOMER)
PROD, TEST = UUID(int=10), UUID(int=11)
BEGIN = NOON - timedelta(days=3)
Clock = Callable[[datetime], None]
DIMENSIONS = ("host", "process", "vendor", "route", "method", "status", "hostname")
RANGES = (
    (BEGIN - timedelta(days=2), NOON + timedelta(days=1)),
    (BEGIN + timedelta(minutes=7, microseconds=1), NOON - timedelta(minutes=3, seconds=1)),
    (NOON - timedelta(hours=26), NOON),
    (NOON - timedelta(hours=12), NOON),
    (NOON - timedelta(hours=1), NOON),
    (NOON - timedelta(minutes=44), NOON - timedelta(minutes=31)),
)
FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {"environments": (PROD,)},
    {"host": "api.stripe.com"},
    {"status_class": "5xx"},
    {"status_class": "none", "environments": (TEST,)},
    {"status": 404},
    {"method": "POST", "direction": "ingress"},
    {"process": "/bin/shop", "status_class": "2xx"},
    {"route": "/orders/{id}"},
    {"vendor": "Stripe"},
    {"host": "nobody.example"},
    {"path": "/orders/7"},
    {"query": "ORDERS"},
)


def seeded(number: int) -> random.Random:
    return random.Random(number)  # noqa: S311  chance, not a secret


def some_events(chance: random.Random, count: int, since: datetime) -> Iterator[RequestEvent]:
    span = (NOON + timedelta(hours=5) - since) // timedelta(microseconds=1)
    for _ in range(count):
        yield event(
            timestamp=since + timedelta(microseconds=chance.randrange(span)),
            host=chance.choice(("api.stripe.com", "shop.example.com", "users.svc", "")),
            path=chance.choice(("/orders/7", "/orders/8", "/cart", "/", f"/o/{chance.random()}")),
            method=chance.choice(("GET", "POST")),
            status=chance.choice((200, 200, 200, 301, 404, 503, 0)),
            direction=chance.choice(list(Direction)),
            duration_us=int(chance.lognormvariate(9, 2)),
            bytes_sent=chance.randrange(10_000),
            exe=chance.choice(("/bin/shop", "/bin/edge")),
            hostname=chance.choice(("node-1", "node-2")),
            replayed=chance.random() < 0.1,
        )


def load_some(store: Store, chance: random.Random, count: int, since: datetime = BEGIN) -> UUID:
    def body(of: int) -> bytes:
        return lines(*some_events(chance, of, since))

    return load_frames(
        store,
        [
            frame(body(count), account_id=OWNER.account_id, environment_id=PROD),
            frame(body(count // 3), account_id=OWNER.account_id, environment_id=TEST),
            frame(body(count // 3), account_id=STRANGER.account_id, environment_id=PROD),
        ],
    )


def compare(store: Store, scope: Scope = OWNER, *, few: bool = True) -> int:
    """Every number of every question against the slow count; returns units read from rollups.

    ``few``: the questions that read the most kinds alone.
    """
    rolled = 0
    for since, until in RANGES[:2] if few else RANGES:
        for narrowing in FILTERS[:6:2] if few else FILTERS:
            chosen = TrafficFilter(since=since, until=until, **narrowing)
            step = steps_for(since, until).step_us
            manifest = manifest_for(scope, chosen)
            source = read.source_of(chosen)
            expected = raw_series.series(scope, chosen, step, store=store)
            if not narrowing:
                page = analytics.traffic_page(scope, chosen, store=store)
                assert page.totals.requests == (expected[1].requests if expected[1] else 0)
            if source is not None:
                found = cover_for_series(chosen, manifest, step, source)
                rolled += sum(len(part.versions) for part in found.rolled)
                assert read.series(scope, chosen, step, source, found, store=store) == expected
                question = question_of(scope, chosen, manifest, store=store)
                assert question
                check(question.series(steps_for(since, until)), expected, manifest)
            compare_ranks(store, scope, chosen, manifest)
    return rolled


def check(in_memory: object, expected: object, manifest: Manifest) -> None:
    """Out of memory comes the same, unless too many stretches change."""
    if in_memory is None:
        assert len(manifest.dirty) > MAX_RAW
    else:
        assert in_memory == expected


def compare_ranks(store: Store, scope: Scope, chosen: TrafficFilter, manifest: Manifest) -> None:
    names = DIMENSIONS if read.ranks_from(chosen, DIMENSIONS) is not None else DIMENSIONS[:-1]
    without = read.ranks_from(chosen, names)
    if without is not None:
        expected = tops(scope, chosen, names, 1_000, store=store)
        found = cover_for_ranks(chosen, manifest, without)
        ranked = read.ranks(scope, chosen, names, 3, found, store=store)
        kinds = [name for name in names if name in VALUES]
        question = question_of(scope, chosen, manifest, store=store)
        assert question
        check(question.ranks(kinds, 3), {kind: ranked[kind] for kind in kinds}, manifest)
        for name in names:
            assert list(ranked[name].groups) == expected[name][:3]
            rest = expected[name][3:]
            assert ranked[name].other_values == len(rest)
            assert ranked[name].other_requests == sum(group.requests for group in rest)


@database
def test_rollups_say_what_the_requests_say(store: Store, set_clock: Clock) -> None:
    chance = seeded(5)
    set_clock(NOON)
    load_some(store, chance, 600)
    assert compare(store) == 0
    assert rebuild_touched(store=store) == 400
    assert compare(store, few=False) > 1_000
    assert rebuild_touched(store=store) == 0
    # Late ones make what they touch dirty, and nothing else.
    load_some(store, chance, 20)
    before = compare(store)
    assert before > 200
    rebuild_touched(store=store)
    assert compare(store) > before
    compare(store, STRANGER)
    # The day ends: what was open is closed, and what was in the future is past.
    set_clock(NOON + timedelta(days=1))
    rebuild_touched(store=store)
    with unscoped("test"):
        assert not TouchedSpan.objects.exists()
        assert not RollupDay.objects.filter(whole=0).exists()
    compare(store)
    assert rows(store) > live_rows(store)
    set_clock(NOON + timedelta(days=400))
    assert forget_old_versions(store=store) > 0
    assert rows(store) == live_rows(store)
    compare(store)


def rows(store: Store) -> int:
    return int(ask_as_system("test", "SELECT count() FROM rollups", {}, store=store)[0][0])


def live_rows(store: Store) -> int:
    with unscoped("test"):
        days = RollupDay.objects.values_list("quarters", "hours", "whole")
        live = [v for quarters, hours, whole in days for v in (*quarters, *hours, whole) if v]
    sql = "SELECT count() FROM rollups WHERE version IN {live:Array(UInt64)}"
    return int(ask_as_system("test", sql, {"live": live}, store=store)[0][0])


@database
def test_a_load_under_way_is_read_raw_until_it_is_done(store: Store, set_clock: Clock) -> None:
    chance = seeded(6)
    set_clock(NOON + timedelta(days=2))
    with unscoped("test"):
        load = Load.objects.create(spool_id=new_id(), segments=[], frames=[], rows=1)
    load_some(store, chance, 100)
    rebuild_touched(store=store)
    late = load_some(store, chance, 50)
    with unscoped("test"):
        TouchedSpan.objects.filter(load_id=late).update(load_id=load.id)
    assert rebuild_touched(store=store) == 0
    compare(store)
    with unscoped("test"):
        load.delete()
    assert rebuild_touched(store=store) > 0
    compare(store)


@database
def test_a_count_that_is_killed_is_never_believed(
    store: Store, set_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = seeded(7)
    set_clock(NOON + timedelta(days=2))
    load_some(store, chance, 60)
    rebuild_touched(store=store)
    load_some(store, chance, 60)

    def killed(*_arguments: Any, **_named: Any) -> None:
        raise KeyboardInterrupt

    for step in ("rebuild.count_quarters", "rebuild._settle", "merging.merge_units"):
        with monkeypatch.context() as patch:
            patch.setattr(f"pulse.rollups.{step}", killed)
            with pytest.raises(KeyboardInterrupt):
                rebuild_touched(store=store)
        compare(store)
    rebuild_touched(store=store)
    compare(store)


@database
def test_no_transaction_is_open_while_the_engine_counts(
    store: Store, set_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_clock(NOON + timedelta(days=2))
    load_some(store, seeded(11), 30, NOON)
    asked: list[bool] = []

    def watched(module: Any, name: str) -> None:
        real = getattr(module, name)

        def ask(*arguments: Any, **named: Any) -> Any:
            asked.append(connection.in_atomic_block)
            return real(*arguments, **named)

        monkeypatch.setattr(module, name, ask)

    for name in ("requests_by_quarter", "overflowing", "count_quarters"):
        watched(rebuild, name)
    watched(merging, "merge_units")
    rebuild_touched(store=store)
    assert len(asked) >= 8
    assert not any(asked)
    compare(store)


@database
def test_what_changed_under_a_count_is_not_overwritten(
    store: Store, set_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_clock(NOON + timedelta(days=2))
    load_some(store, seeded(12), 60, NOON)
    real = write.count_quarters

    def removed_meanwhile(account_id: UUID, *arguments: Any, **named: Any) -> None:
        real(account_id, *arguments, **named)
        with unscoped("test"):
            TouchedSpan.objects.filter(account_id=account_id).delete()

    with monkeypatch.context() as patch:
        patch.setattr(rebuild, "count_quarters", removed_meanwhile)
        assert rebuild_touched(store=store) == 0
    with unscoped("test"):
        assert not RollupDay.objects.exists()
    assert rows(store) == 0


@database
def test_a_quarter_that_the_engine_refuses_holds_up_no_other(
    store: Store, set_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_clock(NOON + timedelta(days=2))
    load_some(store, seeded(13), 30, NOON + timedelta(hours=1))
    refused = int(NOON.timestamp()) + kinds.HOUR
    real = write.count_quarters

    def refuse(account_id: UUID, versions: dict[int, int], **named: Any) -> None:
        if refused in versions:
            real(account_id, {refused: versions[refused]}, **named)  # half of it, as it happens
            raise ClickHouseError("Code: 159. DB::Exception: Timeout exceeded")
        real(account_id, versions, **named)

    with monkeypatch.context() as patch:
        patch.setattr(rebuild, "count_quarters", refuse)
        assert rebuild_touched(store=store) > 10
        assert rebuild_touched(store=store) == 0
    with unscoped("test"):
        left = TouchedSpan.objects.values_list("since", flat=True)
        assert {int(moment.timestamp()) for moment in left} == {refused}
    compare(store)
    rebuild_touched(store=store)
    with unscoped("test"):
        assert not TouchedSpan.objects.exists()
    compare(store)


@database
def test_a_large_quarter_is_counted_in_pieces(
    store: Store, set_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "_REQUESTS_AT_ONCE", 2)
    set_clock(NOON + timedelta(days=2))
    load_some(store, seeded(14), 10, NOON + timedelta(hours=4, minutes=15))
    rebuild_touched(store=store)
    assert compare(store) > 2


@database
def test_days_without_requests_keep_no_other_day_open(store: Store, set_clock: Clock) -> None:
    set_clock(NOON + timedelta(days=2))
    with unscoped("test"):
        RollupDay.objects.bulk_create(
            RollupDay(
                account_id=OWNER.account_id, day=(NOON - timedelta(days=age)).date(),
                quarters=[0] * 96, hours=[0] * 24,
            )
            for age in range(10, 80)
        )  # fmt: skip
    set_clock(NOON + timedelta(hours=6))
    load_some(store, seeded(15), 30, NOON)
    rebuild_touched(store=store)
    set_clock(NOON + timedelta(days=1))
    rebuild_touched(store=store)
    with unscoped("test"):
        assert RollupDay.objects.filter(account_id=OWNER.account_id, whole__gt=0).count() == 1
    compare(store)


@database
def test_too_many_values_are_counted_one_by_one(
    store: Store, set_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "MAX_VALUES", 2)
    monkeypatch.setattr(write, "MAX_CELLS", 3)
    set_clock(NOON + timedelta(days=2))
    load_some(store, seeded(8), 300, NOON)
    rebuild_touched(store=store)
    with unscoped("test"):
        (day,) = RollupDay.objects.filter(account_id=OWNER.account_id)
    lacking = kinds.flag_of("host") | kinds.flag_of("cube")
    assert kinds.flags_of(day.whole) & lacking == lacking
    assert not kinds.flags_of(day.whole) & kinds.flag_of("method")
    sql = "SELECT count() FROM rollups WHERE kind = 'host' AND level = 900"
    assert ask_as_system("test", sql, {}, store=store)[0][0] < 30
    compare(store)


@database
def test_requests_that_are_gone_leave_their_rollups(store: Store, set_clock: Clock) -> None:
    set_clock(NOON + timedelta(days=2))
    load_some(store, seeded(9), 30, NOON)
    rebuild_touched(store=store)
    store.client().command(
        "ALTER TABLE requests DELETE WHERE status != 200", settings={"mutations_sync": 2}
    )
    with unscoped("test"):
        TouchedSpan.objects.create(
            account_id=OWNER.account_id, load_id=new_id(), since=NOON,
            until=NOON + timedelta(hours=6),
        )  # fmt: skip
    rebuild_touched(store=store)
    compare(store)
