"""Says what a machine lacks for capture, and what to do about it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from agent.capture import build, libbpf
from agent.capture.errors import Finding

_BTF = Path("/sys/kernel/btf/vmlinux")
_UPROBES = Path("/sys/bus/event_source/devices/uprobe/type")
_NEEDED = {"CAP_SYS_ADMIN": 21, "CAP_PERFMON": 38, "CAP_BPF": 39}


def examine() -> list[Finding]:
    """What is missing, in the order in which to fix it; empty: capture should run."""
    return [*_privileges(), *_kernel(), *_user_space()]


def explain(error: Exception) -> list[Finding]:
    """What is missing, or the error itself when nothing that we know of is."""
    return examine() or [
        Finding(
            "eBPF",
            f"the kernel refused the programs: {error}",
            "Check that this kernel is 5.11 or later and that no security module forbids bpf(2).",
        )
    ]


def _privileges() -> Iterator[Finding]:
    held = _effective_capabilities()
    missing = [name for name, bit in _NEEDED.items() if not held >> bit & 1]
    # CAP_SYS_ADMIN stands for the two that were cut out of it later.
    if "CAP_SYS_ADMIN" in missing:
        yield Finding(
            "privileges",
            f"this process runs as uid {os.geteuid()} without {', '.join(missing)}",
            "Run the agent as root, in a container with `--privileged --pid=host`.",
        )


def _effective_capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def _kernel() -> Iterator[Finding]:
    if not _BTF.exists():
        yield Finding(
            "BTF",
            f"{_BTF} is not there, so the programs cannot adapt to this kernel",
            "Boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (every current distribution's is).",
        )
    if not _UPROBES.exists():
        yield Finding(
            "uprobes",
            f"{_UPROBES} is not there, so TLS libraries cannot be probed",
            "Mount /sys, or boot a kernel built with CONFIG_UPROBE_EVENTS=y.",
        )


def _user_space() -> Iterator[Finding]:
    try:
        libbpf.library()
    except (OSError, AttributeError) as error:
        yield Finding("libbpf", f"it cannot be used: {error}", "Install libbpf1 (1.0 or later).")
    if not build.is_built() and not build.has_compiler():
        yield build.NO_COMPILER
