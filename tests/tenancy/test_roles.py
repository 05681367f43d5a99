"""What the application's role cannot become, own or do."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from tests.services import plugin
from tests.tenancy import world
from tests.tenancy.world import Connection


@pytest.fixture(scope="module")
def database(django_db_setup: None) -> Iterator[str]:  # noqa: ARG001  it migrates the template
    with world.copied_database() as name:
        yield name


@pytest.fixture
def app(database: str) -> Iterator[Connection]:
    with world.connect("qcloud_app", database) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def readonly(database: str) -> Iterator[Connection]:
    with world.connect("qcloud_readonly", database) as connection:
        yield connection
        connection.rollback()


@pytest.mark.parametrize("role", ["qcloud_app", "qcloud_readonly", "qcloud_migrator"])
def test_no_role_of_ours_has_a_power_beyond_its_grants(app: Connection, role: str) -> None:
    powers = app.execute(
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, rolinherit,"
        " rolcanlogin FROM pg_roles WHERE rolname = %s",
        (role,),
    ).fetchone()
    assert powers == (False, False, False, False, False, False, True)
    member_of = app.execute(
        "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = %s::regrole", (role,)
    ).fetchall()
    assert member_of == []


@pytest.mark.parametrize("role", ["qcloud_migrator", "qcloud_readonly", "postgres"])
@pytest.mark.parametrize("way", ["SET ROLE", "SET LOCAL ROLE", "SET SESSION AUTHORIZATION"])
def test_the_app_becomes_nobody_else(app: Connection, way: str, role: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        app.execute(f"{way} {role}".encode())
    app.rollback()
    assert app.execute("SELECT current_user, session_user").fetchone() == (
        "qcloud_app",
        "qcloud_app",
    )


@pytest.mark.parametrize("role", ["qcloud_migrator", "postgres"])
def test_its_password_opens_no_other_role(database: str, role: str) -> None:
    with plugin.superuser(database) as db:
        host, port = db.info.host, db.info.port
    for password in (os.environ["QCLOUD_DATABASE_APP_PASSWORD"], ""):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host=host, port=port, user=role, password=password, dbname=database)


def test_the_app_owns_nothing(app: Connection) -> None:
    owned = app.execute(
        "SELECT 'relation', relname::text FROM pg_class WHERE relowner = 'qcloud_app'::regrole"
        " UNION ALL SELECT 'function', proname::text FROM pg_proc"
        " WHERE proowner = 'qcloud_app'::regrole"
        " UNION ALL SELECT 'schema', nspname::text FROM pg_namespace"
        " WHERE nspowner = 'qcloud_app'::regrole"
        " UNION ALL SELECT 'database', datname::text FROM pg_database"
        " WHERE datdba = 'qcloud_app'::regrole"
    ).fetchall()
    assert owned == []


def test_on_every_table_the_app_has_four_rights_at_most(app: Connection) -> None:
    rows = app.execute(
        "SELECT table_name, array_agg(privilege_type::text ORDER BY privilege_type::text)"
        " FROM information_schema.role_table_grants"
        " WHERE grantee IN ('qcloud_app', 'PUBLIC') AND table_schema = 'public'"
        " GROUP BY table_name"
    ).fetchall()
    assert len(rows) >= 10
    allowed = {"DELETE", "INSERT", "SELECT", "UPDATE"}
    assert [(name, rights) for name, rights in rows if not set(rights) <= allowed] == []


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE fleet_environment",
        "ALTER TABLE fleet_environment DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE fleet_environment NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY fleet_environment_read ON fleet_environment",
        "CREATE POLICY hole ON fleet_environment USING (true)",
        "ALTER TABLE audit_entry DISABLE TRIGGER ALL",
        "DROP TABLE audit_entry",
        "CREATE TABLE mine (id int)",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql RETURN 1",
        "CREATE OR REPLACE FUNCTION qcloud_is_system() RETURNS boolean LANGUAGE sql RETURN true",
        "SET session_replication_role = replica",
        "ALTER ROLE qcloud_app BYPASSRLS",
        "GRANT qcloud_migrator TO qcloud_app",
        "CREATE EXTENSION dblink",
        "COPY fleet_environment TO PROGRAM 'cat'",
        "COPY fleet_environment TO '/tmp/qcloud-test-copy'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT rolpassword FROM pg_authid",
    ],
)
def test_what_the_app_may_not_do(app: Connection, statement: str) -> None:
    with pytest.raises(
        (errors.InsufficientPrivilege, errors.UndefinedFile, errors.FeatureNotSupported)
    ):
        app.execute(statement.encode())


def test_switching_policies_off_is_an_error_not_a_way_round(app: Connection) -> None:
    app.execute("SET LOCAL row_security = off")
    with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
        app.execute("SELECT count(*) FROM fleet_environment")


def test_the_owner_is_bound_by_the_policies_as_well(database: str) -> None:
    with world.connect("qcloud_migrator", database) as owner:
        with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
            owner.execute(
                "INSERT INTO kernel_outbox_cursor (id, consumer, transaction_id, position)"
                " VALUES (gen_random_uuid(), 'x', 0, 0)"
            )
        owner.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO kernel_outbox_cursor (id) VALUES (gen_random_uuid())",
        "UPDATE fleet_environment SET name = 'x'",
        "DELETE FROM fleet_environment",
        "TRUNCATE fleet_environment",
        "SET ROLE qcloud_app",
    ],
)
def test_the_readonly_role_writes_nothing(readonly: Connection, statement: str) -> None:
    readonly.execute("SELECT set_config('qcloud.mode', 'system', true)")
    with pytest.raises(errors.InsufficientPrivilege):
        readonly.execute(statement.encode())


def test_the_readonly_role_is_bound_by_the_policies(readonly: Connection, database: str) -> None:
    with plugin.superuser(database) as db:
        db.execute(
            "INSERT INTO kernel_outbox_cursor (id, consumer, transaction_id, position)"
            " VALUES (gen_random_uuid(), 'x', 0, 0)"
        )
    count = "SELECT count(*) FROM kernel_outbox_cursor"
    assert readonly.execute(count).fetchone() == (0,)
    readonly.execute("SELECT set_config('qcloud.mode', 'system', true)")
    assert readonly.execute(count).fetchone() == (1,)


@pytest.mark.parametrize("database_of_all", ["postgres", "template1"])
def test_the_app_enters_no_other_database(database: str, database_of_all: str) -> None:
    del database
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        world.connect("qcloud_app", database_of_all)


@pytest.mark.parametrize("role", ["qcloud_app", "qcloud_readonly"])
def test_no_table_of_its_own_stands_before_ours(database: str, role: str) -> None:
    """Seen in the provisioned database itself: a copy does not take its privileges along."""
    del database
    with (
        world.connect(role, plugin.TEMPLATE) as db,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        db.execute("CREATE TEMPORARY TABLE identity_account (id uuid)")


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM django_migrations",
        "UPDATE django_migrations SET name = 'x'",
        "INSERT INTO django_migrations (app, name, applied) VALUES ('audit', 'x', now())",
    ],
)
def test_the_app_rewrites_no_history_of_migrations(app: Connection, change: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        app.execute(change.encode())
