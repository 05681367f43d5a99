"""The embedded event store, as ``clickhouse_connect`` and an operator meet it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import clickhouse_connect
import pytest
import zstandard
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from pulse.errors import StoreUnavailable
from pulse.eventstore.main import main
from pulse.eventstore.settings import EventStoreSettings
from pulse.store.client import ClickHouseError, Store, unavailable
from pulse.store.migrate import migrate, names
from tests.pulse.processes import PASSWORD, EventStoreProcess, free_port


@pytest.fixture
def client(store: Store) -> Client:
    return store.client()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[EventStoreProcess]:
    process = EventStoreProcess(tmp_path / "data")
    process.start()
    yield process
    process.stop()


def test_parameters_are_values_and_never_text(client: Client) -> None:
    odd = "a'b\\c\td\ne{x:String}\0 ü"
    assert client.query("SELECT {x:String}", parameters={"x": odd}).result_rows == [(odd,)]


def test_inserts_of_every_kind(client: Client) -> None:
    client.command("CREATE TABLE t (a UInt32, b String) ENGINE = MergeTree ORDER BY a")
    client.insert("t", [[1, "native"]], column_names=["a", "b"])
    client.raw_insert("t", ["a", "b"], b'{"a":2,"b":"json"}\n', fmt="JSONEachRow")
    packed = zstandard.compress(b'{"a":3,"b":"packed"}\n')
    client.raw_insert("t", ["a", "b"], packed, fmt="JSONEachRow", compression="zstd")
    client.command("INSERT INTO t VALUES (4, 'values')")
    rows = client.query("SELECT a, b FROM t ORDER BY a").result_rows
    assert rows == [(1, "native"), (2, "json"), (3, "packed"), (4, "values")]


def test_a_broken_insert_leaves_nothing(client: Client) -> None:
    client.command("CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a")
    with pytest.raises(DatabaseError, match="code: 27"):
        client.raw_insert("t", ["a"], b'{"a":1}\n{"a":"x"}\n', fmt="JSONEachRow")
    assert client.command("SELECT count() FROM t") == 0


def test_results_stream(client: Client) -> None:
    with client.query_row_block_stream("SELECT number FROM numbers(500000)") as blocks:
        sizes = [len(block) for block in blocks]
    assert sum(sizes) == 500_000
    assert len(sizes) > 1


@pytest.mark.parametrize(
    ("sql", "code"),
    [("SELEC 1", 62), ("SELECT * FROM nowhere", 60), ("SELECT sleep(3)", 159)],
)
def test_refusals_carry_the_code_of_clickhouse(client: Client, sql: str, code: int) -> None:
    with pytest.raises(DatabaseError, match=f"code: {code}"):
        client.query(sql, settings={"max_execution_time": 1})


def test_settings_of_one_statement_do_not_reach_the_next(client: Client) -> None:
    asked = "SELECT value FROM system.settings WHERE name = 'max_threads'"
    assert client.query(asked, settings={"max_threads": 1}).result_rows == [("1",)]
    assert client.query(asked).result_rows != [("1",)]
    with pytest.raises(DatabaseError, match="READONLY"):
        client.command("CREATE TABLE t (a UInt8) ENGINE = Memory", settings={"readonly": 1})


def test_a_client_cannot_lift_the_bounds(client: Client) -> None:
    asked = "SELECT value FROM system.settings WHERE name = 'max_memory_usage'"
    (row,) = client.query(asked, settings={"max_memory_usage": 0}).result_rows
    assert row == (str(2 * 1024**3),)


def test_several_clients_at_once(client: Client) -> None:
    started = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: client.query("SELECT sleep(1)"), range(4)))
    assert time.monotonic() - started < 3.0


@pytest.mark.parametrize(("user", "password"), [("qcloud", "wrong"), ("root", PASSWORD), ("", "")])
def test_nobody_without_the_password(engine: EventStoreProcess, user: str, password: str) -> None:
    with pytest.raises(DatabaseError, match="code: 516"):
        clickhouse_connect.get_client(
            host="127.0.0.1", port=engine.port, username=user, password=password
        )


def test_migrations_are_applied_once(store: Store) -> None:
    assert migrate(store) == []
    assert names()[0] == "0001_requests.sql"
    assert [int(name[:4]) for name in names()] == list(range(1, len(names()) + 1))


def test_a_store_that_is_not_there(engine: EventStoreProcess) -> None:
    gone = Store(replace(engine.settings(), port=free_port()))
    with pytest.raises(StoreUnavailable, match="does not answer"):
        gone.client()


def test_killed_and_started_again_it_has_every_committed_row(own: EventStoreProcess) -> None:
    store = Store(own.settings())
    migrate(store)
    client = store.client()
    client.command(
        "CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a SETTINGS fsync_after_insert = 1"
    )
    for number in range(5):
        client.insert("t", [[number]], column_names=["a"])
    own.kill()
    own.start()
    rows = Store(own.settings()).client().query("SELECT a FROM t ORDER BY a").result_rows
    assert rows == [(number,) for number in range(5)]


_ENDLESS = "SELECT max(sipHash64(number)) FROM numbers(1000000000000)"


def _under_way(client: Client, statements: int) -> None:
    """Returns when so many run, this question not counted."""
    deadline = time.monotonic() + 20
    while int(str(client.command("SELECT count() FROM system.processes"))) <= statements:
        assert time.monotonic() < deadline


def test_told_to_stop_it_finishes_what_has_begun(own: EventStoreProcess) -> None:
    store = Store(own.settings(database="default"))
    client = store.client()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.command, "SELECT sleepEachRow(1) FROM numbers(2)")
        _under_way(client, 1)
        assert own.stop() == 0
        assert asked.result() == "0\n0"
    with pytest.raises(StoreUnavailable), unavailable(store.settings):
        client.command("SELECT 1")


def test_told_to_stop_it_cancels_what_does_not_end(own: EventStoreProcess) -> None:
    """The engine was once taken away from under its statements, and died of it."""
    client = Store(own.settings(database="default")).client()
    client.command("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(client.command, _ENDLESS) for _ in range(3)]
        asked.append(pool.submit(client.command, f"INSERT INTO t {_ENDLESS}"))
        _under_way(client, 4)
        assert own.stop() == 0
        for each in asked:
            with pytest.raises(ClickHouseError):
                each.result()
    assert "eventstore stopped" in own.log.read_text().splitlines()[-1]
    own.start()
    again = Store(own.settings(database="default")).client()
    assert again.command("SELECT count() FROM t") == 0


def test_a_reader_that_hangs_up_half_way_leaves_no_statement(own: EventStoreProcess) -> None:
    headers = {"X-ClickHouse-User": "qcloud", "X-ClickHouse-Key": PASSWORD}
    sql = "SELECT number, rand64() FROM numbers(1000000000) FORMAT Native"
    for _ in range(4):
        connection = HTTPConnection("127.0.0.1", own.port, timeout=10)
        connection.request("POST", "/", sql, headers)
        with closing(connection):
            assert connection.getresponse().read(100_000)
    client = Store(own.settings(database="default")).client()
    deadline = time.monotonic() + 20
    while client.command("SELECT count() FROM system.processes") != 1:
        assert time.monotonic() < deadline
    assert own.stop() == 0


def test_a_second_process_on_the_same_folder_is_refused(own: EventStoreProcess) -> None:
    second = own.spawn()
    assert second.wait(20) == 1
    assert "another event store (process" in own.log.read_text()
    assert Store(own.settings(database="default")).client().command("SELECT 1") == 1


def settings(path: Path, **changes: object) -> EventStoreSettings:
    return replace(EventStoreSettings(path=path, password=PASSWORD, port=0), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("store", "x", "no finished event store"),
        ("format", "qcloud eventstore 99\n", "another version"),
        ("format", "qcloud eventstore 1\n", "lost its folder"),
    ],
)
def test_a_folder_that_cannot_be_used_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_text(content)
    assert main(settings(tmp_path)) == 1
    assert said in capsys.readouterr().err


def test_only_loopback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(settings(tmp_path, host="0.0.0.0")) == 1  # noqa: S104  it must be refused
    assert "loopback only" in capsys.readouterr().err


def test_a_port_taken_is_said(tmp_path: Path) -> None:
    process = EventStoreProcess(tmp_path / "data")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", process.port))
        taken.listen()
        assert process.spawn().wait(20) == 1
    assert "ss -ltnp" in process.log.read_text()


@pytest.mark.parametrize("text", ["'", "\\", "\r\n", "\N{PILE OF POO}", "--", 'name="x"\r\n\r\n'])
def test_a_parameter_may_be_long(client: Client, text: str) -> None:
    """The client sends those in a form, because they are too long for a request line."""
    odd = text * 3_000
    rows = client.query(
        "SELECT {x:String}, {y:Array(String)}", parameters={"x": odd, "y": [odd, "z"]}
    ).result_rows
    assert [(x, list(y)) for x, y in rows] == [(odd, [odd, "z"])]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n\r\nSELECT 1\r\n--x--\r\n"),
    ],
)
def test_a_broken_form_is_refused(
    engine: EventStoreProcess, content_type: str, body: bytes
) -> None:
    connection = HTTPConnection("127.0.0.1", engine.port, timeout=10)
    headers = {"X-ClickHouse-User": "qcloud", "X-ClickHouse-Key": PASSWORD}
    connection.request("POST", "/", body, {**headers, "Content-Type": content_type})
    with closing(connection), connection.getresponse() as answer:
        assert answer.status == 400
        assert b"form" in answer.read()


def test_freed_memory_stays_for_half_a_minute_between_loads(client: Client) -> None:
    options = str(client.query("SELECT * FROM system.jemalloc_stats").result_rows)
    assert "opt.dirty_decay_ms: 30000 " in options
    assert "opt.oversize_threshold: 0\\n" in options
    assert 'opt.percpu_arena: "disabled"\\n' in options
    arenas = max(1, len(os.sched_getaffinity(0)) // 4)
    assert f"opt.narenas: {arenas}\\n" in options
