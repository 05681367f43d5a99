"""The form of every statement on a cluster. No cluster runs here: the engine parses them all,
and the tenant's filter is tried on a distributed table over two addresses of itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest

from pulse.store import cluster
from pulse.store.client import Store, StoreSettings
from pulse.store.cluster import Layout
from pulse.store.erasure import delete_rows_of
from pulse.store.gate import TENANT_TABLES, ask, ask_as_system
from pulse.store.kinds import EVENT_TABLES
from pulse.store.loads import count_load, delete_load, insert_load, running_loads
from pulse.store.migrate import names, text_of
from pulse.store.retention import Held, Old, count_old, delete_old
from pulse.store.rolled.write import count_quarters, merge_units, remove_versions
from qcloud.kernel.env import Env, SettingError
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import Scope, Tier
from tests.pulse.lines import NOON
from tests.pulse.rows import put

CLUSTER = Layout("qcloud", "main-1")
SINGLE = Layout("qcloud")
ACCOUNT = UUID(int=1)


class Parsing(Store):
    """On a cluster; whoever gives it a statement gets it parsed by the real engine, not run."""

    def __init__(self, real: Store) -> None:
        super().__init__(replace(real.settings, cluster="main"))
        self._real = real
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def client(self) -> Any:
        return SimpleNamespace(
            command=self._take, query=self._ask, raw_insert=self._insert, query_arrow=self._ask
        )

    def _take(self, sql: str, parameters: object = None, settings: Any = None) -> None:  # noqa: ARG002
        parsed(self._real, sql)
        self.seen.append((sql, dict(settings or {})))

    def _ask(self, sql: str, parameters: object = None, settings: Any = None) -> Any:
        self._take(sql, parameters, settings)
        return SimpleNamespace(result_rows=[(0, 0, NOON)])

    def _insert(self, table: str, **given: Any) -> Any:
        self._take(f"INSERT INTO {table} FORMAT ArrowStream", None, given["settings"])
        return SimpleNamespace(written_rows=1)


def parsed(store: Store, sql: str) -> str:
    rows = store.client().query("SELECT formatQuery({sql:String})", parameters={"sql": sql})
    return str(rows.result_rows[0][0])


@pytest.mark.parametrize("name", names())
def test_every_migration_has_a_form_for_a_cluster(store: Store, name: str) -> None:
    assert SINGLE.migration(text_of(name)) == [text_of(name)]
    first, second = CLUSTER.migration(text_of(name))
    for statement in (first, second):
        assert "ON CLUSTER `main-1`" in parsed(store, statement).replace("'main-1'", "`main-1`")
    if first.startswith("CREATE"):
        assert "ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}'" in first
        assert "non_replicated_deduplication_window" not in first
    if not first.startswith("DROP"):
        assert "_local ON CLUSTER" in first
        assert "cityHash64(account_id)" in second
        assert second.startswith("CREATE OR REPLACE TABLE ")


def test_the_whole_schema_stands_on_one_server_and_is_known_for_a_cluster(store: Store) -> None:
    tables = {row[0] for row in store.client().query("SHOW TABLES").result_rows}
    assert tables == {*TENANT_TABLES, "applied_migrations"}
    parsed(store, CLUSTER.applied_migrations())
    made = {s.split()[5] for name in names() for s in CLUSTER.migration(text_of(name))[:1]
            if s.startswith("CREATE")}  # fmt: skip
    assert {f"{table}_local" for table in TENANT_TABLES} <= made
    with pytest.raises(ValueError, match="no form for a cluster"):
        CLUSTER.migration("RENAME TABLE requests TO others")


def _changes() -> Iterator[tuple[str, Callable[[Store], object]]]:
    held = (Held(UUID(int=2), NOON, None), Held(None, None, NOON))
    yield "erase", lambda s: delete_rows_of(ACCOUNT, store=s)
    yield "expire", lambda s: delete_old(Old(ACCOUNT, NOON, held=held), store=s)
    yield (
        "expire",
        lambda s: delete_old(Old(ACCOUNT, NOON, level=60, held_days=[NOON.date()]), store=s),
    )
    yield "load", lambda s: delete_load(s, new_id(), "request")
    yield "tidy", lambda s: remove_versions(ACCOUNT, [1], store=s)


@pytest.mark.parametrize("change", [change for _, change in _changes()])
def test_deletions_name_the_local_table_on_every_server(
    store: Store, change: Callable[[Store], object]
) -> None:
    there = Parsing(store)
    change(there)
    assert there.seen
    for sql, settings in there.seen:
        assert "_local ON CLUSTER `main`" in sql
        assert settings["distributed_ddl_output_mode"] == "throw"
    change(store)  # and the same runs on one server


def test_inserts_and_questions_name_the_distributed_table(store: Store) -> None:
    there = Parsing(store)
    insert_load(there, pa.table({"status": [200]}), "token")
    count_quarters(ACCOUNT, {900: 1 << 12}, store=there)
    merge_units(ACCOUNT, 900, 3_600, [1], {0: 1}, store=there)
    writes = list(there.seen)
    assert len(writes) >= 5
    for sql, settings in writes:
        assert "_local" not in sql
        assert (settings["distributed_foreground_insert"], settings["insert_quorum"]) == (1, "auto")
    assert writes[0][1]["insert_deduplication_token"] == "token"
    there.seen.clear()
    count_load(there, new_id())
    count_old(Old(ACCOUNT, NOON), store=there)
    running_loads(there)
    for sql, settings in there.seen:
        assert "_local" not in sql
        assert settings["skip_unavailable_shards"] == 0
    assert "clusterAllReplicas('main', system.processes)" in there.seen[-1][0]


def test_the_tenants_filter_names_both(store: Store) -> None:
    there = Parsing(store)
    scope = Scope(ACCOUNT, "/1/", Tier.CUSTOMER)
    ask(scope, "SELECT count() FROM requests", {}, store=there)
    filters = there.seen[0][1]["additional_table_filters"]
    for table in TENANT_TABLES:
        for name in (table, f"{table}_local"):
            assert f"'{there.settings.database}.{name}': 'account_id = toUUID(" in filters


@contextmanager
def distributed(store: Store) -> Iterator[None]:
    """The requests behind two addresses of this very engine: two shards with the same rows."""
    client, database = store.client(), store.settings.database
    client.command("RENAME TABLE requests TO requests_local")
    client.command(
        f"CREATE TABLE requests AS remote('127.0.0.1,localhost', `{database}`, requests_local)"
    )
    try:
        yield
    finally:
        client.command("DROP TABLE requests")
        client.command("RENAME TABLE requests_local TO requests")


def test_the_filter_holds_through_a_distributed_table(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing here listens for other servers: its own rows are read without a connection.
    monkeypatch.setitem(cluster._READING, "prefer_localhost_replica", 1)
    place = new_id()
    put(store, ACCOUNT, place, NOON, 3)
    put(store, UUID(int=2), place, NOON, 5)
    scope = Scope(ACCOUNT, "/1/", Tier.CUSTOMER)
    both = Store(replace(store.settings, cluster="main"))
    assert set(TENANT_TABLES) == {*EVENT_TABLES, "rollups"}
    with distributed(store):
        asked = (
            ("SELECT count() FROM requests", 6),
            ("SELECT sum(n) FROM (SELECT account_id, count() AS n FROM requests GROUP BY 1)", 6),
            ("SELECT count() FROM (SELECT 1 FROM requests UNION ALL SELECT 1 FROM requests)", 12),
        )
        for sql, expected in asked:
            assert ask(scope, sql, {}, store=both)[0][0] == expected, sql
        assert ask_as_system("test", "SELECT count() FROM requests", {}, store=both)[0][0] == 16
    both.client().close()


def test_the_setting_is_a_name() -> None:
    given = {"QCLOUD_EVENTSTORE_PASSWORD": "x", "QCLOUD_CLICKHOUSE_CLUSTER": "main"}
    assert StoreSettings.from_env(Env(given)).layout.cluster == "main"
    with pytest.raises(SettingError, match="remote_servers"):
        StoreSettings.from_env(Env(given | {"QCLOUD_CLICKHOUSE_CLUSTER": "a`; DROP"}))
    assert StoreSettings.from_env(Env({"QCLOUD_EVENTSTORE_PASSWORD": "x"})).layout == SINGLE
