"""One ClickHouse server or a sharded, replicated cluster: every difference between the two.

Statements read and insert by a table's plain name in both. On a cluster that name is a
*Distributed* table over ``<name>_local``, which is replicated within a shard; the shard is
chosen by the account, so that an account's rows lie together and what is grouped, merged or
deleted by account never crosses shards. Schema changes and deletions name the local table and
go to all servers. With no cluster every function here gives back what it was given.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

CLUSTER_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}\Z")
_PATH: Final = "/clickhouse/tables/{shard}/{database}/{table}"
"""Servers fill in their macros ``shard`` and ``replica``."""
_SHARED_PATH: Final = "/clickhouse/tables/{database}/{table}"
_COMMENT: Final = re.compile(r"^\s*--.*\n?", re.MULTILINE)
_CREATE: Final = re.compile(
    r"CREATE TABLE IF NOT EXISTS (?P<table>\w+)\s*(?P<columns>\(.*\)\s*)ENGINE = MergeTree\b"
    r"(?P<rest>.*)\Z",
    re.DOTALL,
)
_ALTER: Final = re.compile(r"ALTER TABLE (?P<table>\w+)\s(?P<rest>.*)\Z", re.DOTALL)
_DROP: Final = re.compile(r"DROP TABLE IF EXISTS (?P<table>\w+) SYNC\s*\Z")


@dataclass(frozen=True)
class Layout:
    """Where the tables of one database lie."""

    database: str
    cluster: str = ""
    """As the servers' ``remote_servers`` call it; empty: one server."""

    def local(self, table: str) -> str:
        """The table that has the rows: deletions name it, filters as well."""
        return f"{table}_local" if self.cluster else table

    @property
    def on(self) -> str:
        """Behind the name of a table or database in a statement for every server."""
        return f" ON CLUSTER `{self.cluster}`" if self.cluster else ""

    def changed(self, table: str) -> str:
        """What stands behind ``ALTER TABLE`` and ``DELETE FROM``."""
        return f"{self.local(table)}{self.on}"

    @property
    def reading(self) -> dict[str, Any]:
        """Settings of every question: never less than all shards, the replica that wrote."""
        return dict(_READING) if self.cluster else {}

    @property
    def writing(self) -> dict[str, Any]:
        """Settings of every insert: back when a majority of each shard's replicas has it."""
        return dict(_WRITING) if self.cluster else {}

    @property
    def changing(self) -> dict[str, Any]:
        """Settings of deletions and schema changes."""
        return dict(_CHANGING) if self.cluster else {}

    def names(self, table: str) -> tuple[str, ...]:
        """Every name under which the engine may meet the table's rows: a filter by name is set
        for all of them, for the initiator and for the shards.
        """
        return (table, self.local(table)) if self.cluster else (table,)

    @property
    def processes(self) -> str:
        """Statements that run now, anywhere."""
        if not self.cluster:
            return "system.processes"
        return f"clusterAllReplicas('{self.cluster}', system.processes)"

    def migration(self, sql: str) -> list[str]:
        """The statements that a migration is here, in order; each can run twice.

        Raises ``ValueError`` for a form that no cluster has been thought through for.
        """
        text = _COMMENT.sub("", sql).strip()
        if not self.cluster:
            return [sql]
        if found := _CREATE.match(text):
            return [self._local_table(found), self._distributed(found["table"])]
        if found := _ALTER.match(text):
            table, rest = found["table"], found["rest"]
            return [f"ALTER TABLE {self.changed(table)} {rest}", self._distributed(table)]
        if found := _DROP.match(text):
            table = found["table"]
            return [
                f"DROP TABLE IF EXISTS {table}{self.on} SYNC",
                f"DROP TABLE IF EXISTS {self.changed(table)} SYNC",
            ]
        raise ValueError(f"no form for a cluster is known of: {text[:200]}")

    def applied_migrations(self) -> str:
        """The table of notes, whole on every server."""
        engine = (
            f"ReplicatedMergeTree('{_SHARED_PATH}', '{{shard}}-{{replica}}')"
            if self.cluster
            else "MergeTree"
        )
        return (
            f"CREATE TABLE IF NOT EXISTS applied_migrations{self.on}"
            " (name String, applied_at DateTime DEFAULT now())"
            f" ENGINE = {engine} ORDER BY name"
            " SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"
        )

    def _local_table(self, found: re.Match[str]) -> str:
        rest = found["rest"].replace(
            "non_replicated_deduplication_window", "replicated_deduplication_window"
        )
        return (
            f"CREATE TABLE IF NOT EXISTS {self.changed(found['table'])}\n{found['columns']}"
            f"ENGINE = ReplicatedMergeTree('{_PATH}', '{{replica}}'){rest}"
        )

    def _distributed(self, table: str) -> str:
        """Made anew after each change of the columns: it has none of its own."""
        return (
            f"CREATE OR REPLACE TABLE {table}{self.on} AS {self.local(table)}"
            f" ENGINE = Distributed(`{self.cluster}`, `{self.database}`, {self.local(table)},"
            " cityHash64(account_id))"
        )


_READING: Final = {
    # A shard that is away is an error, never a smaller number.
    "skip_unavailable_shards": 0,
    # An account's rows are on one shard.
    "optimize_skip_unused_shards": 1,
    # The first healthy replica, whoever asks: what was just inserted is seen.
    "load_balancing": "in_order",
    "prefer_localhost_replica": 0,
    "max_parallel_replicas": 1,
    "fallback_to_stale_replicas_for_distributed_queries": 0,
}
_WRITING: Final = {
    # The shards have it when the statement returns: the loader gives up its spool then.
    "distributed_foreground_insert": 1,
    "insert_quorum": "auto",
    # INSERT … SELECT goes through the server that was asked: one way for all rows.
    "parallel_distributed_insert_select": 0,
    "load_balancing": "in_order",
    "prefer_localhost_replica": 0,
}
_CHANGING: Final = {
    "alter_sync": 2,
    "distributed_ddl_task_timeout": 100,
    "distributed_ddl_output_mode": "throw",
}
