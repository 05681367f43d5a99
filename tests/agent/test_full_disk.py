"""The agent on a disk that is full when it starts, or fills while it runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.recording.demo import write_demo
from agent.status import read_status
from tests.agent.config.test_another_platform import document
from tests.agent.platform_server import Platform
from tests.real import require_real


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    require_real("tmpfs", os.geteuid() == 0, "mounting needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k,mode=0700", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    require_real("tmpfs", mounted.returncode == 0, mounted.stderr)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    path = disk / "ballast"
    state = os.statvfs(disk)
    path.write_bytes(bytes(state.f_bavail * state.f_frsize))
    return path


def command(tmp_path: Path, disk: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "agent", "--config", str(tmp_path / "q.yaml"), "--replay",
            str(tmp_path / "demo"), "--speed", "max", "--data-dir", str(disk / "data"),
            *words]  # fmt: skip


def run(tmp_path: Path, disk: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(tmp_path, disk, *words), capture_output=True, text=True, check=False, timeout=60
    )


def test_a_disk_that_is_full_at_the_start_is_worth_another_start(
    tmp_path: Path, disk: Path
) -> None:
    """``RestartPreventExitStatus`` of the unit does not name 1: the node heals by itself."""
    requests = write_demo(tmp_path / "demo", minutes=0.05, rate=20)
    with Platform() as platform:
        (tmp_path / "q.yaml").write_text(document(platform.url))
        ballast = fill(disk)
        done = run(tmp_path, disk)
        assert done.returncode == 1
        assert "No space left on device" in done.stderr
        assert "free space on its disk" in done.stderr
        assert "Traceback" not in done.stderr
        ballast.unlink()
        assert run(tmp_path, disk).returncode == 0
        assert len(platform.events) == requests


def test_a_disk_that_fills_costs_events_that_are_counted(tmp_path: Path, disk: Path) -> None:
    requests = write_demo(tmp_path / "demo", minutes=2.0, rate=200)
    status = tmp_path / "status.json"
    with Platform() as platform:
        platform.refuse_registration = True
        (tmp_path / "q.yaml").write_text(document(platform.url))
        words = ("--status-file", str(status))
        away = subprocess.Popen(command(tmp_path, disk, *words), stderr=subprocess.DEVNULL)
        platform.wait(lambda: status.exists() and read_status(status)["state"] == "draining", 60)
        away.send_signal(signal.SIGTERM)
        away.wait(30)
        told = read_status(status)
        spooled, dropped = told["events_spooled"], told["dropped"]
        assert set(dropped) == {"event.disk-full"}
        assert spooled + dropped["event.disk-full"] == told["exchanges"] == requests
        assert spooled == told["events_waiting"] > 0
        platform.refuse_registration = False
        again = run(tmp_path, disk, *words)
        assert again.returncode == 0, again.stderr
        assert len(platform.events) >= spooled
        assert read_status(status)["events_waiting"] == 0
