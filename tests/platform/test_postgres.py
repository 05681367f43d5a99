"""The embedded PostgreSQL lets nobody in without a password, nor past its roles."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import psycopg
import pytest

from qcloud.platform import postgres
from tests.services.plugin import database_name, superuser


def connect(user: str, password: str | None) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=os.environ["QCLOUD_DATABASE_HOST"],
        user=user,
        password=password,
        dbname=database_name(),
        passfile="/nonexistent",
    )


@pytest.mark.parametrize("role", [postgres.SUPERUSER, postgres.APP, postgres.MIGRATOR])
@pytest.mark.parametrize("password", [None, "", "wrong"])
@pytest.mark.django_db
def test_no_role_gets_in_without_its_password(role: str, password: str | None) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"no password|authentication failed"):
        connect(role, password)


def test_every_line_of_the_access_file_demands_scram() -> None:
    with superuser("postgres") as connection:
        methods = connection.execute(
            "SELECT DISTINCT auth_method FROM pg_hba_file_rules WHERE error IS NULL"
        ).fetchall()
    assert methods == [("scram-sha-256",)]


def test_the_socket_folder_is_private_and_no_port_is_open() -> None:
    folder = Path(os.environ["QCLOUD_DATABASE_HOST"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with superuser("postgres") as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


@pytest.mark.django_db
@pytest.mark.parametrize("role", [postgres.SUPERUSER, postgres.MIGRATOR, postgres.READONLY])
def test_the_application_cannot_become_another_role(role: str) -> None:
    password = os.environ["QCLOUD_DATABASE_APP_PASSWORD"]
    with connect(postgres.APP, password) as connection:
        for statement in (f"SET ROLE {role}", f"SET SESSION AUTHORIZATION {role}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()


@pytest.mark.django_db
def test_only_the_migrator_owns_tables() -> None:
    with superuser(database_name()) as connection:
        owners = connection.execute(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
    assert owners == [(postgres.MIGRATOR,)]


@pytest.mark.django_db
def test_the_application_cannot_rewrite_which_migrations_ran() -> None:
    with superuser(database_name()) as connection:
        rights = connection.execute(
            "SELECT privilege_type FROM information_schema.role_table_grants"
            " WHERE table_name = 'django_migrations' AND grantee = 'qcloud_app'"
        ).fetchall()
    assert rights == [("SELECT",)]


def test_no_role_of_ours_can_pass_the_policies() -> None:
    with superuser("postgres") as connection:
        rights = connection.execute(
            "SELECT DISTINCT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolinherit"
            " FROM pg_roles WHERE rolname LIKE 'qcloud%%'"
        ).fetchall()
    assert rights == [(False, False, False, False, False)]
