"""What every fuzz target has in common: a time, a bound of memory, seeds, one process.

A target is a function of bytes that raises only what it should not. atheris guides by
coverage of the modules that were imported under its instrumentation; it ends the process
itself, so that a target always runs in one of its own.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

MEMORY_MB = 1_024
"""Of the whole process, instrumentation included; libFuzzer fails beyond it."""
LONGEST_SECONDS = 10
"""For one input: longer counts as hanging."""


def fuzz(target: Callable[[bytes], None], seeds: Iterable[bytes], *, longest: int) -> None:
    """Run ``target`` for ``--seconds``; the process exits with 0 when nothing was found."""
    import atheris

    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds):
            (Path(folder) / f"seed-{number}").write_bytes(seed)
        arguments = [
            sys.argv[0], folder, f"-max_total_time={options.seconds}", f"-max_len={longest}",
            f"-rss_limit_mb={MEMORY_MB}", f"-timeout={LONGEST_SECONDS}", "-print_final_stats=1",
            "-verbosity=0", f"-artifact_prefix={tempfile.gettempdir()}/",
        ]  # fmt: skip
        atheris.Setup(arguments, target)
        atheris.Fuzz()
