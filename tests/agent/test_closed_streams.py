"""Started with a stream closed, as some supervisors and scripts do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent.config.validate import validate
from agent.recording.demo import write_demo
from agent.status import read_status

CONFIG = """
version: 2
services: {event_stores: [{type: stdout}]}
stacks: {all: {plugins: [{type: report_usage}]}}
tap: {http: {stack: all}}
"""


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_events_do_not_go_into_another_file(tmp_path: Path, closed: tuple[int, ...]) -> None:
    """The next file opened gets the free number, and would get what is printed."""
    write_demo(tmp_path / "demo", minutes=1, rate=1, seed=1)
    (tmp_path / "c.yaml").write_text(CONFIG)
    before = (tmp_path / "demo").read_bytes()
    agent = [sys.executable, "-m", "agent", "--replay", str(tmp_path / "demo"), "--speed", "max",
             "--config", str(tmp_path / "c.yaml"), "--data-dir", str(tmp_path / "data"),
             "--status-file", str(tmp_path / "status")]  # fmt: skip
    closing = (
        "import os, sys\nfor n in "
        + repr(closed)
        + ": os.close(n)\nos.execv(sys.argv[1], sys.argv[1:])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", closing, *agent], capture_output=True, timeout=60, check=False
    )
    status = read_status(tmp_path / "status")
    assert ended.returncode in {0, 1}
    assert (status["state"], status["exchanges"] > 0) == ("stopped", True)
    assert (tmp_path / "demo").read_bytes() == before
    lost = status["dropped"].get("event.stdout-slow", 0)
    if 1 in closed:
        assert (ended.stdout, lost > 0) == (b"", True)
    else:
        assert (b"eventstore.Request" in ended.stdout, lost) == (True, 0)
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "demo"]
    assert not [path for path in written if b"eventstore." in path.read_bytes()]


def test_a_key_does_not_speak_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text('version: 2\n"\\e[2Jx": 1\n')
    assert validate(str(path), strict=False, form="text") == 0
    said = capsys.readouterr().out
    assert "\\x1b[2Jx: unknown key" in said
    assert "\x1b" not in said


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_no_file_of_the_agent_has_a_stream_s_number(
    tmp_path: Path, closed: tuple[int, ...]
) -> None:
    told = tmp_path / "told"
    script = (
        f"import os, sys\nfor n in {closed!r}: os.close(n)\n"
        f"from agent.cli import main\nmain(['demo-recording', {str(tmp_path / 'demo')!r}])\n"
        f"with open({str(told)!r}, 'w') as file: file.write(str(file.fileno()))"
    )
    subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=True)
    assert int(told.read_text()) > 2
