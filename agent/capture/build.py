"""Compiles bpf/*.bpf.c, once for each state of the sources."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from agent.capture.errors import CaptureUnavailable, Finding

SOURCES = Path(__file__).resolve().parents[2] / "bpf"
PACKAGED = Path(__file__).resolve().parent / "objects"
"""Where the wheel has them, compiled for its machine; a checkout has no such folder."""
PROGRAMS = ("base", "sockets", "tls", "lifecycle", "dns")
_TARGETS = {"x86_64": "x86", "aarch64": "arm64"}


def objects(build_dir: Path | None = None) -> dict[str, Path]:
    """The compiled object of each program, compiling what changed since last time.

    Raises ``CaptureUnavailable`` when there is no compiler, or it fails.
    """
    paths = _paths(build_dir)
    if build_dir is None and PACKAGED.is_dir():
        return paths
    for name, path in paths.items():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _compile(SOURCES / f"{name}.bpf.c", path)
    return paths


def is_built(build_dir: Path | None = None) -> bool:
    return all(path.exists() for path in _paths(build_dir).values())


def has_compiler() -> bool:
    return shutil.which("clang") is not None


def _paths(build_dir: Path | None) -> dict[str, Path]:
    if build_dir is None and PACKAGED.is_dir():
        return {name: PACKAGED / f"{name}.bpf.o" for name in PROGRAMS}
    folder = (build_dir or SOURCES / "build") / source_digest()
    return {name: folder / f"{name}.bpf.o" for name in PROGRAMS}


def source_digest() -> str:
    """Names the state of all sources; objects of another state are never loaded."""
    digest = hashlib.sha256(platform.machine().encode())
    for path in sorted(SOURCES.glob("*.[ch]")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _compile(source: Path, target: Path) -> None:
    """Into a file of its own first: two agents that start at once must not mix."""
    clang = shutil.which("clang")
    if clang is None:
        raise CaptureUnavailable([NO_COMPILER])
    partial = target.with_suffix(f".{os.getpid()}")
    result = subprocess.run(
        [clang, *_flags(), "-c", str(source), "-o", str(partial)],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        partial.unlink(missing_ok=True)
        raise CaptureUnavailable([_failed(source, result.stderr)])
    partial.replace(target)


def _flags() -> list[str]:
    machine = platform.machine()
    return [
        *("-g", "-O2", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror"),
        f"-D__TARGET_ARCH_{_TARGETS.get(machine, machine)}",
        # Debian keeps asm/ in the machine's own folder, which clang forgets for this target.
        f"-I/usr/include/{machine}-linux-gnu",
    ]


NO_COMPILER = Finding(
    "clang",
    "the kernel programs are not compiled yet and there is no compiler",
    "Install clang, libbpf-dev and linux-libc-dev.",
)


def _failed(source: Path, output: str) -> Finding:
    return Finding(
        "clang",
        f"{source.name} does not compile: {output.strip()[-2000:]}",
        "Install libbpf-dev and linux-libc-dev; then read the compiler's message.",
    )


if __name__ == "__main__":
    for compiled in objects().values():
        sys.stdout.write(f"{compiled}\n")
