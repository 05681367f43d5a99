"""The processes under test, as an operator starts them, and killed as no operator would."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from pulse.store.client import StoreSettings

PASSWORD = "correct horse"
_START_SECONDS = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class EventStoreProcess:
    """``qcloud eventstore`` on a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.port = free_port()
        self.log = path.with_name(path.name + ".log")
        self._process: subprocess.Popen[bytes] | None = None

    def settings(self, database: str = "qcloud") -> StoreSettings:
        return StoreSettings(password=PASSWORD, port=self.port, database=database)

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "QCLOUD_EVENTSTORE_PATH": str(self.path),
            "QCLOUD_EVENTSTORE_PORT": str(self.port),
            "QCLOUD_EVENTSTORE_PASSWORD": PASSWORD,
        }

    def spawn(self) -> subprocess.Popen[bytes]:
        program = "import sys; from pulse.eventstore.main import main; sys.exit(main())"
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", program],
                env=self.environment(),
                stdout=log,
                stderr=log,
            )

    def start(self) -> None:
        self._process = self.spawn()
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(20)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False


class Process:
    """A program that is started again after it was killed."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self._command, self._environment, self._log = command, environment, log
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        # Its group: the server of the door has a child that must die with it.
        os.killpg(self._process.pid, number)
        self._process.wait(20)
