"""Starts a real PostgreSQL and Redis for each process of tests, before Django reads its settings.

Loaded early (``-p tests.services.plugin``). Workers of a parallel run have servers of their
own: who reads the outbox waits for the oldest transaction of the whole server, and one test
must not wait for another's.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import psycopg
import pytest
from psycopg import sql

from qcloud.platform import postgres
from qcloud.platform.postgres import Postgres
from qcloud.platform.process import Child
from qcloud.platform.redis_server import Redis

ROOT: Final = Path(__file__).resolve().parents[2]
TEMPLATE: Final = "qcloud_template"
_FOLDER: Final = "QCLOUD_TEST_FOLDER"
_OWNER: Final = "QCLOUD_TEST_WORKER"


_running: Final[list[tuple[list[Child], Path, int]]] = []


def _start_servers() -> None:
    folder = Path(tempfile.mkdtemp(prefix="qcloud-test-"))
    os.environ[_FOLDER] = str(folder)
    os.environ[_OWNER] = str(worker_number())
    passwords = {
        role: secrets.token_urlsafe(18)
        for role in (postgres.SUPERUSER, postgres.MIGRATOR, postgres.APP, postgres.READONLY)
    }
    server = Postgres(folder / "postgres", folder / "sockets", folder / "postgres.log", passwords)
    cache = Redis(
        folder / "redis", folder / "redis.sock", folder / "redis.log", secrets.token_hex()
    )
    server.initialize()
    children = [server.child(), cache.child()]
    # Tests lose their data anyway; waiting for the disk would only make them slow.
    children[0].command = [*children[0].command, "-c", "fsync=off", "-c", "full_page_writes=off"]
    _running.append((children, folder, os.getpid()))
    for child in children:
        child.start()
    children[0].wait_until(server.ready, 30)
    children[1].wait_until(cache.ready, 30)
    server.provision(TEMPLATE)
    os.environ.update(
        {
            "QCLOUD_MODE": "embedded",
            "QCLOUD_SECRET_KEY": secrets.token_urlsafe(48),
            "QCLOUD_DATABASE_HOST": str(server.sockets),
            "QCLOUD_DATABASE_PORT": str(postgres.PORT),
            "QCLOUD_DATABASE_APP_PASSWORD": passwords[postgres.APP],
            "QCLOUD_DATABASE_READONLY_PASSWORD": passwords[postgres.READONLY],
            "QCLOUD_DATABASE_MIGRATOR_PASSWORD": passwords[postgres.MIGRATOR],
            "QCLOUD_TEST_SUPERUSER_PASSWORD": passwords[postgres.SUPERUSER],
            "QCLOUD_TEST_REDIS_URL": cache.url,
            "QCLOUD_EVENTSTORE_PASSWORD": secrets.token_urlsafe(18),
            "QCLOUD_OBJECTS_PATH": str(folder / "objects"),
            "QCLOUD_KEYRING_PATH": str(folder / "keys" / "keyring"),
            "QCLOUD_MAIL_PATH": str(folder / "mail"),
            "QCLOUD_SPOOL_PATH": str(folder / "spool"),
            "QCLOUD_EVENTSTORE_PATH": str(folder / "eventstore"),
        }
    )


@atexit.register
def _stop_servers() -> None:
    while _running and _running[-1][2] == os.getpid():  # a forked child's are its parent's
        children, folder, _owner = _running.pop()
        for child in reversed(children):
            child.stop()
        shutil.rmtree(folder, ignore_errors=True)


def pytest_unconfigure() -> None:
    """Here and not at exit alone: a worker of a parallel run may be ended without it."""
    _stop_servers()


def worker_number() -> int:
    """0 without xdist, else 1, 2 …"""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw-1").removeprefix("gw")) + 1


def database_name() -> str:
    return f"qcloud_test_{worker_number()}"


def superuser(database: str) -> psycopg.Connection[tuple[object, ...]]:
    """A connection past every policy, for what only a test's set-up may do."""
    return psycopg.connect(
        host=os.environ["QCLOUD_DATABASE_HOST"],
        port=postgres.PORT,
        user=postgres.SUPERUSER,
        password=os.environ["QCLOUD_TEST_SUPERUSER_PASSWORD"],
        dbname=database,
        autocommit=True,
    )


def create_database() -> None:
    """This worker's database, copied from a template that it migrates once."""
    folder = Path(os.environ[_FOLDER])
    with (folder / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "template.ready").exists():
            _migrate_template()
            (folder / "template.ready").touch()
        with superuser("postgres") as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                    sql.Identifier(database_name()),
                    sql.Identifier(TEMPLATE),
                    sql.Identifier(postgres.MIGRATOR),
                )
            )


def _migrate_template() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0", "--skip-checks"],
        env={
            **os.environ,
            "QCLOUD_DATABASE_ROLE": "migrator",
            "QCLOUD_DATABASE_NAME": TEMPLATE,
            "QCLOUD_LOG_LEVEL": "WARNING",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"migrations failed on an empty database:\n{done.stdout}{done.stderr}")


def empty_database() -> None:
    """Remove every row. Triggers are off: append-only tables refuse it otherwise."""
    with superuser(database_name()) as connection:
        tables = connection.execute(
            "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'"
            " AND tablename <> 'django_migrations'"
        ).fetchall()
        names = sql.SQL(", ").join(sql.SQL(str(name)) for (name,) in tables)
        connection.execute("SET session_replication_role = replica")
        connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(names))


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    if os.environ.get(_OWNER) != str(worker_number()):
        _start_servers()
    os.environ["QCLOUD_DATABASE_NAME"] = database_name()
    separator = "&" if "?" in os.environ["QCLOUD_TEST_REDIS_URL"] else "?"
    os.environ["QCLOUD_REDIS_URL"] = (
        f"{os.environ['QCLOUD_TEST_REDIS_URL']}{separator}db={worker_number()}"
    )
