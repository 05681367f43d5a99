"""Children of the supervisor."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from qcloud.platform.process import Child

FAMILY = """
import os, sys, time
worker = os.fork()
if worker:
    os.write(1, b"%d\\n" % worker)
time.sleep(60)
"""


def wait_for_worker(log: Path, known: set[int]) -> int:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        lines = log.read_text().splitlines(keepends=True) if log.exists() else []
        found = {int(line) for line in lines if line.endswith("\n")} - known
        if found:
            return found.pop()
        time.sleep(0.02)
    raise AssertionError("the child started no worker")


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def ends(pid: int) -> bool:
    """Whether a process is gone within ten seconds: a signal takes its time."""
    deadline = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


def test_a_start_ends_what_an_earlier_one_left(tmp_path: Path) -> None:
    """A parent killed outright leaves its worker, which holds the port and the spool."""
    log = tmp_path / "child.log"
    child = Child("family", [sys.executable, "-c", FAMILY], log, dict(os.environ))
    child.start()
    try:
        orphan = wait_for_worker(log, set())
        assert child.process is not None
        child.process.send_signal(signal.SIGKILL)
        child.process.wait(10)
        assert is_running(orphan)
        child.start()
        worker = wait_for_worker(log, {orphan})
        assert ends(orphan)
        assert is_running(worker)
    finally:
        child.stop()
    assert ends(worker)
