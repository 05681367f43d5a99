"""Every table × command × tier, in real transactions of the application's role.

Rows of accounts that a scope may not see are invisible to it and cannot be written, moved
or claimed by it; rows that it may, can.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import pytest
from django.apps import apps
from psycopg import errors, sql

from tests.services import plugin
from tests.tenancy import world
from tests.tenancy.world import NO_TENANT_TABLES, TREE, Connection, Table

SCOPES: Final = ("cloud", "north", "acme")
"""One account of each tier; the rows of the other accounts are what it must not reach."""


FORGETS: Final = {"identity_accessevent"}
"""Append-only until a row is old: then system mode may delete it. The walk's rows are young."""


@dataclass(frozen=True)
class Walk:
    database: str
    app: Connection
    tables: dict[str, Table]
    keys: dict[str, dict[str, Any]]
    """By table and owner: the primary key of that owner's row."""


@pytest.fixture(scope="module")
def walk(django_db_setup: None) -> Iterator[Walk]:  # noqa: ARG001  it migrates the template
    with world.copied_database() as database:
        with plugin.superuser(database) as db:
            world.drop_constraints(db)
            tables = {table.name: table for table in world.tables(db)}
            keys = {name: _fill(db, table) for name, table in tables.items()}
            _join_people(db, keys)
        with world.connect("qcloud_app", database) as app:
            yield Walk(database, app, tables, keys)


@pytest.fixture(autouse=True)
def _new_transaction(walk: Walk) -> None:
    walk.app.rollback()


def _fill(db: Connection, table: Table) -> dict[str, Any]:
    keys = {}
    for owner in table.owners:
        row = world.new_row(table, owner)
        assert world.insert(db, table, row) == 1
        keys[owner] = row[table.key]
    return keys


def _join_people(db: Connection, keys: dict[str, dict[str, Any]]) -> None:
    """One person: a member of acme."""
    db.execute(
        "UPDATE identity_membership SET user_id = %s WHERE account_id = %s",
        (keys["identity_user"]["platform"], TREE["acme"].id),
    )


def enter(app: Connection, scope: str) -> None:
    """Begin a transaction in a scope, ``system`` or ``none``, as the kernel does."""
    app.rollback()
    node = TREE.get(scope)
    mode = "tenant" if node else {"system": "system"}.get(scope, "")
    app.execute(
        "SELECT set_config('qcloud.mode', %s, true), set_config('qcloud.account', %s, true),"
        " set_config('qcloud.path', %s, true)",
        (mode, str(node.id) if node else "", node.path if node else ""),
    )


# --- What should be so


def may_read(table: Table, scope: str, owner: str) -> bool:
    if scope not in TREE:
        return scope == "system"
    if table.name == "identity_user":
        return scope == "acme"
    if table.row_class == "subtree":
        return TREE[owner].path.startswith(TREE[scope].path)
    return {
        "own": scope == owner,
        "party_pair": scope in owner.split(">"),
        "internal": False,
    }[table.row_class]


def may_write(table: Table, scope: str, owner: str) -> bool:
    if scope != "system" and table.name == "identity_user":
        return False
    if scope != "system" and table.name == "identity_account":
        return scope != owner and may_read(table, scope, owner)
    if scope in TREE and table.row_class == "party_pair":
        return owner.startswith(f"{scope}>")
    return may_read(table, scope, owner)


# --- What is so


def seen(walk: Walk, table: Table) -> set[str]:
    query = sql.SQL("SELECT {} FROM {}").format(
        sql.Identifier(table.key), sql.Identifier(table.name)
    )
    found = {key for (key,) in walk.app.execute(query)}
    return {owner for owner, key in walk.keys[table.name].items() if key in found}


def touched(walk: Walk, table: Table, command: str, owner: str) -> int | str:
    """Rows that UPDATE or DELETE of the owner's row changed, or the error's name."""
    change = (
        sql.SQL("DELETE FROM {table} WHERE {key} = %s")
        if command == "DELETE"
        else sql.SQL("UPDATE {table} SET {key} = {key} WHERE {key} = %s")
    )
    statement = change.format(table=sql.Identifier(table.name), key=sql.Identifier(table.key))
    try:
        return walk.app.execute(statement, (walk.keys[table.name][owner],)).rowcount
    except psycopg.Error as error:
        return type(error).__name__


def inserted(walk: Walk, table: Table, owner: str) -> int | str:
    try:
        return world.insert(walk.app, table, world.new_row(table, owner))
    except psycopg.Error as error:
        return type(error).__name__


@pytest.mark.parametrize("scope", [*SCOPES, "system", "none"])
def test_select(walk: Walk, scope: str) -> None:
    wrong = []
    for table in walk.tables.values():
        enter(walk.app, scope)
        wanted = {owner for owner in table.owners if may_read(table, scope, owner)}
        if (got := seen(walk, table)) != wanted:
            wrong.append((table.name, "sees", got, "should see", wanted))
    assert wrong == []


@pytest.mark.parametrize("command", ["UPDATE", "DELETE"])
@pytest.mark.parametrize("scope", [*SCOPES, "system", "none"])
def test_update_and_delete(walk: Walk, scope: str, command: str) -> None:
    wrong = []
    for table in walk.tables.values():
        for owner in table.owners:
            enter(walk.app, scope)
            wanted: int | str = int(may_write(table, scope, owner))
            if table.append_only:
                wanted = "InsufficientPrivilege"
            if (got := touched(walk, table, command, owner)) != wanted:
                wrong.append((table.name, owner, got, wanted))
    assert wrong == []


