"""The whole platform as an operator starts it, on a folder of its own, for benchmarks."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from qcloud.platform.environment import Ports
from qcloud.platform.folder import DataFolder

_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 60.0
_READY: Final = "QCloud is running"


@dataclass(frozen=True)
class Owner:
    """A customer's owner, and the token with which the customer's agents register."""

    account: str
    email: str
    password: str
    registration_token: str


@dataclass(frozen=True)
class WholePlatform:
    folder: DataFolder
    ports: Ports
    pid: int = 0
    """Of the process that started the others."""

    def owner(self) -> Owner:
        """Of the first of the demo's customers."""
        known = json.loads(self.folder.logins.read_text())
        account, token = next(iter(known["registration_tokens"].items()))
        person = known["people"][account]
        return Owner(account, person["email"], person["password"], token)


@contextmanager
def whole_platform() -> Iterator[WholePlatform]:
    """``qcloud up --no-agent`` while the block runs. Raises ``RuntimeError``, also when it does
    not end as it is asked to.
    """
    with tempfile.TemporaryDirectory(prefix="qcloud-bench-") as folder:
        platform = WholePlatform(DataFolder(Path(folder) / "data"), _free_ports())
        with (Path(folder) / "up.log").open("w+") as log:
            process = subprocess.Popen(
                [sys.executable, "-u", "-m", "qcloud", "up", "--no-agent"],
                env=_environment(platform),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                _until_ready(process, Path(log.name))
                yield replace(platform, pid=process.pid)
            except BaseException:
                _end(process)
                raise
            if code := _end(process):
                said = Path(log.name).read_text()
                raise RuntimeError(f"the platform ended with exit {code}:\n{said}")


def _end(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGINT)
    return process.wait(_STOP_SECONDS)


def _environment(platform: WholePlatform) -> dict[str, str]:
    """The caller's, without settings that are meant for another platform."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("QCLOUD_", "DJANGO_"))}
    return kept | {
        "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
        "QCLOUD_DATA": str(platform.folder.root),
        "QCLOUD_WEB_PORT": str(platform.ports.web),
        "QCLOUD_INGEST_PORT": str(platform.ports.ingest),
        "QCLOUD_EVENTSTORE_PORT": str(platform.ports.eventstore),
    }


def _until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while _READY not in (said := log.read_text()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the platform did not start:\n{said}")
        time.sleep(0.2)


def _free_ports() -> Ports:
    """Three at once, so that none is handed out twice."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        return Ports(*(int(probe.getsockname()[1]) for probe in probes))
