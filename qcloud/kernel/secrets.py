"""The platform's own secrets, when something else than the environment keeps them.

The room that speaks to the keeper installs a source at start-up; the kernel only knows this
protocol. A source is asked at each new connection, so a rotated password needs no restart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

SECRET_KEY: Final = "QCLOUD_SECRET_KEY"  # noqa: S105  the name of a variable
DATABASE_APP: Final = "QCLOUD_DATABASE_APP_PASSWORD"
DATABASE_MIGRATOR: Final = "QCLOUD_DATABASE_MIGRATOR_PASSWORD"
DATABASE_READONLY: Final = "QCLOUD_DATABASE_READONLY_PASSWORD"
REDIS: Final = "QCLOUD_REDIS_URL"
EVENTSTORE: Final = "QCLOUD_EVENTSTORE_PASSWORD"

NEEDS: Final[dict[str, frozenset[str]]] = {
    "web": frozenset({SECRET_KEY, DATABASE_APP, REDIS, EVENTSTORE}),
    "ingest": frozenset({DATABASE_APP, REDIS}),
    "loader": frozenset({DATABASE_APP, EVENTSTORE}),
    "worker": frozenset({SECRET_KEY, DATABASE_APP, REDIS, EVENTSTORE}),
    "beat": frozenset({REDIS}),
    "scanner": frozenset(),
    "migrator": frozenset({DATABASE_MIGRATOR, EVENTSTORE}),
    "operator": frozenset({SECRET_KEY, DATABASE_APP, REDIS, EVENTSTORE}),
}
"""By process (``QCLOUD_PROCESS``). The same table decides what each may read from Vault and
what its settings ask for. ``operator`` is the command line.
"""


@dataclass(frozen=True, slots=True)
class DatabaseLogin:
    user: str
    password: str = field(repr=False)


class SecretSource(Protocol):
    def read(self, name: str) -> str | None:
        """The present value, perhaps some seconds old; ``None``: it keeps no such secret.

        Raises ``SettingError`` when it cannot be asked and never was.
        """

    def changed(self, name: str) -> bool:
        """Ask again now, because the known value was refused; whether there is another."""

    def database_login(self, role: str) -> DatabaseLogin | None:
        """A login made for this process (``role`` is ``app``); ``None``: it makes none."""

    def database_login_refused(self, login: DatabaseLogin) -> bool:
        """Forget ``login``; whether another one can be had."""


class _Installed:
    source: SecretSource | None = None


def install(source: SecretSource | None) -> None:
    """Called once at start-up, before settings are read; ``None`` takes it away again."""
    _Installed.source = source


def source() -> SecretSource | None:
    return _Installed.source


def withheld(process: str, name: str) -> bool:
    """Whether ``process`` has no business with the secret, and its keeper would refuse."""
    return _Installed.source is not None and name not in NEEDS.get(process, frozenset({name}))
