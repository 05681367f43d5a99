"""Batches in columns: the same events as lines are, and nothing that lines would not be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from agent.uplink.columnar import columns_of
from bench.corpora import event_batches
from pulse.errors import MalformedBatch
from pulse.ingest.batch import parse_batch
from pulse.ingest.columnar import parse_columns
from pulse.ingest.settings import IngestSettings
from pulse.loader.loader import Loader
from pulse.spool.folder import SpoolFolder
from pulse.store.client import Store
from pulse.store.gate import ask_as_system
from qcloud.kernel.clock import now
from tests.pulse.door import Client, Sender, Somebody, Tokens, door
from tests.pulse.lines import event, lines
from wire.protocol import COLUMNS_CONTENT_TYPE, MAX_BATCH_LINES

GOOD = lines(event(path="/a", exe="/bin/a"), event(path="/b", status=404, replayed=True))


def columns(body: bytes = GOOD) -> pa.Table:
    return pa.ipc.open_stream(columns_of(body)).read_all()


def stream(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, **options) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def parsed(body: bytes, *, replaying: bool = False) -> pa.Table:
    batch = parse_columns(body, received_at=now(), replaying=replaying)
    table = pa.ipc.open_stream(batch.payload).read_all()
    assert table.num_rows == batch.rows
    return table


def changed(name: str, values: Any) -> bytes:
    table = columns()
    if name in table.column_names:
        return stream(table.set_column(table.column_names.index(name), name, values))
    return stream(table.append_column(name, values))


@pytest.mark.parametrize("replaying", [True, False])
def test_columns_become_what_lines_become(replaying: bool) -> None:  # noqa: FBT001
    for body in (GOOD, *event_batches(2_000, 1_000)):
        batch = parse_batch(body, received_at=now() + timedelta(days=1), replaying=replaying)
        expected = pa.ipc.open_stream(batch.payload).read_all()
        found = parsed(columns_of(body), replaying=replaying)
        assert found.column_names == expected.column_names
        assert found.to_pylist() == expected.to_pylist()


def test_what_the_agent_sends_is_kept_byte_for_byte() -> None:
    body = columns_of(GOOD)
    assert bytes(parse_columns(body, received_at=now(), replaying=False).payload) == body


def _noted(table: pa.Table) -> bytes:
    return stream(table.replace_schema_metadata({"note": "x"}))


def _noted_beside(table: pa.Table) -> bytes:
    field = table.schema.field("path").with_metadata({"ARROW:extension:name": "x"})
    place = table.schema.get_field_index("path")
    return stream(table.cast(table.schema.set(place, field)))


ANEW: dict[str, Callable[[pa.Table], bytes]] = {
    "a column of another": lambda table: stream(table.append_column("x", pa.array([1, 2]))),
    "a note": _noted,
    "a note beside a column": _noted_beside,
    "bytes behind the end": lambda table: stream(table) + b"more",
    "two record batches": lambda table: stream(
        pa.Table.from_batches([*table.slice(0, 1).to_batches(), *table.slice(1).to_batches()])
    ),
    "a default left out": lambda table: stream(table.drop_columns(["outcome"])),
    "numbers without room": lambda table: stream(
        table.set_column(
            table.column_names.index("status"), "status", table["status"].cast(pa.uint64())
        )
    ),
}


@pytest.mark.parametrize("make", ANEW.values(), ids=ANEW.keys())
def test_whatever_else_comes_is_written_anew(make: Callable[[pa.Table], bytes]) -> None:
    body = make(columns())
    batch = parse_columns(body, received_at=now(), replaying=False)
    assert bytes(batch.payload) != body
    found = pa.ipc.open_stream(batch.payload).read_all()
    assert found.to_pylist() == columns().to_pylist()
    assert found.schema.metadata is None
    assert all(field.metadata is None for field in found.schema)


def test_sixteen_bytes_are_as_good_as_text() -> None:
    ids = pa.array([bytes(15) + b"1", bytes(15) + b"2"], pa.binary(16))
    assert parsed(changed("request_id", ids))["request_id"].to_pylist() == ids.to_pylist()


def test_an_account_in_the_batch_is_not_looked_at() -> None:
    assert "account_id" not in parsed(changed("account_id", pa.array(["x", "y"]))).column_names


def test_buffers_that_are_packed_once_more_are_written_anew() -> None:
    table = columns(b"".join(event_batches(1_000, 1_000)))
    body = stream(table, options=pa.ipc.IpcWriteOptions(compression="zstd"))
    batch = parse_columns(body, received_at=now() + timedelta(days=1), replaying=False)
    assert batch.payload.size > len(body)
    assert pa.ipc.open_stream(batch.payload).read_all().to_pylist() == table.to_pylist()


TWO = {
    "an unknown direction": ("direction", pa.array(["sideways", "ingress"]).dictionary_encode()),
    "a hidden choice": (
        "direction",
        pa.DictionaryArray.from_arrays(pa.array([0, 0]), pa.array(["ingress", "sideways"])),
    ),
    "a status above 999": ("status", pa.array([200, 1_000])),
    "a negative duration": ("duration_us", pa.array([-1, 1])),
    "too big a number": ("bytes_sent", pa.array([1, 2**63], pa.uint64())),
    "a fraction": ("status", pa.array([200.0, 200.5])),
    "a null": ("status", pa.array([200, None])),
    "a null in a dictionary": (
        "host",
        pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["a", None])),
    ),
    "a long name": ("host", pa.array(["a" * 1_025, "b"])),
    "no digest": ("object_digest", pa.array(["x", ""])),
    "an id of another form": ("request_id", pa.array(["x" * 36, "y" * 36])),
    "bytes for text": ("path", pa.array([b"/a", b"/b"])),
    "time in seconds": ("timestamp", pa.array([1, 2], pa.timestamp("s"))),
}


@pytest.mark.parametrize(("name", "values"), TWO.values(), ids=TWO.keys())
def test_a_column_that_is_wrong_is_named(name: str, values: Any) -> None:
    with pytest.raises(MalformedBatch, match=name):
        parsed(changed(name, values))


def test_a_required_column_is_missed() -> None:
    with pytest.raises(MalformedBatch, match="path is missing"):
        parsed(stream(columns().drop_columns(["path"])))


def _many(table: pa.Table) -> bytes:
    return stream(pa.concat_tables([table] * 65))


def _hollow(_: pa.Table) -> bytes:
    rows = MAX_BATCH_LINES + 1
    return stream(pa.table({"x": pa.nulls(rows)}))


def _twice(table: pa.Table) -> bytes:
    return stream(
        pa.Table.from_arrays([*table.columns, table["path"]], [*table.schema.names, "path"])
    )


def _wild_index(table: pa.Table) -> bytes:
    wild = pa.DictionaryArray.from_arrays(
        pa.array([0, 7], pa.int32()), pa.array(["GET"]), safe=False
    )
    return stream(table.set_column(table.column_names.index("method"), "method", wild))


def _bomb(table: pa.Table) -> bytes:
    zeros = pa.array(["0" * 50_000_000, "0" * 50_000_000])
    wide = table.append_column("waste", zeros)
    return stream(wide, options=pa.ipc.IpcWriteOptions(compression="zstd"))


def _broken_text(table: pa.Table) -> bytes:
    data = bytearray(stream(table))
    place = data.index(b"/a/b")
    data[place : place + 2] = b"\xff\xfe"
    return bytes(data)


HOSTILE: dict[str, Callable[[pa.Table], bytes]] = {
    "nothing": lambda _: b"",
    "lines": lambda _: GOOD,
    "half": lambda table: stream(table)[:-200],
    "no rows": lambda table: stream(table.slice(0, 0)),
    "many record batches": _many,
    "more rows than bytes": _hollow,
    "a name twice": _twice,
    "an index out of the dictionary": _wild_index,
    "a bomb inside": _bomb,
    "text that is not UTF-8": _broken_text,
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_stream_that_is_not_sound_is_refused(make: Callable[[pa.Table], bytes]) -> None:
    with pytest.raises(MalformedBatch, match=r"Nothing of this batch was stored"):
        parsed(make(columns()))


@given(st.data())
def test_no_flipped_bytes_do_harm(data: st.DataObject) -> None:
    body = bytearray(stream(columns()))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        parse_columns(bytes(body), received_at=now(), replaying=False)
    except MalformedBatch:
        return


@pytest.fixture
def owner() -> Somebody:
    return Somebody()


@pytest.fixture
def client(spool: SpoolFolder, owner: Somebody) -> Iterator[Client]:
    with door(IngestSettings(spool=spool.path), Tokens(owner=owner)) as opened:
        yield opened


@pytest.mark.django_db(transaction=True)
def test_a_number_counts_once_in_whatever_form(
    spool: SpoolFolder, store: Store, owner: Somebody
) -> None:
    with door(IngestSettings(spool=spool.path), Tokens(owner=owner)) as client:
        sender = Sender(client)
        assert sender.again(GOOD, 1).status_code == 200
        kind = {"Content_Type": COLUMNS_CONTENT_TYPE}
        assert sender.again(columns_of(GOOD), 1, **kind).json()["accepted"] == 2
        assert sender.again(columns_of(GOOD), 2, **kind).status_code == 200
    loader = Loader(spool, store, linger=0)
    while loader.step() is not None:
        pass
    sql = "SELECT path, status, exe, replayed, count() FROM requests GROUP BY ALL ORDER BY path"
    rows = [tuple(row) for row in ask_as_system("test", sql, {}, store=store)]
    assert rows == [("/a", 200, "/bin/a", False, 2), ("/b", 404, "", True, 2)]


def test_the_door_says_what_is_wrong(client: Client) -> None:
    sender = Sender(client)
    kind = {"Content_Type": COLUMNS_CONTENT_TYPE}
    answer = sender.send(changed("status", pa.array([200, 1_000])), **kind)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "pulse.malformed_batch")
    assert "status" in answer.json()["error"]["message"]
    assert sender.again(zstandard.compress(b"x")[:5], 9, **kind).status_code == 422
