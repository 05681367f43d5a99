"""``qcloud replay``: recorded traffic through a real agent, for hosts that cannot capture.

Only the kernel is replaced: the agent parses, links, spools and reports as ever, registers
with the demo customer's token, and marks each event as replayed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from qcloud.kernel.env import Env
from qcloud.platform.environment import Ports
from qcloud.platform.folder import DataFolder, FolderError


def main(file: str | None, *, demo: bool, speed: str) -> int:
    """Returns the agent's exit code: 0 once the platform has acknowledged everything.

    Raises ``FolderError`` when there is nothing to replay or no platform to send it to.
    """
    if (file is None) == (not demo):
        raise FolderError("name the recording, or use --demo for generated traffic; not both")
    folder = DataFolder.from_environment()
    if not folder.logins.exists():
        raise FolderError(f"no platform was started on {folder.root} yet; run: make run")
    token = next(iter(json.loads(folder.logins.read_text())["registration_tokens"].values()))
    with tempfile.TemporaryDirectory(prefix="qcloud-replay-") as scratch:
        recording = file or _demo_recording(Path(scratch) / "demo.jsonl")
        ports = Ports.from_environment(Env())
        command = [
            sys.executable, "-m", "agent", "run", "--replay", recording, "--speed", speed,
            "--registration-endpoint", f"http://127.0.0.1:{ports.ingest}",
            "--data-dir", str(folder.agents / "replay"), "--log-encoding", "console",
        ]  # fmt: skip
        variables = {**os.environ, "REGISTRATION_TOKEN": token}
        return subprocess.run(command, env=variables, check=False).returncode


def _demo_recording(path: Path) -> str:
    subprocess.run([sys.executable, "-m", "agent", "demo-recording", str(path)], check=True)
    return str(path)
