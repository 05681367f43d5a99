"""Rollups kept in memory: as exact as the engine, bounded, and nobody's but their owner's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil
from threading import Barrier
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from django.db import connections
from hypothesis import given
from hypothesis import strategies as st

from pulse import analytics
from pulse.analytics.covers import manifest_for
from pulse.analytics.page import TOPS
from pulse.analytics.steps import steps_for
from pulse.analytics.tiles import cache, question, reading
from pulse.analytics.tiles.cache import Cache
from pulse.analytics.tiles.columns import Entries, Histograms, Values, nbytes
from pulse.analytics.tiles.percentiles import histogram, percentiles
from pulse.analytics.tiles.plan import Key, plan
from pulse.analytics.tiles.question import question_of
from pulse.rollups import rebuild_touched
from pulse.store import series as raw_series
from pulse.store.client import Store
from pulse.store.filters import TrafficFilter
from pulse.store.latency import microseconds
from pulse.store.rolled import columns
from pulse.store.rolled.cover import MAX_SPANS, Manifest, units
from pulse.store.rolled.kinds import MINUTE, QUARTER
from pulse.store.tops import tops
from tests.pulse.lines import NOON, event, lines
from tests.pulse.loaded import load_frames
from tests.pulse.test_block import frame
from tests.pulse.test_rollups import BEGIN, OWNER, PROD, STRANGER, TEST, load_some, seeded

database = pytest.mark.django_db(transaction=True)
Clock = Callable[[datetime], None]
ALL = TrafficFilter(BEGIN, NOON + timedelta(days=1))
_MICRO = 1_000_000


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Cache:
    """The process's memory, empty."""
    return _memory(monkeypatch, 64 * 1024**2)


def _memory(monkeypatch: pytest.MonkeyPatch, most: int) -> Cache:
    found = Cache(most)
    monkeypatch.setattr(question, "the_cache", lambda: found)
    return found


def counted(store: Store, set_clock: Clock) -> None:
    load_some(store, seeded(3), 400)
    set_clock(NOON + timedelta(days=1))
    rebuild_touched(store=store)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6_200), st.integers(1, 60)), min_size=1)
)
def test_percentiles_are_those_of_the_single_values(rows: list[tuple[int, int, int]]) -> None:
    groups, keys, times = (np.array(column) for column in zip(*rows, strict=True))
    entries = Entries(np.ones(len(rows), np.int64), keys.astype(np.uint16), times)
    dense, first = histogram([(groups, entries)], 5)
    found = percentiles(dense, first, (0.5, 0.95, 0.99))
    for group in range(5):
        values = sorted(key for g, key, n in rows if g == group for _ in range(n))
        if values:
            expected = [values[ceil(len(values) * q) - 1] for q in (0.5, 0.95, 0.99)]
            assert found[group] == [microseconds(key) for key in expected]


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1), st.data())
def test_rows_of_histograms_bring_their_own_entries(
    rows: list[list[int]], data: st.DataObject
) -> None:
    keys = np.array([key for row in rows for key in row], np.uint16)
    lengths = np.array([len(row) for row in rows])
    held = Histograms(np.concatenate(([0], np.cumsum(lengths))), keys, keys)
    wanted = data.draw(st.lists(st.integers(0, len(rows) - 1)))
    found = held.of(np.array(wanted, np.int64))
    assert found.keys.tolist() == [key for row in wanted for key in rows[row]]
    assert found.lengths.tolist() == [len(rows[row]) for row in wanted]
    low = data.draw(st.integers(0, len(rows)))
    high = data.draw(st.integers(low, len(rows)))
    between = held.between(low, high)
    assert between.keys.tolist() == [key for row in rows[low:high] for key in row]


