"""A real event store, a spool of its own, and lines of traffic."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from pulse.spool.folder import SpoolFolder
from pulse.store.client import Store
from pulse.store.migrate import migrate
from tests.pulse.processes import EventStoreProcess


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventStoreProcess]:
    """One event store for all tests; each test has a database of its own in it."""
    process = EventStoreProcess(tmp_path_factory.mktemp("eventstore") / "data")
    process.start()
    yield process
    process.stop()


@pytest.fixture
def store(engine: EventStoreProcess) -> Iterator[Store]:
    chosen = Store(engine.settings(database=f"test_{secrets.token_hex(6)}"))
    migrate(chosen)
    yield chosen
    chosen.client().command(f"DROP DATABASE `{chosen.settings.database}`")
    chosen.client().close()


@pytest.fixture
def spool(tmp_path: Path) -> SpoolFolder:
    return SpoolFolder(tmp_path / "spool")


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Says what time the rollups believe it is."""

    def set_to(moment: datetime) -> None:
        for module in ("rebuild", "merging", "versions"):
            monkeypatch.setattr(f"pulse.rollups.{module}.now", lambda: moment)

    return set_to
