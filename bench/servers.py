"""The real processes of the ingest path, on a folder of their own, for benchmarks."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

import psutil
import urllib3

from pulse.store.client import Store, StoreSettings
from pulse.store.migrate import migrate
from qcloud.kernel.logs import configure_logging

ROOT: Final = Path(__file__).resolve().parent.parent
TOKEN: Final = "qca_benchmark"  # noqa: S105  known to this door alone
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 30.0


def door() -> Any:
    """The ingest application with one known token instead of the fleet."""
    from pulse.ingest.app import create_app

    configure_logging(level=os.environ["QCLOUD_LOG_LEVEL"], log_format="json")
    return create_app(gateway=_OneToken())


class _Agent:
    agent_id = UUID(int=1)
    account_id = UUID(int=7)
    environment_id = UUID(int=9)
    replaying = False


class _OneToken:
    def identify(self, token: str) -> _Agent | None:
        return _Agent() if token == TOKEN else None

    def allowances(self, _agent: _Agent) -> tuple[()]:
        return ()

    def is_forgotten(self, _agent: _Agent, _boot_id: UUID) -> bool:
        return False

    def release(self) -> None:
        """It holds nothing."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the benchmark's door has no fleet: {name}")


class Platform:
    """PostgreSQL, event store, door and loader while the ``with`` block runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._eventstore_port, self._ingest_port = _free_port(), _free_port()
        self._password = secrets.token_urlsafe(12)
        self.store = Store(StoreSettings(password=self._password, port=self._eventstore_port))
        self.ingest_url = f"http://127.0.0.1:{self._ingest_port}"

    def __enter__(self) -> Self:
        try:
            self._start_all()
        except BaseException:
            self._stop_all()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Raises ``RuntimeError`` for a server that had died, or died of being stopped: what was
        measured of it counts for nothing. What went wrong before is not hidden by that.
        """
        died = self._stop_all()
        if died and kind is None:
            raise RuntimeError(f"servers did not end as asked: {', '.join(died)}")

    def cpu_by_process(self) -> dict[str, float]:
        """Seconds of processor time since start, with children, by process."""
        return {name: _cpu(process.pid) for name, process in self._processes.items()}

    def cpu_seconds(self) -> float:
        """Of all our processes and the engine; PostgreSQL, where the ledger is, included."""
        return sum(self.cpu_by_process().values()) + _cpu(self._postgres.pid)

    def count(self) -> int:
        """Events in ``requests``."""
        return int(str(self.store.client().command("SELECT count() FROM requests")))

    def empty(self, table: str) -> None:
        """Forget its rows, and wait until the engine merges nothing of any table."""
        client = self.store.client()
        client.command(f"TRUNCATE TABLE {table}")
        while int(str(client.command("SELECT count() FROM system.merges"))):
            time.sleep(0.2)

    def _start_all(self) -> None:
        self.environment = environment = self._start_postgres()
        self._run("eventstore", "from pulse.eventstore.main import main; main()", environment)
        _until(self._eventstore_answers, "the event store")
        migrate(self.store)
        self._start_door(environment)
        loader = "import django; django.setup(); from pulse.loader.main import main; main()"
        self._run("loader", loader, environment)

    def _start_postgres(self) -> dict[str, str]:
        from qcloud.platform import postgres

        roles = (postgres.SUPERUSER, postgres.MIGRATOR, postgres.APP, postgres.READONLY)
        passwords = {role: secrets.token_urlsafe(18) for role in roles}
        server = postgres.Postgres(
            self._folder / "pg", self._folder / "sockets", self._folder / "pg.log", passwords
        )
        server.initialize()
        self._child = server.child()
        self._child.start()
        self._child.wait_until(server.ready, _START_SECONDS)
        server.provision()
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": "qcloud.settings",
            "QCLOUD_LOG_LEVEL": "WARNING",
            "QCLOUD_SECRET_KEY": secrets.token_urlsafe(48),
            "QCLOUD_DATABASE_HOST": str(server.sockets),
            "QCLOUD_DATABASE_APP_PASSWORD": passwords[postgres.APP],
            "QCLOUD_DATABASE_MIGRATOR_PASSWORD": passwords[postgres.MIGRATOR],
            "QCLOUD_REDIS_URL": "unix:///nonexistent",
            "QCLOUD_EVENTSTORE_PATH": str(self._folder / "events"),
            "QCLOUD_EVENTSTORE_PORT": str(self._eventstore_port),
            "QCLOUD_EVENTSTORE_PASSWORD": self._password,
            "QCLOUD_SPOOL_PATH": str(self._folder / "spool"),
        }
        subprocess.run(
            [
                sys.executable,
                str(ROOT / "manage.py"),
                "migrate",
                "--verbosity",
                "0",
                "--skip-checks",
            ],
            env={**environment, "QCLOUD_DATABASE_ROLE": "migrator"},
            check=True,
        )
        return environment

    @property
    def _postgres(self) -> psutil.Process:
        assert self._child.process is not None  # noqa: S101  started above
        return psutil.Process(self._child.process.pid)

    def _start_door(self, environment: dict[str, str]) -> None:
        command = [
            sys.executable, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1",
            "--port", str(self._ingest_port), "--workers", "1", "--no-ws", "--log-level",
            "warning", "--factory", "bench.servers:door",
        ]  # fmt: skip
        self._processes["ingest"] = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=sys.stderr
        )
        _until(self._door_answers, "the door")

    def _run(self, name: str, program: str, environment: dict[str, str]) -> None:
        command = [sys.executable, "-c", program]
        # Standard output is the figures' alone.
        self._processes[name] = subprocess.Popen(
            command, env=environment, cwd=self._folder, stdout=sys.stderr
        )

    def _eventstore_answers(self) -> bool:
        return _status(f"http://127.0.0.1:{self._eventstore_port}/ping") == 200

    def _door_answers(self) -> bool:
        return _status(f"{self.ingest_url}/healthz") == 200

    def _stop_all(self) -> list[str]:
        """What did not end as it was asked to, in words, told on standard error too."""
        died = [
            f"{name} {words}"
            for name, process in reversed(self._processes.items())
            if (words := stopped(process))
        ]
        if hasattr(self, "_child"):
            if (code := self._child.exit_code()) is not None:
                died.append(f"postgres had ended before (exit {code})")
            self._child.stop()
        sys.stderr.write("".join(f"bench: {words}\n" for words in died))
        return died


def stopped(process: subprocess.Popen[bytes]) -> str:
    """Ask the process to end and wait; what went wrong, in words, if anything did."""
    if (code := process.poll()) is not None:
        return f"had ended before (exit {code})"
    process.terminate()
    try:
        code = process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return f"did not end within {_STOP_SECONDS:.0f} s and was killed"
    return "" if code in {0, -signal.SIGTERM} else f"ended with exit {code}"


@contextmanager
def platform_on_disk() -> Iterator[Platform]:
    """A platform whose folder goes with it."""
    with (
        tempfile.TemporaryDirectory(prefix="qcloud-bench-") as folder,
        Platform(Path(folder)) as platform,
    ):
        yield platform


def _cpu(pid: int) -> float:
    """User and system time of a process, its threads and all its children, ended ones too."""
    total = 0.0
    for process in (parent := psutil.Process(pid), *parent.children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system
        if process.pid == pid:
            total += times.children_user + times.children_system
    return total


def _status(url: str) -> int:
    try:
        return urllib3.request("GET", url, retries=False, timeout=1).status
    except urllib3.exceptions.HTTPError:
        return 0


def _until(ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not start")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