def test_a_plan_has_every_moment_once_and_asks_anew_for_what_changes() -> None:
    start = 1_700_000_100
    start -= start % QUARTER
    manifest = Manifest(
        {QUARTER: {start + QUARTER * place: 4096 * (place + 1) for place in range(6)}},
        dirty=[(start + 2 * QUARTER, start + 3 * QUARTER), (start + 6 * QUARTER, start + 10**9)],
        gone={0: start + 60},
    )
    since, until = (start + 30) * _MICRO + 1, (start + 7 * QUARTER) * _MICRO
    found = plan(units(since, until, manifest, levels=(MINUTE,)), manifest, ["total"])
    assert found
    assert found.live == (
        (since, (start + 60) * _MICRO),
        ((start + 2 * QUARTER) * _MICRO, (start + 3 * QUARTER) * _MICRO),
        ((start + 6 * QUARTER) * _MICRO, until),
    )
    spans = [*found.live, *((p.since, p.until) for p in (*found.rolled, *found.quarters))]
    spans.sort()
    assert spans[0][0] == since
    assert spans[-1][1] == until
    assert all(one[1] == other[0] for one, other in pairwise(spans))
    assert {piece.key for piece in found.rolled} == {
        Key("total", MINUTE, start + QUARTER * place, 4096 * (place + 1))
        for place in (0, 1, 3, 4, 5)
    }


def test_a_plan_of_too_many_pieces_is_none() -> None:
    manifest = Manifest({QUARTER: {QUARTER * place: 4096 for place in range(1, 600)}})
    found = units(0, 600 * QUARTER * _MICRO, manifest, levels=(QUARTER,))
    assert plan(found, manifest, ["total"]) is None


def _tile(numbers: int) -> Values:
    zeros = np.zeros(numbers, np.uint8)
    return Values(zeros, zeros, zeros, np.zeros((13, 0)), Histograms(zeros, zeros, zeros))


def test_what_was_used_longest_ago_goes_first() -> None:
    kept = Cache(4 * (nbytes(_tile(1_000)) + 1_024))
    shelf = kept.shelf("acme")
    for name in "abcd":
        kept.put(shelf, name, _tile(1_000))
    assert kept.get(shelf, "a") is not None
    kept.put(shelf, "e", _tile(1_000))
    assert [name for name in "abcde" if kept.get(shelf, name) is not None] == ["a", "c", "d", "e"]
    assert kept.size == kept.most_bytes
    kept.put(shelf, "huge", _tile(100_000))
    assert kept.size == 0


def test_what_nobody_uses_goes_and_its_place_is_never_taken_by_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1_000.0
    monkeypatch.setattr("pulse.analytics.tiles.cache.time.monotonic", lambda: now)
    kept = Cache(10**6)
    shelf = kept.shelf("acme")
    kept.put(shelf, "a", _tile(10))
    now += cache.IDLE_SECONDS - 1
    assert kept.shelf("acme") is shelf
    assert kept.get(shelf, "a") is not None
    now += cache.IDLE_SECONDS
    fresh = kept.shelf("other")
    assert kept.size == 0
    assert kept.shelf("acme") is not shelf
    assert len({one.strings.serial for one in (shelf, fresh, kept.shelf("acme"))}) == 3


def test_an_owner_with_too_many_texts_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_STRINGS", 3)
    kept = Cache(10**6)
    shelf = kept.shelf("acme")
    for text in ("a", "b", "c"):
        shelf.strings.number(text)
    kept.put(shelf, "tile", _tile(10))
    assert kept.shelf("acme") is not shelf
    assert kept.get(kept.shelf("acme"), "tile") is None


def test_texts_count_to_the_memory_and_go_with_the_last_tile_that_needs_them() -> None:
    kept = Cache(300_000)
    shelves = []
    for number in range(40):
        shelf = kept.shelf(number)
        for text in range(200):
            shelf.strings.number(f"host-{text}.of-{number}.example")
        kept.put(shelf, "tile", _tile(1_000))
        assert sum(one.strings.nbytes for one in kept._shelves.values()) < kept.size
        assert kept.size <= kept.most_bytes
        shelves.append(shelf)
    assert kept.get(shelves[0], "tile") is None
    assert kept.get(shelves[-1], "tile") is not None
    assert set(kept._shelves) == set(range(40 - len(kept._shelves), 40))
    assert kept.shelf(0) is not shelves[0]
    # Whoever still works with a shelf that is given up keeps nothing in it.
    before = kept.size
    kept.put(shelves[0], "tile", _tile(1_000))
    assert (kept.get(shelves[0], "tile"), kept.size) == (None, before)
    for text in range(5_000):
        shelves[-1].strings.number(f"{text}.example")
    assert kept.shelf(39) is shelves[-1]
    assert set(kept._shelves) == {0}
    assert kept.size == 0


