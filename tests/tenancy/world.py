"""A copy of the migrated database with one row of every account in every table.

Rows are made from the columns' types alone, so that a new table is walked without anybody
adding it here. For that the copy has no check, unique and foreign-key constraints; policies,
grants and triggers are those of the migrations.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from qcloud.platform import postgres
from tests.services import plugin

Connection = psycopg.Connection[tuple[Any, ...]]

NO_TENANT_TABLES: Final = {
    "django_migrations": "names of migrations, written by the owner before the platform starts",
}
"""Tables without policies, each with the reason. Nothing of any account lies in them."""


@dataclass(frozen=True)
class Node:
    name: str
    id: UUID
    path: str
    parent: str


def _tree() -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for name, parent in (
        ("cloud", ""),
        ("north", "cloud"),
        ("south", "cloud"),
        ("acme", "north"),
        ("alpha", "north"),
        ("birch", "south"),
    ):
        node_id = uuid4()
        above = nodes[parent].path if parent else "/"
        nodes[name] = Node(name, node_id, f"{above}{node_id.hex}/", parent)
    return nodes


TREE: Final = _tree()
PAIRS: Final = tuple((n.parent, n.name) for n in TREE.values() if n.parent)


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    limit: int | None


@dataclass(frozen=True)
class Table:
    name: str
    row_class: str
    key: str
    columns: tuple[Column, ...]
    append_only: bool

    @property
    def owners(self) -> tuple[str, ...]:
        """Labels of the rows: an account, ``seller>buyer``, or ``platform``."""
        if self.row_class == "party_pair":
            return tuple(f"{seller}>{buyer}" for seller, buyer in PAIRS)
        return ("platform",) if self.row_class == "internal" else tuple(TREE)


def connect(role: str, database: str) -> Connection:
    variable = f"QCLOUD_DATABASE_{role.removeprefix('qcloud_').upper()}_PASSWORD"
    return psycopg.connect(
        host=os.environ["QCLOUD_DATABASE_HOST"],
        port=postgres.PORT,
        user=role,
        password=os.environ[variable],
        dbname=database,
    )


@contextmanager
def copied_database() -> Iterator[str]:
    """A database like the template, gone afterwards."""
    name = f"qcloud_tenancy_{plugin.worker_number()}"
    with plugin.superuser("postgres") as db:
        db.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                *map(sql.Identifier, (name, plugin.TEMPLATE, postgres.MIGRATOR))
            )
        )
        try:
            yield name
        finally:
            db.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def drop_constraints(db: Connection) -> None:
    found = db.execute(
        "SELECT c.conrelid::regclass::text, quote_ident(c.conname) FROM pg_constraint c"
        " JOIN pg_class t ON t.oid = c.conrelid"
        " WHERE t.relnamespace = 'public'::regnamespace AND c.contype IN ('c', 'f', 'u', 'x')"
        " ORDER BY c.contype <> 'f'"
    ).fetchall()
    for table, name in found:
        db.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}".encode())


def tables(db: Connection) -> list[Table]:
    """Every table there is, whoever made it."""
    names = db.execute(
        "SELECT relname, coalesce(obj_description(oid), '') FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        " ORDER BY relname"
    ).fetchall()
    return [
        _table(db, str(name), str(comment))
        for name, comment in names
        if name not in NO_TENANT_TABLES
    ]


def _table(db: Connection, name: str, comment: str) -> Table:
    columns = db.execute(
        "SELECT column_name, udt_name, character_maximum_length FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = %s"
        " AND is_generated = 'NEVER' AND is_identity = 'NO' ORDER BY ordinal_position",
        (name,),
    ).fetchall()
    key = db.execute(
        "SELECT a.attname FROM pg_index i JOIN pg_attribute a"
        " ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
        " WHERE i.indrelid = %s::regclass AND i.indisprimary",
        (name,),
    ).fetchone()
    changes = db.execute(
        "SELECT has_table_privilege('qcloud_app', %s, 'UPDATE')", (name,)
    ).fetchone()
    assert key, f"{name} has no primary key"
    assert changes
    return Table(
        name=name,
        row_class=comment.removeprefix("row class: "),
        key=str(key[0]),
        columns=tuple(Column(*column) for column in columns),
        append_only=not changes[0],
    )


def new_row(table: Table, owner: str) -> dict[str, Any]:
    """A row of that owner, unlike every other one."""
    row = {column.name: _value(column) for column in table.columns}
    if table.row_class == "party_pair":
        seller, buyer = owner.split(">")
        row |= {"seller_id": TREE[seller].id, "buyer_id": TREE[buyer].id}
    elif owner in TREE:
        row |= {"account_id": TREE[owner].id}
        if table.row_class == "subtree":
            row |= {"account_path": TREE[owner].path}
    return row


def insert(db: Connection, table: Table, row: dict[str, Any]) -> int:
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table.name),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(sql.Placeholder() * len(row)),
    )
    return db.execute(statement, list(row.values())).rowcount


def _value(column: Column) -> Any:
    text = uuid4().hex[: column.limit]
    makers: dict[str, Any] = {
        "uuid": uuid4(),
        "text": text,
        "varchar": text,
        "bpchar": text,
        "bool": False,
        "int2": 1,
        "int4": 1,
        "int8": uuid4().int % 2**60,
        "float8": 1.0,
        "numeric": Decimal(1),
        "date": datetime.now(UTC).date(),
        "timestamptz": datetime.now(UTC),
        "interval": "1 hour",
        "jsonb": Jsonb({}),
        "bytea": b"x",
        "inet": "192.0.2.1",
    }
    if column.type.startswith("_"):
        return []
    if column.type.endswith("range"):
        return "{}" if column.type.endswith("multirange") else "empty"
    assert column.type in makers, f"no sample for columns of type {column.type}: add one"
    return makers[column.type]
