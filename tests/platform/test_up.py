"""``qcloud up`` as an operator meets it: started, started twice, stopped, started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from qcloud.platform.environment import Ports
from qcloud.platform.folder import DataFolder
from tests.e2e.platform import Platform

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def free_ports() -> Ports:
    with socket.socket() as one, socket.socket() as two, socket.socket() as three:
        for probe in (one, two, three):
            probe.bind(("127.0.0.1", 0))
        return Ports(*(probe.getsockname()[1] for probe in (one, two, three)))


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    made = Platform(DataFolder(tmp_path / "data"), free_ports())
    yield made
    made.stop()


def up_beside(platform: Platform, ports: Ports) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "qcloud", "up", "--no-agent"],
        env={
            "PATH": os.environ["PATH"],
            "QCLOUD_DATA": str(platform.folder.root),
            "QCLOUD_WEB_PORT": str(ports.web),
            "QCLOUD_INGEST_PORT": str(ports.ingest),
            "QCLOUD_EVENTSTORE_PORT": str(ports.eventstore),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def descendants(platform: Platform) -> list[psutil.Process]:
    assert platform.process is not None
    return psutil.Process(platform.process.pid).children(recursive=True)


def test_a_whole_life(platform: Platform) -> None:
    """Start, refuse a second one, stop by Ctrl-C, start again with the same data."""
    platform.start()
    first = platform.logins
    assert {person["tier"] for person in first["people"].values()} == {
        "cloud", "reseller", "customer",
    }  # fmt: skip
    assert platform.folder.logins.stat().st_mode & 0o777 == 0o600
    tokens = {key: value[:4] for key, value in first["registration_tokens"].items()}
    assert tokens == {"acme": "qcr_", "birch": "qcr_"}

    assert platform.process is not None
    beside = up_beside(platform, free_ports())
    assert beside.returncode == 1
    assert (
        f"already runs on {platform.folder.root} (process {platform.process.pid})" in beside.stderr
    )
    assert "Ctrl-C" in beside.stderr

    started = descendants(platform)
    assert len(started) >= 7
    platform.process.send_signal(signal.SIGINT)
    assert platform.process.wait(60) == 0
    platform.forget_process()
    _gone, alive = psutil.wait_procs(started, timeout=5)
    assert alive == []

    platform.start()
    assert platform.logins == first


def test_a_supervisor_that_is_killed_leaves_no_server_behind(platform: Platform) -> None:
    platform.start()
    started = descendants(platform)
    assert platform.process is not None
    platform.process.kill()
    platform.forget_process()
    _gone, alive = psutil.wait_procs(started, timeout=20)
    assert alive == []
    platform.start()


def test_a_process_that_dies_is_started_again(platform: Platform) -> None:
    platform.start()
    (ingest,) = [p for p in descendants(platform) if "pulse.ingest.app:create_app" in p.cmdline()
                 and p.parent() and p.parent().pid == platform.process.pid]  # type: ignore[union-attr]  # fmt: skip
    ingest.kill()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if (
                probe.connect_ex(("127.0.0.1", platform.ports.ingest)) == 0
                and not ingest.is_running()
            ):
                return
        time.sleep(0.2)
    pytest.fail("ingest did not come back")


def test_a_taken_port_is_named_before_anything_starts(platform: Platform) -> None:
    ports = free_ports()
    with socket.create_server(("127.0.0.1", ports.web)):
        refused = up_beside(platform, ports)
    assert refused.returncode == 1
    assert f"port {ports.web} (web) is taken by another program" in refused.stderr
    assert "QCLOUD_WEB_PORT" in refused.stderr


def test_a_half_written_folder_is_refused_and_clean_data_spares_foreign_files(
    tmp_path: Path,
) -> None:
    (tmp_path / "letters.txt").write_text("mine")
    environment = {"PATH": os.environ["PATH"], "QCLOUD_DATA": str(tmp_path)}
    for command, says in (
        ("up", "was never finished by QCloud"),
        ("clean-data", "does not look like"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "qcloud", command],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert says in done.stderr
    assert (tmp_path / "letters.txt").read_text() == "mine"


def test_clean_data_forgets(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    environment = {"PATH": os.environ["PATH"], "QCLOUD_DATA": str(folder.root)}
    command = [sys.executable, "-m", "qcloud", "clean-data"]
    said = [
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert said == [f"removed {folder.root}\n", f"nothing to remove at {folder.root}\n"]
    assert not folder.root.exists()
