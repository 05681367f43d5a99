"""Nodes whose clock is wrong: nothing is refused, nothing is lost, and no page is led astray."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.uplink.columnar import columns_of
from pulse.ingest.batch import parse_batch
from pulse.ingest.clocks import AHEAD, BEHIND, placed
from pulse.ingest.columnar import parse_columns
from pulse.ingest.settings import IngestSettings
from pulse.loader.loader import Loader
from pulse.metering import recompute_touched
from pulse.models import UsageHour
from pulse.spool.folder import SpoolFolder
from pulse.store.client import Store
from pulse.store.gate import ask_as_system
from pulse.tables.rollups import TouchedSpan
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person
from tests.pulse.door import Sender, Somebody, Tokens, door
from tests.pulse.lines import NOON, event, lines

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UTC_TIMES = st.datetimes(timezones=st.just(UTC))
HOSTILE = (
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+05:00",
    "1970-01-01T00:00:00Z",
    "1999-12-31T23:59:59.999999Z",
    "2199-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59.999999-05:00",
)


def said(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def read(payload: pa.Buffer) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = pa.ipc.open_stream(payload).read_all().to_pylist()
    return rows


@given(st.lists(UTC_TIMES, min_size=1, max_size=8))
def test_each_event_is_placed_by_itself(moments: list[datetime]) -> None:
    table = pa.table({"timestamp": pa.array(moments, pa.timestamp("us", "UTC"))})
    found = placed(table, NOON).to_pylist()
    assert len(found) == len(moments)
    for moment, row in zip(moments, found, strict=True):
        if NOON - BEHIND <= moment <= NOON + AHEAD:
            assert row["timestamp"] == moment
            assert not row.get("clock_suspect")
            assert not row.get("reported_us")
        else:
            assert row == {
                "timestamp": NOON, "clock_suspect": True, "reported_us": said(moment),
            }  # fmt: skip


def test_clocks_that_are_right_cost_nothing() -> None:
    moments = [NOON - BEHIND, NOON, NOON + AHEAD]
    table = pa.table({"timestamp": pa.array(moments, pa.timestamp("us", "UTC"))})
    assert placed(table, NOON) is table


@pytest.mark.parametrize("text", HOSTILE)
def test_lines_and_columns_say_the_same(text: str) -> None:
    right, wrong = lines(event(path="/right")), lines(event(path="/wrong"))
    body = right + wrong.replace(b"2026-11-20T12:00:00Z", text.encode())
    assert text.encode() in body
    expected = read(parse_batch(body, received_at=NOON, replaying=False).payload)
    assert [row["timestamp"] for row in expected] == [NOON, NOON]
    assert [row["clock_suspect"] for row in expected] == [False, True]
    assert expected[0]["reported_us"] == 0
    if not text.endswith(("+05:00", "-05:00")):
        # Python has no moment for those two, and needs none.
        assert expected[1]["reported_us"] == said(datetime.fromisoformat(text))
    found = parse_columns(columns_of(body), received_at=NOON, replaying=False)
    assert read(found.payload) == expected
    # Spaces make it go the exact way.
    spaced = body.replace(b'"scheme":"https"', b'"scheme" : "https" , "x": null')
    exactly = read(parse_batch(spaced, received_at=NOON, replaying=False).payload)
    keys = ("timestamp", "clock_suspect", "reported_us")
    assert [[r[k] for k in keys] for r in exactly] == [[r[k] for k in keys] for r in expected]


@pytest.mark.django_db(transaction=True)
def test_they_are_stored_and_counted_when_they_arrive(
    spool: SpoolFolder, store: Store, customer_owner: Person
) -> None:
    account = customer_owner.account.id
    tokens = Tokens(owner=Somebody(account_id=account))
    began = now()
    with door(IngestSettings(spool=spool.path), tokens) as client:
        sender = Sender(client)
        for text in HOSTILE:
            body = lines(event(path=f"/{text}")).replace(
                b'"timestamp":"2026-11-20T12:00:00Z"', b'"timestamp":"%s"' % text.encode()
            )
            assert sender.send(body).status_code == 200
        assert sender.send(lines(event(path="/right", timestamp=began))).status_code == 200
    loader = Loader(spool, store, linger=0)
    assert loader.step() == len(HOSTILE) + 1
    rows = ask_as_system(
        "test",
        "SELECT path, clock_suspect, reported_us, timestamp BETWEEN received_at - 1 AND"
        " received_at + 1 FROM requests",
        {},
        store=store,
    )
    found = {row[0]: tuple(row[1:]) for row in rows}
    assert found.keys() == {"/right", *(f"/{text}" for text in HOSTILE)}
    assert found["/right"][:2] == (False, 0)
    assert all(found[f"/{text}"][::2] == (True, 1) for text in HOSTILE)
    assert found["/9999-12-31T23:59:59.999999Z"][1] == 253_402_300_799_999_999
    # Usage, rollups: the hours of their arrival, and no others.
    recompute_touched(store=store)
    with unscoped("test"):
        hours = list(UsageHour.objects.values_list("hour", "requests"))
        spans = list(TouchedSpan.objects.values_list("since", "until"))
    assert sum(requests for _, requests in hours) == len(HOSTILE) + 1
    assert all(began - timedelta(hours=1) < hour <= now() for hour, _ in hours)
    assert all(began - timedelta(hours=1) < since <= now() for since, _ in spans)