@pytest.mark.parametrize("scope", [*SCOPES, "system", "none"])
def test_insert(walk: Walk, scope: str) -> None:
    wrong = []
    for table in walk.tables.values():
        for owner in table.owners:
            enter(walk.app, scope)
            wanted = 1 if may_write(table, scope, owner) else "InsufficientPrivilege"
            if (got := inserted(walk, table, owner)) != wanted:
                wrong.append((table.name, owner, got, wanted))
    assert wrong == []


@pytest.mark.parametrize("scope", SCOPES)
def test_no_row_is_moved_to_another_account(walk: Walk, scope: str) -> None:
    """Neither given away nor claimed: an UPDATE is checked before and after."""
    wrong = []
    for table in walk.tables.values():
        if table.append_only or table.row_class not in {"own", "subtree"}:
            continue
        column = "account_id" if table.row_class == "own" else "account_path"
        target = TREE["birch"].id if table.row_class == "own" else TREE["birch"].path
        for owner in (o for o in table.owners if may_write(table, scope, o)):
            if table.row_class == "subtree" and scope == "cloud":
                continue  # everybody is below the provider
            enter(walk.app, scope)
            statement = sql.SQL("UPDATE {} SET {} = %s WHERE {} = %s").format(
                *map(sql.Identifier, (table.name, column, table.key))
            )
            try:
                walk.app.execute(statement, (target, walk.keys[table.name][owner]))
                wrong.append((table.name, owner))
            except errors.InsufficientPrivilege:
                pass
    assert wrong == []


def test_counts_joins_and_subqueries_see_no_more(walk: Walk) -> None:
    enter(walk.app, "acme")
    row = walk.app.execute(
        "SELECT (SELECT count(*) FROM fleet_environment),"
        " (SELECT count(*) FROM audit_entry a, audit_entry b),"
        " (SELECT max(account_path) FROM identity_account),"
        " EXISTS (SELECT FROM fleet_environment WHERE account_id = %s)",
        (TREE["birch"].id,),
    ).fetchone()
    assert row == (1, 1, TREE["acme"].path, False)


def test_a_scope_ends_with_its_transaction(walk: Walk) -> None:
    enter(walk.app, "acme")
    assert seen(walk, walk.tables["fleet_environment"]) == {"acme"}
    walk.app.commit()
    assert seen(walk, walk.tables["fleet_environment"]) == set()
    enter(walk.app, "acme")
    walk.app.rollback()
    assert seen(walk, walk.tables["fleet_environment"]) == set()


# --- The walk is complete


def test_every_table_has_forced_policies_for_every_command(walk: Walk) -> None:
    rows = walk.app.execute(
        "SELECT relname, relrowsecurity, relforcerowsecurity, ARRAY(SELECT polcmd::text"
        " FROM pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive ORDER BY 1) FROM pg_class c"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'f')"
    ).fetchall()
    assert {name for name, *_ in rows} == walk.tables.keys() | NO_TENANT_TABLES.keys()
    for name, enabled, forced, commands in rows:
        if name in NO_TENANT_TABLES:
            continue
        wanted = ["a", "r"] if walk.tables[name].append_only else ["a", "d", "r", "w"]
        if name in FORGETS:
            wanted = ["a", "d", "r"]
        assert (name, enabled, forced, commands) == (name, True, True, wanted)


def test_every_model_is_in_the_walk_and_in_the_class_it_claims(walk: Walk) -> None:
    models = {
        model._meta.db_table: getattr(model, "row_class", None)
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy
    }
    classes = {name: table.row_class for name, table in walk.tables.items()}
    assert models == classes


@pytest.mark.parametrize(
    "hole",
    [
        "CREATE POLICY hole ON fleet_environment USING (true)",
        "ALTER TABLE fleet_environment DISABLE ROW LEVEL SECURITY",
    ],
)
def test_the_walk_notices_a_hole(walk: Walk, hole: str) -> None:
    table = walk.tables["fleet_environment"]
    walk.app.rollback()
    with plugin.superuser(walk.database) as db:
        db.execute(hole.encode())
        try:
            enter(walk.app, "acme")
            assert seen(walk, table) == set(TREE)
            assert touched(walk, table, "DELETE", "birch") == 1
            assert inserted(walk, table, "birch") == 1
            walk.app.rollback()
        finally:
            db.execute("DROP POLICY IF EXISTS hole ON fleet_environment")
            db.execute("ALTER TABLE fleet_environment ENABLE ROW LEVEL SECURITY")
    enter(walk.app, "acme")
    assert seen(walk, table) == {"acme"}


def test_only_named_tables_are_exempt() -> None:
    assert set(NO_TENANT_TABLES) == {"django_migrations"}


def test_no_view_or_function_lends_its_owners_rights(walk: Walk) -> None:
    views = walk.app.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND"
        " (relkind = 'm' OR relkind = 'v' AND NOT coalesce("
        "'security_invoker=true' = ANY (reloptions) OR 'security_invoker=on' = ANY (reloptions),"
        " false))"
    ).fetchall()
    functions = walk.app.execute(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef"
    ).fetchall()
    assert (views, functions) == ([], [])
