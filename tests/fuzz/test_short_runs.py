"""Each target for some seconds; longer by ``python -m tests.fuzz.<name> --seconds N``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("name", ["config", "dns", "rules"])
def test_nothing_is_found(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        # A process begins with its parent's greatest size as its own: the shell's is small.
        ["/bin/sh", "-c", '"$@"; exit "$?"', "sh",
         sys.executable, "-m", f"tests.fuzz.{name}", "--seconds", "8"],
        capture_output=True, text=True, errors="replace", timeout=100, check=False,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4_000:]
    units = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
    peak = re.search(r"stat::peak_rss_mb:\s*(\d+)", done.stderr)
    assert units is not None
    assert peak is not None
    assert int(units[1]) > 200
    assert int(peak[1]) < 600