def test_an_owner_with_too_many_texts_is_left_to_the_engine_for_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cache, "MAX_STRINGS", 3)
    found = _memory(monkeypatch, 10**6)
    key = Key("total", QUARTER, 0, 4096)
    reader = reading.Reader(OWNER, None, found)
    found.put(reader.shelf, key, _tile(10))
    assert set(reader.tiles([key]) or ()) == {key}
    for text in "abc":
        reader.shelf.strings.number(text)
    assert reading.Reader(OWNER, None, found).tiles([key]) is None
    assert found.size == 0


def test_many_stretches_that_change_are_the_engines() -> None:
    def planned(stretches: int) -> Any:
        dirty = [(QUARTER * 2 * n, QUARTER * (2 * n + 1)) for n in range(stretches)]
        manifest = Manifest(dirty=dirty)
        return plan(
            units(0, 10**6 * QUARTER * _MICRO, manifest, levels=(QUARTER,)), manifest, ["total"]
        )

    found = planned(MAX_SPANS)
    assert len(found.live) == MAX_SPANS
    assert planned(MAX_SPANS + 1) is None
    assert planned(50_000) is None


def test_what_is_refused_is_noted_beside_whoever_looks_through_the_notes() -> None:
    shelf = Cache(1).shelf("acme")
    shelf.refuse("a")
    for name in shelf._refused:
        shelf.refuse(f"not {name}")
    assert [shelf.is_refused(name) for name in ("a", "not a", "b")] == [True, True, False]


def test_behind_the_retention_of_quarters_requests_are_asked_for_anew() -> None:
    manifest = Manifest({QUARTER: {0: 4096, QUARTER: 8192}}, gone={0: 60, QUARTER: QUARTER})
    found = plan(units(0, 2 * QUARTER * _MICRO, manifest, levels=()), manifest, ["total"])
    assert found
    assert found.live == ((0, QUARTER * _MICRO),)
    assert [piece.key.version for piece in found.quarters] == [8192]


@database
def test_much_is_read_by_one_at_a_time_and_once(
    store: Store, set_clock: Clock, held: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted(store, set_clock)
    monkeypatch.setattr(reading, "_ALONE", 10**12)
    manifest, reads, everybody = manifest_for(OWNER, ALL), [], Barrier(4)

    def sizes(*args: Any, **kwargs: Any) -> Any:
        found = columns.sizes(*args, **kwargs)
        everybody.wait(30)  # all of them have seen that it is not in memory
        return found

    def values(*args: Any, **kwargs: Any) -> Any:
        reads.append(held.large.locked())
        return columns.values_under(*args, **kwargs)

    monkeypatch.setattr(reading, "sizes", sizes)
    monkeypatch.setattr(reading, "values_under", values)
    version = next(iter(manifest.versions[QUARTER].items()))

    def ask(_: int) -> int:
        tiles = reading.Reader(OWNER, store, held).tiles([Key("host", QUARTER, *version)])
        return len(tiles or ())

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [1] * 4
    assert reads == [True]


@database
def test_who_is_limited_to_environments_has_tiles_of_their_own(
    store: Store, set_clock: Clock, held: Cache
) -> None:
    counted(store, set_clock)
    limited = replace(OWNER, environments=frozenset({PROD}))
    blind = replace(OWNER, environments=frozenset())
    scopes = (OWNER, limited, STRANGER, blind)
    for scope in (*scopes, *reversed(scopes)):
        for narrowing in ({}, {"environments": (TEST,)}, {"host": "users.svc"}):
            chosen = replace(ALL, **narrowing)
            page = analytics.traffic_page(scope, chosen, store=store)
            expected = raw_series.series(scope, chosen, page.requests.step // timedelta(
                microseconds=1), store=store)[1]  # fmt: skip
            assert page.totals.requests == (expected.requests if expected else 0)
    assert held.size


