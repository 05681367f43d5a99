"""A whole platform for one run, started as an operator starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from qcloud.platform import postgres
from qcloud.platform.environment import Ports, environment, postgres_of
from qcloud.platform.folder import DataFolder


def wait_for(what: str, ready: Callable[[], bool], seconds: float, pause: float = 0.1) -> None:
    """Raises ``TimeoutError`` naming what was waited for."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not after {seconds:.0f} s")
        time.sleep(pause)


def caller_environment() -> dict[str, str]:
    """This process's environment without settings that are meant for another platform."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("QCLOUD_", "DJANGO_"))}


@dataclass
class Platform:
    """``qcloud up --no-agent`` on a folder of its own; agents are the run's business."""

    folder: DataFolder
    ports: Ports
    process: subprocess.Popen[str] | None = None
    _reader: threading.Thread | None = None

    def start(self, seconds: float = 90) -> None:
        variables = {
            **caller_environment(),
            "QCLOUD_DATA": str(self.folder.root),
            "QCLOUD_WEB_PORT": str(self.ports.web),
            "QCLOUD_INGEST_PORT": str(self.ports.ingest),
            "QCLOUD_EVENTSTORE_PORT": str(self.ports.eventstore),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "qcloud", "up", "--no-agent"],
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        said: list[str] = []
        self._reader = threading.Thread(target=self._read, args=(said,), daemon=True)
        self._reader.start()

        def up() -> bool:
            if self.process and self.process.poll() is not None:
                raise RuntimeError("the platform did not start:\n" + "".join(said))
            return any("QCloud is running" in line for line in said)

        wait_for("the platform to start", up, seconds)

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)
        self.forget_process()

    def forget_process(self) -> None:
        """Close what is left of a process that has ended."""
        if self.process and self.process.stdout:
            self.process.wait(10)
            if self._reader:
                self._reader.join(10)
            self.process.stdout.close()

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.ports.web}"

    @property
    def ingest(self) -> str:
        return f"http://127.0.0.1:{self.ports.ingest}"

    @property
    def logins(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.folder.logins.read_text())
        return found

    def command(self, *arguments: str) -> str:
        """``qcloud ARGUMENTS`` with the platform's settings; its standard output."""
        done = subprocess.run(
            [sys.executable, "-m", "qcloud", *arguments],
            env=environment(self.folder, self.ports),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"qcloud {arguments[0]}: {done.stderr[-2_000:]}")
        return done.stdout

    def store(self) -> Client:
        """A client of the event store with the platform's own credentials."""
        return clickhouse_connect.get_client(
            host="127.0.0.1",
            port=self.ports.eventstore,
            username="qcloud",
            password=self.folder.secrets()["eventstore"],
            database="qcloud",
        )

    def account_id(self, slug: str) -> UUID:
        with postgres_of(self.folder).connect(postgres.SUPERUSER, postgres.DATABASE) as database:
            row = database.execute(
                "SELECT id FROM identity_account WHERE slug = %s", (slug,)
            ).fetchone()
        if row is None:
            raise LookupError(f"no account {slug}")
        return UUID(str(row[0]))

    def _read(self, said: list[str]) -> None:
        if self.process and self.process.stdout:
            for line in self.process.stdout:
                said.append(line)
                sys.stderr.write(f"    {line}")


@dataclass
class AgentOnNode:
    """A real agent, scoped to one node's network namespace."""

    name: str
    namespace: Path
    data: Path
    platform: Platform
    token: str
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        with (self.data / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "agent",
                    "--registration-endpoint", self.platform.ingest,
                    "--data-dir", str(self.data),
                    "--status-file", str(self.status_path),
                    "--netns", str(self.namespace),
                ],
                env={**caller_environment(), "REGISTRATION_TOKEN": self.token},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        wait_for(f"agent {self.name} to capture", self._capturing, 30)

    @property
    def status_path(self) -> Path:
        return self.data / "status.json"

    def status(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self.status_path.read_text())
        except FileNotFoundError:
            return {}
        return found

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def _capturing(self) -> bool:
        if self.process and self.process.poll() is not None:
            log = (self.data / "agent.log").read_text()[-3_000:]
            raise RuntimeError(f"agent {self.name} ended (exit {self.process.returncode}):\n{log}")
        found = self.status()
        return found.get("state") == "running" and bool(found.get("registered"))
