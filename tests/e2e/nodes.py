"""Nodes of customers as network namespaces, joined by veth to the namespace of the run.

The run itself enters a network and mount namespace of its own first: what it makes is
visible nowhere else and is gone when its last process ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_INSIDE: Final = "QCLOUD_E2E_INSIDE"


def enter_own_namespace(module: str) -> None:
    """Run ``python -m module`` again inside fresh network and mount namespaces, once.

    Raises ``SystemExit`` with what is missing where the machine does not allow it.
    """
    if os.environ.get(_INSIDE) == "1":
        run("ip", "link", "set", "lo", "up")
        run("mount", "-t", "tmpfs", "tmpfs", "/run")
        return
    allowed = subprocess.run(["unshare", "--net", "--mount", "true"], check=False).returncode == 0
    if not allowed:
        raise SystemExit("two nodes need network namespaces: run as root (or with CAP_SYS_ADMIN)")
    os.environ[_INSIDE] = "1"
    command = ["unshare", "--net", "--mount", "--", sys.executable, "-m", module, *sys.argv[1:]]
    os.execvp(command[0], command)  # noqa: S606  no shell is wanted


def run(*command: str) -> str:
    """Standard output; raises ``RuntimeError`` with what the command said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


@dataclass(frozen=True)
class Node:
    """One namespace: ``address`` is the node's, ``outside`` the other end of its veth."""

    name: str
    address: str
    outside: str

    @property
    def handle(self) -> Path:
        return Path("/run/netns") / self.name

    @classmethod
    def create(cls, name: str, number: int) -> Node:
        node = cls(name, f"10.77.{number}.2", f"10.77.{number}.1")
        here, there = f"veth-{number}", f"veth-{number}n"
        run("ip", "netns", "add", name)
        run("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
        run("ip", "address", "add", f"{node.outside}/24", "dev", here)
        run("ip", "link", "set", here, "up")
        run("ip", "-n", name, "address", "add", f"{node.address}/24", "dev", there)
        run("ip", "-n", name, "link", "set", there, "up")
        run("ip", "-n", name, "link", "set", "lo", "up")
        return node

    def popen(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program on the node."""
        return subprocess.Popen(["ip", "netns", "exec", self.name, *command])
