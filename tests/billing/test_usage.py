"""Gathering metered hours: replay, order and late hours."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rating.usage import (
    NOTHING,
    Counts,
    HourRow,
    Metric,
    Source,
    digest_of,
    gather,
)
from qcloud.kernel.errors import Conflict
from tests.billing.strategies import START, hour_rows

MARKS = st.tuples(*[st.integers(-1, 745).map(lambda n: START + timedelta(hours=n))] * 2)
HERE = Source(UUID(int=1), UUID(int=2))


@given(rows=hour_rows(), data=st.data())
def test_replay_and_order_do_not_matter(rows: list[HourRow], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(rows), max_size=10)) if rows else []
    shuffled = data.draw(st.permutations([*rows, *again]))
    assert gather(shuffled) == gather(rows)


@given(rows=hour_rows())
def test_sums_are_the_rows_own(rows: list[HourRow]) -> None:
    gathered = gather(rows)
    for source, part in gathered.items():
        mine = [row.counts for row in rows if row.source == source and row.counts != Counts()]
        assert part.whole.counts == sum(mine, Counts())
        assert part.whole.hours == len(mine)
    assert set(gathered) == {row.source for row in rows if row.counts != Counts()}


@given(rows=hour_rows(), marks=MARKS)
def test_the_part_before_a_mark_is_what_gathering_less_would_give(
    rows: list[HourRow], marks: tuple[datetime, datetime]
) -> None:
    for source, part in gather(rows, marks).items():
        for mark, before in zip(marks, part.before, strict=True):
            less = gather(row for row in rows if row.hour < mark)
            assert before == (less[source].whole if source in less else NOTHING)


@given(rows=hour_rows().filter(bool), data=st.data())
def test_any_changed_count_changes_the_digest(rows: list[HourRow], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(rows) - 1))
    counts = rows[index].counts
    changed = replace(rows[index], counts=replace(counts, requests=counts.requests + 1))
    other = [*rows[:index], changed, *rows[index + 1 :]]
    assert digest_of(gather(other).values()) != digest_of(gather(rows).values())
    fewer = [*other[:index], *other[index + 1 :]]
    assert digest_of(gather(fewer).values()) != digest_of(gather(other).values())


def test_two_truths_about_one_hour_are_refused() -> None:
    rows = [HourRow(HERE, START, Counts(requests=n)) for n in (1, 2)]
    with pytest.raises(Conflict) as refused:
        gather(rows)
    assert refused.value.code == "billing.usage_contradicts"


def test_bytes_are_sent_and_received_together() -> None:
    counts = Counts(1, 2, 3, 4, 5, 6)
    assert {metric: counts.of(metric) for metric in Metric} == {
        Metric.REQUESTS: 1,
        Metric.REQUESTS_INGRESS: 2,
        Metric.REQUESTS_EGRESS_INTERNAL: 3,
        Metric.REQUESTS_EGRESS_EXTERNAL: 4,
        Metric.BYTES: 11,
        Metric.BYTES_SENT: 5,
        Metric.BYTES_RECEIVED: 6,
    }


def test_an_hour_of_zeros_is_as_good_as_none() -> None:
    """Metering writes them over hours whose events are gone."""
    row, later = HourRow(HERE, START, Counts(1)), START + timedelta(hours=1)
    assert gather([row, HourRow(HERE, later, Counts())], (later,)) == gather([row], (later,))
    assert gather([HourRow(HERE, START, Counts())]) == {}
