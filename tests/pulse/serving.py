"""The door behind the server that runs it in production."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.pulse.processes import Process, free_port


@contextmanager
def served_door(folder: Path) -> Iterator[str]:
    """Its address; spool and log are in ``folder``. ``tests.pulse.served`` has its tokens."""
    port = free_port()
    command = [
        sys.executable, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port",
        str(port), "--workers", "1", "--factory", "tests.pulse.served:create_app",
    ]  # fmt: skip
    environment = {**os.environ, "QCLOUD_SPOOL_PATH": str(folder / "spool")}
    environment["QCLOUD_LOG_LEVEL"] = "ERROR"
    process = Process(command, environment, folder / "door.log")
    try:
        deadline = time.monotonic() + 30
        while not _answers(port):
            assert time.monotonic() < deadline, (folder / "door.log").read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
