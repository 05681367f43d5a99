"""Spans and covers: every moment once, in few pieces."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pulse.rollups.spans import MAX_SPANS, spans_of
from pulse.store.filters import TrafficFilter
from pulse.store.rolled import kinds, read
from pulse.store.rolled.cover import MAX_SPANS as MAX_RAW
from pulse.store.rolled.cover import Manifest, cover
from tests.pulse.lines import NOON


@given(
    st.lists(st.integers(0, 400), max_size=200),
)
def test_spans_cover_their_quarters_and_are_few(places: list[int]) -> None:
    quarters = [NOON + timedelta(minutes=15 * place) for place in places]
    spans = spans_of(quarters)
    assert len(spans) <= MAX_SPANS
    assert all(any(low <= q < high for low, high in spans) for q in quarters)
    ends = [moment for span in spans for moment in span]
    assert ends == sorted(set(ends))


@given(st.data())
def test_a_cover_has_every_moment_once(data: st.DataObject) -> None:
    quarter, day = kinds.QUARTER, kinds.DAY
    known = data.draw(st.sets(st.integers(0, 3 * 96 - 1)))
    hours = {h for h in range(72) if data.draw(st.booleans()) and any(q // 4 == h for q in known)}
    days = {d for d in range(3) if data.draw(st.booleans())}
    dirty = data.draw(st.lists(st.integers(0, 3 * 96 - 1), max_size=40))
    manifest = Manifest(
        {
            quarter: {q * quarter: 10_000 + q * 4096 for q in known},
            kinds.HOUR: {h * kinds.HOUR: 20_000_000 + h * 4096 for h in hours},
            day: {d * day: 30_000_000 + d * 4096 for d in days},
        },
        [(q * quarter, (q + 1) * quarter) for q in dirty],
    )
    micro = 1_000_000
    since = data.draw(st.integers(0, 3 * day * micro - 2))
    until = data.draw(st.integers(since + 1, 3 * day * micro))
    levels = data.draw(
        st.sampled_from([(day, 3_600, 900, 60), (3_600, 900), (900, 60), (60,), (900,), ()])
    )
    found = cover(since, until, manifest, levels=levels)
    assert len(found.raw) <= MAX_RAW
    spans = list(found.raw)
    for part in found.rolled:
        assert part.level in levels
        spans += [_span(version, part, manifest) for version in part.versions]
    spans.sort()
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    assert all(since <= low < high <= until for low, high in spans)
    for q in {*known, *dirty}:
        low, high = max(since, q * quarter * micro), min(until, (q + 1) * quarter * micro)
        if low < high:
            inside = sum(min(high, b) - max(low, a) for a, b in spans if a < high and low < b)
            assert inside == high - low
        if q in dirty:
            assert not any(
                a < high and low < b for a, b in set(spans) - set(found.raw) if low < high
            )


def _span(version: int, part: Any, manifest: Manifest) -> tuple[int, int]:
    for length, entries in manifest.versions.items():
        for start, known in entries.items():
            if known == version:
                low, high = max(start, part.since), min(start + length, part.until)
                return low * 1_000_000, high * 1_000_000
    raise AssertionError(version)


def test_a_wanted_kind_that_a_quarter_lacks_is_read_raw() -> None:
    flag = kinds.flag_of("host")
    manifest = Manifest({kinds.QUARTER: {0: 4096 | flag, 900: 8192}})
    found = cover(0, 1_800_000_000, manifest, levels=(900,), without=flag)
    assert found.raw == ((0, 900_000_000),)
    assert found.rolled[0].versions == (8192,)
    other = cover(0, 1_800_000_000, manifest, levels=(900,), without=kinds.flag_of("route"))
    assert (other.raw, len(other.rolled[0].versions)) == ((), 2)


def test_what_rollups_cannot_tell_is_counted_raw() -> None:
    plain = TrafficFilter(since=NOON - timedelta(days=3), until=NOON)
    assert read.source_of(plain) == read.Source("total")
    assert read.source_of(replace(plain, path_prefix="/x")) is None
    assert read.ranks_from(plain, ("host", "path")) is None
    assert read.ranks_from(replace(plain, host="x"), ("hostname",)) is None