@pytest.mark.parametrize("narrow", ["memory", "live", "off"])
@database
def test_what_is_too_large_is_left_to_the_engine(
    store: Store, set_clock: Clock, monkeypatch: pytest.MonkeyPatch, narrow: str
) -> None:
    counted(store, set_clock)
    load_some(store, seeded(4), 50)  # quarters that are dirty
    expected = analytics.traffic_page(OWNER, ALL, store=store)
    found = _memory(monkeypatch, {"memory": 1_000, "live": 10**8, "off": 0}[narrow])
    if narrow == "live":
        monkeypatch.setattr(reading, "MAX_REQUESTS", 5)
    asked = question_of(OWNER, ALL, manifest_for(OWNER, ALL), store=store)
    assert (asked is None) == (narrow == "off")
    if asked:
        assert asked.series(steps_for(ALL.since, ALL.until)) is None
        assert asked.ranks(TOPS, 10) is None
        assert asked.series(steps_for(ALL.since, ALL.until)) is None
    assert analytics.traffic_page(OWNER, ALL, store=store) == expected
    assert found.size <= found.most_bytes


@database
def test_what_is_refused_is_not_looked_at_again_for_a_minute(
    store: Store, set_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted(store, set_clock)
    _memory(monkeypatch, 1_000)
    asked = question_of(OWNER, ALL, manifest_for(OWNER, ALL), store=store)
    assert asked
    assert asked.ranks(TOPS, 10) is None

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was looked at again")

    monkeypatch.setattr(reading, "sizes", never)
    assert asked.ranks(TOPS, 10) is None


@database
def test_numbers_that_no_one_expects(store: Store, set_clock: Clock, held: Cache) -> None:
    odd = [
        event(
            timestamp=BEGIN + timedelta(minutes=7 * place, microseconds=place),
            bytes_sent=2**63 - 1,
            bytes_received=2**63 - 1,
            duration_us=(0, 1, 2**63 - 1, 1_000)[place % 4],
            status=(0, 99, 100, 599, 600, 999)[place % 6],
            host=("ä.example", "例え.example", "", "🎈.example", "z" * 253)[place % 5],
        )
        for place in range(240)
    ]
    frames = [frame(lines(*odd), account_id=OWNER.account_id, environment_id=PROD)]
    load_frames(store, frames)
    set_clock(NOON + timedelta(days=1))
    rebuild_touched(store=store)
    filters: tuple[dict[str, Any], ...] = (
        {},
        {"status": 999},
        {"status_class": "none"},
        {"host": "例え.example"},
        {"host": "ä.example", "status": 600},
        {"process": "/bin/none"},
    )
    for narrowing in filters:
        chosen = replace(ALL, **narrowing)
        asked = question_of(OWNER, chosen, manifest_for(OWNER, chosen), store=store)
        assert asked
        steps = steps_for(chosen.since, chosen.until)
        plain = raw_series.series(OWNER, chosen, steps.step_us, store=store)
        assert asked.series(steps) == plain
        kinds = ("host", "status", "class")
        ranked = asked.ranks(kinds, 1_000)
        assert ranked is not None
        expected = tops(OWNER, chosen, kinds[:2], 1_000, store=store)
        assert {kind: list(ranked[kind].groups) for kind in kinds[:2]} == expected
    assert held.size


@database
def test_several_ask_at_once(store: Store, set_clock: Clock, held: Cache) -> None:
    counted(store, set_clock)
    expected = analytics.traffic_page(OWNER, ALL, store=store)

    def ask(_: int) -> bool:
        try:
            return analytics.traffic_page(OWNER, ALL, store=store) == expected
        finally:
            connections.close_all()

    held.__init__(held.most_bytes)  # type: ignore[misc]
    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(ask, range(18)))


def test_an_account_above_asks_for_nothing() -> None:
    reseller = replace(OWNER, account_id=UUID(int=5), tier=type(OWNER.tier).RESELLER)
    assert question_of(reseller, ALL, Manifest()) is None
