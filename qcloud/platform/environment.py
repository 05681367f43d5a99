"""The settings that the embedded platform gives its processes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qcloud.kernel.env import Env
from qcloud.platform import postgres
from qcloud.platform.folder import DataFolder
from qcloud.platform.postgres import Postgres
from qcloud.platform.redis_server import Redis


@dataclass(frozen=True)
class Ports:
    """Loopback ports of the processes that listen."""

    web: int = 8600
    ingest: int = 8601
    eventstore: int = 8602

    @classmethod
    def from_environment(cls, env: Env) -> Ports:
        return cls(
            web=env.integer("QCLOUD_WEB_PORT", cls.web, low=1, high=65_535),
            ingest=env.integer("QCLOUD_INGEST_PORT", cls.ingest, low=1, high=65_535),
            eventstore=env.integer("QCLOUD_EVENTSTORE_PORT", cls.eventstore, low=1, high=65_535),
        )


def postgres_of(folder: DataFolder) -> Postgres:
    secrets = folder.secrets()
    return Postgres(
        data=folder.postgres,
        sockets=folder.sockets,
        log=folder.logs / "postgres.log",
        passwords={
            postgres.SUPERUSER: secrets["postgres_superuser"],
            postgres.MIGRATOR: secrets["postgres_migrator"],
            postgres.APP: secrets["postgres_app"],
            postgres.READONLY: secrets["postgres_readonly"],
        },
    )


def redis_of(folder: DataFolder) -> Redis:
    return Redis(
        data=folder.redis,
        socket=folder.sockets_of_redis / "redis.sock",
        log=folder.logs / "redis.log",
        password=folder.secrets()["redis"],
    )


def environment(folder: DataFolder, ports: Ports) -> dict[str, str]:
    """Variables for every process of the embedded platform, secrets included.

    They go to the processes through the environment, which only the same user and root can
    read; nothing of it is on a command line.
    """
    secrets = folder.secrets()
    return {
        "QCLOUD_KEY_BACKEND": "keyring",
        **_inherited(),
        "QCLOUD_MODE": "embedded",
        "QCLOUD_DATA": str(folder.root),
        "QCLOUD_SECRET_KEY": secrets["django"],
        "QCLOUD_DATABASE_HOST": str(folder.sockets),
        "QCLOUD_DATABASE_PORT": str(postgres.PORT),
        "QCLOUD_DATABASE_NAME": postgres.DATABASE,
        "QCLOUD_DATABASE_APP_PASSWORD": secrets["postgres_app"],
        "QCLOUD_DATABASE_READONLY_PASSWORD": secrets["postgres_readonly"],
        "QCLOUD_REDIS_URL": redis_of(folder).url,
        "QCLOUD_EVENTSTORE_PORT": str(ports.eventstore),
        "QCLOUD_EVENTSTORE_PASSWORD": secrets["eventstore"],
        "QCLOUD_EVENTSTORE_PATH": str(folder.eventstore),
        "QCLOUD_SPOOL_PATH": str(folder.spool),
        "QCLOUD_OBJECTS_PATH": str(folder.objects),
        "QCLOUD_KEYRING_PATH": str(folder.keyring),
        "QCLOUD_MAIL_PATH": str(folder.mail),
        "QCLOUD_INGEST_PUBLIC_URL": f"http://127.0.0.1:{ports.ingest}",
        "QCLOUD_PORTAL_URL": f"http://127.0.0.1:{ports.web}",
        "QCLOUD_WEB_PORT": str(ports.web),
        "QCLOUD_INGEST_PORT": str(ports.ingest),
        "DJANGO_SETTINGS_MODULE": "qcloud.settings",
        "PYTHONUNBUFFERED": "1",
    }


def migrator_environment(folder: DataFolder, ports: Ports) -> dict[str, str]:
    """The same for the one process that changes the schema."""
    return {
        **environment(folder, ports),
        "QCLOUD_DATABASE_ROLE": "migrator",
        "QCLOUD_DATABASE_MIGRATOR_PASSWORD": folder.secrets()["postgres_migrator"],
    }


def adopt(folder: DataFolder) -> None:
    """Give this process the settings of the platform on ``folder``, unless it has its own."""
    if "QCLOUD_DATABASE_HOST" not in os.environ and (folder.root / "format").exists():
        os.environ.update(environment(folder, Ports.from_environment(Env())))


_HANDED_ON: Final = (
    "QCLOUD_LOG_",
    "QCLOUD_NOTIFY_",
    "QCLOUD_KEY_",
    "QCLOUD_KEYRING_SECRET",
    "QCLOUD_VAULT_",
)


def _inherited() -> dict[str, str]:
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV", "SSL_CERT_FILE")
    chosen = {name: os.environ[name] for name in kept if name in os.environ}
    chosen.update({k: v for k, v in os.environ.items() if k.startswith(_HANDED_ON)})
    chosen["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent.parent)
    return chosen
