"""A PostgreSQL of its own with the platform's schema, and this process connected to it."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from qcloud.platform import postgres
from qcloud.platform.process import Child

ROOT: Final = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Server:
    child: Child

    def cpu_seconds(self) -> float:
        """Of the server and its connections, ended ones too."""
        assert self.child.process is not None  # noqa: S101  started below
        server = psutil.Process(self.child.process.pid)
        total = 0.0
        for process in (server, *server.children(recursive=True)):
            times = process.cpu_times()
            total += times.user + times.system
            if process.pid == server.pid:
                total += times.children_user + times.children_system
        return total


@contextmanager
def database(folder: Path) -> Iterator[Server]:
    """Django is set up in this process; a keyring lies in ``folder`` as well."""
    roles = (postgres.SUPERUSER, postgres.MIGRATOR, postgres.APP, postgres.READONLY)
    passwords = {role: secrets.token_urlsafe(18) for role in roles}
    server = postgres.Postgres(folder / "pg", folder / "sockets", folder / "pg.log", passwords)
    server.initialize()
    child = server.child()
    child.start()
    try:
        child.wait_until(server.ready, 30)
        server.provision()
        _migrate(_environment(folder, server, passwords))
        import django

        django.setup()
        yield Server(child)
        from django.db import connections

        connections.close_all()
    finally:
        child.stop()


def _environment(
    folder: Path, server: postgres.Postgres, passwords: dict[str, str]
) -> dict[str, str]:
    os.environ.update(
        {
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": "qcloud.settings",
            "QCLOUD_LOG_LEVEL": "WARNING",
            "QCLOUD_SECRET_KEY": secrets.token_urlsafe(48),
            "QCLOUD_DATABASE_HOST": str(server.sockets),
            "QCLOUD_DATABASE_APP_PASSWORD": passwords[postgres.APP],
            "QCLOUD_DATABASE_MIGRATOR_PASSWORD": passwords[postgres.MIGRATOR],
            "QCLOUD_REDIS_URL": "unix:///nonexistent",
            "QCLOUD_EVENTSTORE_PASSWORD": secrets.token_urlsafe(12),
            "QCLOUD_KEYRING_PATH": str(folder / "keys" / "keyring"),
        }
    )
    return {**os.environ, "QCLOUD_DATABASE_ROLE": "migrator"}


def _migrate(environment: dict[str, str]) -> None:
    command = [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0"]
    subprocess.run([*command, "--skip-checks"], env=environment, check=True)
