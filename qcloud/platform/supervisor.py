"""``qcloud up``: the whole platform on one machine, from nothing to a portal with a login.

Servers start in the order in which they need each other and stop in the reverse order.
What ends on its own is started again, with a growing pause, and said so.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final
from urllib.error import URLError
from urllib.request import urlopen

from qcloud.platform.environment import (
    Ports,
    environment,
    migrator_environment,
    postgres_of,
    redis_of,
)
from qcloud.platform.folder import DataFolder, FolderError
from qcloud.platform.process import Child, StartError

_RESTART_PAUSES: Final = (1.0, 2.0, 5.0, 15.0, 30.0)
_STEADY_SECONDS: Final = 60.0
"""A process that ran this long before it ended is restarted without a pause."""

Say = Callable[[str], None]


def say_now(text: str) -> None:
    """Print at once, also into a file or a pipe that somebody follows."""
    print(text, flush=True)  # noqa: T201  the supervisor's console is its interface


@dataclass
class _Watched:
    child: Child
    ready: Callable[[], bool]
    started: float = 0.0
    failures: int = 0
    retry_at: float = 0.0


@dataclass
class Supervisor:
    """One platform on one data folder. ``run()`` returns when somebody asked it to stop."""

    folder: DataFolder
    ports: Ports
    with_agent: bool = True
    say: Say = say_now
    _watched: list[_Watched] = field(default_factory=list)
    _stopping: bool = False

    def run(self) -> None:
        """Start everything, watch it, stop everything.

        Raises ``FolderError`` or ``StartError`` with what to do.
        """
        self.folder.prepare()
        with self.folder.lock():
            signal.signal(signal.SIGINT, self._ask_to_stop)
            signal.signal(signal.SIGTERM, self._ask_to_stop)
            self._check_ports()
            try:
                self._start_all()
                self._watch()
            except _Stop:
                pass
            finally:
                self._stop_all()

    def _start_all(self) -> None:
        self._start_databases()
        self._step("schema", self._migrate)
        logins = self._step("demo accounts", self._demo)
        for name, probe in (
            ("ingest", self._http(self.ports.ingest)),
            ("loader", _always),
            ("web", self._http(self.ports.web)),
            ("worker", _always),
            ("beat", _always),
        ):
            self._start(self._own(name), probe)
        agent_line = self._start_agent(logins) if self.with_agent else ""
        self._greet(logins, agent_line)

    def _start_databases(self) -> None:
        server = postgres_of(self.folder)
        self._step("PostgreSQL: data folder", server.initialize)
        self._start(server.child(), server.ready)
        server.provision()
        cache = redis_of(self.folder)
        self._start(cache.child(), cache.ready)
        self._start(self._own("eventstore"), self._http(self.ports.eventstore, "/ping"))

    def _own(self, name: str) -> Child:
        """One of our processes: ``qcloud NAME``."""
        return Child(
            name=name,
            command=[sys.executable, "-m", "qcloud", name],
            log=self.folder.logs / f"{name}.log",
            environment={**environment(self.folder, self.ports), "QCLOUD_PROCESS": name},
        )

    def _start(self, child: Child, ready: Callable[[], bool]) -> None:
        began = time.monotonic()
        watched = _Watched(child, ready, started=began)
        self._watched.append(watched)
        child.start()
        child.wait_until(lambda: self._unless_stopping(ready), 60)
        self.say(f"  {child.name:<22} ready in {time.monotonic() - began:.1f} s")

    def _unless_stopping(self, ready: Callable[[], bool]) -> bool:
        if self._stopping:
            raise _Stop
        return ready()

    def _step(self, name: str, work: Callable[[], Any]) -> Any:
        began = time.monotonic()
        result = work()
        self.say(f"  {name:<22} done in {time.monotonic() - began:.1f} s")
        if self._stopping:
            raise _Stop
        return result

    def _migrate(self) -> None:
        _command(["migrate"], migrator_environment(self.folder, self.ports))

    def _demo(self) -> dict[str, Any]:
        """Make the demo accounts once; who they are and how they sign in."""
        _command(["demo"], environment(self.folder, self.ports))
        known: dict[str, Any] = json.loads(self.folder.logins.read_text())
        return known

    def _start_agent(self, logins: dict[str, Any]) -> str:
        """Start the agent of the demo customer; the line tells what became of it."""
        problems = _capture_problems()
        if problems:
            return (
                "No agent runs on this host, because it cannot capture here:\n"
                + "\n".join(f"    - {problem}" for problem in problems)
                + "\n  The platform works all the same. Feed it recorded traffic instead:"
                "\n    bin/qcloud replay --demo"
            )
        customer, token = next(iter(logins["registration_tokens"].items()))
        agent = self._own("agent")
        agent.command = [
            sys.executable, "-m", "agent",
            "--registration-endpoint", f"http://127.0.0.1:{self.ports.ingest}",
            "--data-dir", str(self.folder.agents / "host"),
            "--status-file", str(self.folder.agents / "host" / "status.json"),
            # The platform itself, agent included, is the supervisor and what it started.
            "--exclude-pids", str(os.getpid()),
        ]  # fmt: skip
        agent.environment = {**agent.environment, "REGISTRATION_TOKEN": token}
        status = self.folder.agents / "host" / "status.json"
        status.unlink(missing_ok=True)
        self._start(agent, status.exists)
        return (
            f"An agent of “{customer}” captures HTTP on this host:"
            " any curl or Python client that you run now appears in its portal."
        )

    def _greet(self, logins: dict[str, Any], agent_line: str) -> None:
        self.say("\nQCloud is running.\n")
        for person in logins["people"].values():
            address = f"http://127.0.0.1:{self.ports.web}{person['path']}"
            self.say(f"  {person['tier']:<9} {person['role']:<7} {address}")
            self.say(f"  {'':<17} {person['email']}   {person['password']}")
        self.say(f"\n  Until a mail server is set, every mail is a file in {self.folder.mail}")
        self.say(f"\n  {agent_line}\n\n  Logs: {self.folder.logs}   Stop: Ctrl-C\n")

    def _watch(self) -> None:
        while not self._stopping:
            for watched in self._watched:
                self._revive(watched)
            time.sleep(0.5)

    def _revive(self, watched: _Watched) -> None:
        child, now = watched.child, time.monotonic()
        if child.exit_code() is None:
            if watched.failures and now - watched.started > _STEADY_SECONDS:
                watched.failures = 0
            return
        if not watched.retry_at:
            pause = _RESTART_PAUSES[min(watched.failures, len(_RESTART_PAUSES) - 1)]
            watched.failures += 1
            watched.retry_at = now + pause
            self.say(
                f"  {child.name} ended (exit {child.exit_code()}); starting it again in"
                f" {pause:.0f} s{child.tail(5)}"
            )
        elif now >= watched.retry_at:
            watched.retry_at, watched.started = 0.0, now
            child.start()

    def _stop_all(self) -> None:
        if self._watched:
            self.say("\nStopping:")
        for watched in reversed(self._watched):
            began = time.monotonic()
            watched.child.stop()
            self.say(f"  {watched.child.name:<22} stopped in {time.monotonic() - began:.1f} s")

    def _ask_to_stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _check_ports(self) -> None:
        for name, port in vars(self.ports).items():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError as error:
                    if error.errno != errno.EADDRINUSE:
                        raise
                    raise FolderError(
                        f"port {port} ({name}) is taken by another program. Stop that one, or"
                        f" choose another port: QCLOUD_{name.upper()}_PORT=…"
                    ) from None

    def _http(self, port: int, path: str = "/healthz") -> Callable[[], bool]:
        return lambda: _answers(f"http://127.0.0.1:{port}{path}")


class _Stop(Exception):
    pass


def _always() -> bool:
    return True


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as response:  # noqa: S310  always http on loopback
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


def _command(arguments: list[str], variables: dict[str, str]) -> str:
    """Run ``qcloud ARGUMENTS`` to its end; its standard output.

    Raises ``StartError`` with what it said.
    """
    done = subprocess.run(
        [sys.executable, "-m", "qcloud", *arguments],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StartError(f"qcloud {arguments[0]} failed:\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def _capture_problems() -> list[str]:
    """What keeps an agent from capturing on this host; empty when nothing does."""
    done = subprocess.run(
        [sys.executable, "-m", "agent", "doctor"],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return []
    return done.stdout.splitlines() or [f"the agent's own check failed: {done.stderr[-500:]}"]
