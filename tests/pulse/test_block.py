"""Frames of different shapes in one block."""

from __future__ import annotations

from uuid import UUID

import pyarrow as pa
import pytest

from agent.uplink.columnar import columns_of
from pulse.ingest.batch import Batch, parse_batch
from pulse.ingest.columnar import parse_columns
from pulse.ingest.uuids import uuid_column
from pulse.loader.block import block_of, events_of, hours_of
from pulse.spool.frames import Frame, FrameHeader
from pulse.store.client import Store
from pulse.store.gate import ask_as_system
from pulse.store.loads import count_load, hours_of_load, insert_load
from qcloud.kernel.clock import now
from qcloud.kernel.ids import new_id
from tests.pulse.lines import NOON, event, lines
from wire.events import Outcome

pytestmark = pytest.mark.django_db


def frame(body: bytes, **origin: UUID) -> Frame:
    return frame_of(parse_batch(body, received_at=now(), replaying=False), **origin)


def frame_of(batch: Batch, **origin: UUID) -> Frame:
    names = ("agent_id", "account_id", "environment_id", "boot_id")
    ids = {name: new_id() for name in names} | origin
    header = FrameHeader(
        sequence=1,
        rows=batch.rows,
        received_at=now(),
        agent_id=ids["agent_id"],
        account_id=ids["account_id"],
        environment_id=ids["environment_id"],
        boot_id=ids["boot_id"],
    )
    return Frame(header, memoryview(batch.payload), 0)


def test_what_an_event_leaves_out_takes_its_default(store: Store) -> None:
    bare = frame(lines(event(path="/1", host="")))
    full = frame(
        lines(
            event(path="/2", agent="curl/8", outcome=Outcome.TRUNCATED, protocol="h2", user_id=7,
                  source_ip="10.0.0.1", destination_ip="2001:db8::1", replayed=True),
            event(path="/3", source_ip="no address"),
        )
    )  # fmt: skip
    load_id = new_id()
    assert insert_load(store, block_of([bare, full], load_id), "t") == 3
    rows = ask_as_system(
        "test",
        "SELECT path, agent, outcome, protocol, user_id, toString(source_ip),"
        " toString(destination_ip), replayed, vendor, exe FROM requests ORDER BY path",
        {},
        store=store,
    )
    assert [tuple(row) for row in rows] == [
        ("/1", "", "complete", "http1", 0, "::", "::", False, "", ""),
        ("/2", "curl/8", "truncated", "h2", 7, "::ffff:10.0.0.1", "2001:db8::1", True,
         "example.com", ""),
        ("/3", "", "complete", "http1", 0, "::", "::", False, "example.com", ""),
    ]  # fmt: skip


def test_batches_of_different_widths_become_one_block() -> None:
    hosts = [f"h{number}.example.com" for number in range(200)]
    many = lines(*(event(path=f"/{host}", host=host) for host in hosts))
    few = lines(event(path="/w", host="w.example.com", bytes_sent=2**40, status=404))
    as_columns = [
        frame_of(parse_columns(columns_of(body), received_at=now(), replaying=False))
        for body in (few, many)
    ]
    load_id = new_id()
    block = block_of([*as_columns, frame(few), frame(many)], load_id)
    assert block["path"].to_pylist() == ["/w", *(f"/{host}" for host in hosts)] * 2
    assert block["host"].to_pylist() == ["w.example.com", *hosts] * 2
    assert block["bytes_sent"].to_pylist() == ([2**40] + [None] * 200) * 2
    assert block["status"].to_pylist() == ([404] + [200] * 200) * 2
    assert {chunk.num_chunks for chunk in block.columns} == {1}
    assert block.slice(0, 201)["agent_id"].to_pylist() == [
        as_columns[0].header.agent_id.bytes,
        *[as_columns[1].header.agent_id.bytes] * 200,
    ]


def test_batches_that_overtook_each_other_are_put_in_order() -> None:
    one, other = sorted((new_id(), new_id()))
    spans = [(other, 5), (one, 9), (other, 1), (one, 3)]
    frames = [
        frame(
            lines(*(event(path=f"/{minute}", timestamp=NOON.replace(minute=minute)) for _ in "ab")),
            account_id=account,
        )
        for account, minute in spans
    ]
    block = block_of(frames, new_id())
    rows = list(zip(block["account_id"].to_pylist(), block["path"].to_pylist(), strict=True))
    places = [(one, "/3"), (one, "/9"), (other, "/1"), (other, "/5")]
    assert rows == [(account.bytes, path) for account, path in places for _ in "ab"]
    senders = {f.header.account_id.bytes + f.header.agent_id.bytes for f in frames}
    pairs = zip(block["account_id"].to_pylist(), block["agent_id"].to_pylist(), strict=True)
    assert {account + agent for account, agent in pairs} == senders


def test_the_same_token_writes_nothing_twice(store: Store) -> None:
    load_id = new_id()
    block = block_of([frame(lines(event(), event()))], load_id)
    insert_load(store, block, str(load_id))
    insert_load(store, block, str(load_id))
    assert count_load(store, load_id) == 2


def test_hours_are_those_of_the_events(store: Store) -> None:
    both = frame(lines(event(), event(timestamp=NOON.replace(hour=13, minute=59))))
    expected = {
        (both.header.account_id, both.header.environment_id, NOON.replace(hour=hour))
        for hour in (12, 13)
    }
    assert hours_of([both]) == expected
    load_id = new_id()
    insert_load(store, block_of([both], load_id), "t")
    assert set(hours_of_load(store, load_id)) == expected


@pytest.mark.parametrize(
    ("most", "kind"),
    [(255, "uint8"), (256, "uint16"), (2**16, "uint32"), (2**32, "int64"), (2**63 - 1, "int64")],
)
def test_lines_are_spooled_as_narrow_as_their_values(most: int, kind: str) -> None:
    table = events_of(frame(lines(event(bytes_sent=most), event(bytes_sent=0))))
    assert str(table.schema.field("bytes_sent").type) == kind
    assert table["bytes_sent"].to_pylist() == [most, 0]
    assert str(table.schema.field("host").type).startswith("dictionary<values=string, indices=int8")


def test_more_texts_than_narrow_places_have_wide_ones() -> None:
    for hosts, indices in ((127, "int8"), (128, "int32")):
        table = events_of(frame(lines(*(event(host=f"h{n}.example") for n in range(hosts)))))
        assert f"indices={indices}" in str(table.schema.field("host").type)
        assert table["host"].to_pylist() == [f"h{n}.example" for n in range(hosts)]


@pytest.mark.parametrize(
    "odd",
    [
        "0192f0e4-7a3b-7c4d-8e5f-0123456789a",  # one less
        "0192f0e4-7a3b-7c4d-8e5f-0123456789ag",
        "0192f0e4-7a3b-7c4d-8e5f-01234567 9ab",
        "0192f0e4-7a3b-7c4d-8e5f-012345-789ab",  # one hyphen more
        "0192f0e4-7a3b-7c4d-8e5f-0123--67--ab",
        "0192f0e47-a3b-7c4d-8e5f-0123456789ab",  # in another place
        "0192f0e4-7a3b-7c4d-8e5f-0123456789ä",
    ],
)
def test_what_is_no_uuid_is_told(odd: str) -> None:
    good = "0192F0E4-7a3b-7c4d-8e5f-0123456789ab"
    assert uuid_column(pa.array([good, odd])) is None
    found = uuid_column(pa.array([odd, good, good]).slice(1))
    assert found is not None
    assert found.to_pylist() == [UUID(good).bytes] * 2
