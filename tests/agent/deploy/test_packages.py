"""The packages as an operator has them: built, taken away from the checkout, run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from agent.capture.build import PROGRAMS
from agent.capture.doctor import examine
from agent.recording.demo import write_demo
from tests.real import require_real

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
MACHINE = os.uname().machine
CONFIG = """
version: 2
services:
  event_stores: [{type: stdout}]
stacks: {all: {plugins: [{type: report_usage}]}}
tap: {http: {stack: all}}
"""


@pytest.fixture(scope="module")
def wheel() -> Path:
    require_real("clang", shutil.which("clang"), "it compiles the capture programs")
    subprocess.run([ROOT / "scripts" / "agent-package", "wheel"], check=True, cwd=ROOT)
    (found,) = (ROOT / "dist").glob("qcloud_agent-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of an environment with the wheel alone; its requirements are lent."""
    home = tmp_path_factory.mktemp("installed")
    uv = ROOT / ".venv" / "bin" / "uv"
    python = ROOT / ".venv" / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--python", python, home / "venv"], check=True)
    into = home / "venv" / "bin" / "python"
    subprocess.run([uv, "pip", "install", "--quiet", "--no-deps", "--python", into, wheel],
                   check=True)  # fmt: skip
    site = next((home / "venv" / "lib").glob("python3.*/site-packages"))
    lent = next((ROOT / ".venv" / "lib").glob("python3.*/site-packages"))
    lent_names = ("msgspec", "urllib3", "zstandard", "yaml", "re2", "_re2*")
    for name in (*lent_names, "uuid_utils"):
        for path in lent.glob(name):
            (site / path.name).symlink_to(path)
    return home / "venv" / "bin" / "qcloud-agent"


def run(program: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """From a folder that holds nothing, with an environment that holds nothing."""
    return subprocess.run(
        [program, *words], capture_output=True, text=True, check=False, timeout=110, cwd="/",
        env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip


def test_the_wheel_holds_programs_and_no_room_but_ours(wheel: Path) -> None:
    assert wheel.name.endswith(f"-py3-none-linux_{MACHINE}.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    assert {name.partition("/")[0] for name in names if "dist-info" not in name} == {
        "agent",
        "wire",
    }
    objects = {name for name in names if name.endswith(".bpf.o")}
    assert objects == {f"agent/capture/objects/{name}.bpf.o" for name in PROGRAMS}
    assert not [name for name in names if "/tests/" in name or "__pycache__" in name]


def test_the_same_sources_make_the_same_wheel(wheel: Path) -> None:
    before = wheel.read_bytes()
    subprocess.run([ROOT / "scripts" / "agent-package", "wheel"], check=True, cwd=ROOT)
    assert wheel.read_bytes() == before


def test_the_installed_wheel_captures_with_its_own_programs(installed: Path) -> None:
    done = run(installed, "doctor", "--format", "json")
    checks = {one["what"]: one["outcome"] for one in json.loads(done.stdout)["checks"]}
    if examine():
        assert done.returncode == 3
        return
    assert done.returncode == 0, done.stdout
    assert checks["probes openssl"] == "good"
    assert checks["probes socket"] == "good"


def test_the_installed_wheel_replays(installed: Path, tmp_path: Path) -> None:
    _replays(installed, tmp_path)


def test_the_one_file_program_replays(tmp_path: Path) -> None:
    built = ROOT / "dist" / f"qcloud-agent-linux-{MACHINE}"
    require_real("the one-file program", built.exists(), "make agent-binary builds it")
    program = tmp_path / "qcloud-agent"
    shutil.copy2(built, program)
    _replays(program, tmp_path)


def test_the_one_file_program_needs_no_python(tmp_path: Path) -> None:
    """On a machine that holds the C library, zlib, /proc and /tmp, and nothing else."""
    built = ROOT / "dist" / f"qcloud-agent-linux-{MACHINE}"
    require_real("the one-file program", built.exists(), "make agent-binary builds it")
    require_real("chroot", os.geteuid() == 0, "it needs root")
    root = tmp_path / "root"
    for folder in ("proc", "tmp", "dev"):
        (root / folder).mkdir(parents=True)
    (root / "dev" / "null").touch()
    linked = subprocess.run(["ldd", built], capture_output=True, text=True, check=True).stdout
    libraries = [word for word in linked.split() if word.startswith("/")]
    assert libraries
    assert not [name for name in libraries if "python" in name], "it brings its own"
    beside = Path(next(name for name in libraries if name.endswith("/libc.so.6"))).parent
    parts = ("libm.so.6", "librt.so.1", "libutil.so.1", "libresolv.so.2", "libnss_files.so.2")
    libraries += [str(beside / name) for name in parts if (beside / name).exists()]
    for library in libraries:
        place = root / library.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(library, place)
    shutil.copy2(built, root / "qcloud-agent")
    requests = write_demo(root / "recording", minutes=0.2, rate=4)
    (root / "qtap.yaml").write_text(CONFIG)
    words = "--replay /recording --speed max --config /qtap.yaml --data-dir /tmp/data"
    done = subprocess.run(
        ["unshare", "--mount", "--fork", "sh", "-c",
         f"mount -t proc proc {root}/proc && exec chroot {root} /qcloud-agent {words}"],
        capture_output=True, text=True, check=False, timeout=110, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    kinds = [json.loads(line)["type"] for line in done.stdout.splitlines()]
    assert sum("Request" in kind for kind in kinds) == requests > 0


def _replays(program: Path, folder: Path) -> None:
    recording, config = folder / "recording", folder / "qtap.yaml"
    requests = write_demo(recording, minutes=0.5, rate=4)
    config.write_text(CONFIG)
    done = run(program, "--replay", str(recording), "--speed", "max", "--config", str(config))
    assert done.returncode == 0, done.stderr
    kinds = [json.loads(line)["type"] for line in done.stdout.splitlines()]
    told = sum("Request" in kind for kind in kinds)
    assert told >= requests > 0
