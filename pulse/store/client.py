"""The client of the event store, one a process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Self

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

from pulse.errors import StoreUnavailable
from pulse.store.cluster import CLUSTER_NAME, Layout
from qcloud.kernel.env import Env, SettingError

_CONNECT_SECONDS: Final = 5
_ANSWER_SECONDS: Final = 120


@dataclass(frozen=True)
class StoreSettings:
    """Where the event store is: the embedded one or a ClickHouse server."""

    password: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 8602
    user: str = "qcloud"
    database: str = "qcloud"
    secure: bool = False
    """HTTPS."""
    cluster: str = ""
    """``QCLOUD_CLICKHOUSE_CLUSTER``: the cluster that the server is a part of; empty: none."""

    @property
    def layout(self) -> Layout:
        return Layout(self.database, self.cluster)

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Raises ``SettingError``."""
        production = env.text("QCLOUD_MODE", "embedded") == "production"
        cluster = env.text("QCLOUD_CLICKHOUSE_CLUSTER", "")
        if cluster and not CLUSTER_NAME.match(cluster):
            raise SettingError(
                f"QCLOUD_CLICKHOUSE_CLUSTER is {cluster!r}: give a name from remote_servers of"
                " the ClickHouse servers (letters, digits, _ and -), or leave it empty"
            )
        return cls(
            password=env.secret("QCLOUD_EVENTSTORE_PASSWORD"),
            host=env.text("QCLOUD_EVENTSTORE_HOST", "127.0.0.1"),
            port=env.integer("QCLOUD_EVENTSTORE_PORT", 8602, low=1, high=65_535),
            user=env.text("QCLOUD_EVENTSTORE_USER", "qcloud"),
            database=env.text("QCLOUD_EVENTSTORE_DATABASE", "qcloud"),
            secure=env.flag("QCLOUD_EVENTSTORE_SECURE", default=production),
            cluster=cluster,
        )


class Store:
    """A connection pool to one event store; safe to use from several threads."""

    def __init__(self, settings: StoreSettings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._process = 0

    def client(self) -> Client:
        """The client, connected at first use and again after a fork.

        Raises ``StoreUnavailable``.
        """
        with self._lock:
            if self._client is None or self._process != os.getpid():
                self._client = self.connect(self.settings.database)
                self._process = os.getpid()
            return self._client

    def connect(self, database: str) -> Client:
        """A client of its own on ``database``. Raises ``StoreUnavailable``."""
        chosen = self.settings
        with unavailable(chosen):
            return clickhouse_connect.get_client(
                host=chosen.host,
                port=chosen.port,
                username=chosen.user,
                password=chosen.password,
                database=database,
                secure=chosen.secure,
                connect_timeout=_CONNECT_SECONDS,
                send_receive_timeout=_ANSWER_SECONDS,
                # Statements of one session may not overlap; ours are independent.
                autogenerate_session_id=False,
                query_retries=1,
                tz_mode="aware",
            )


@contextmanager
def unavailable(settings: StoreSettings) -> Iterator[None]:
    """Turns "nobody answers" into ``StoreUnavailable``; the engine's refusals stay as they are."""
    try:
        yield
    except (OperationalError, OSError) as error:
        raise StoreUnavailable(f"{settings.host}:{settings.port}") from error


_default: Store | None = None


def default_store() -> Store:
    """The store that this process's environment names. Raises ``SettingError``."""
    global _default  # noqa: PLW0603  one pool a process
    if _default is None:
        _default = Store(StoreSettings.from_env(Env()))
    return _default


__all__ = ["ClickHouseError", "Store", "StoreSettings", "default_store", "unavailable"]
