"""What a process's control group and surroundings tell where no runtime does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from agent.containers.base import Container

_POD: Final = re.compile(
    r"kubepods[^\n]*pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})"
)
_NAMESPACE_FILE: Final = "root/var/run/secrets/kubernetes.io/serviceaccount/namespace"
POD_VARIABLES: Final = frozenset({"POD_NAME", "POD_NAMESPACE", "HOSTNAME"})


def pod_uid(cgroup: str) -> str:
    """From ``/proc/PID/cgroup``, version 1 or 2; empty outside a pod."""
    found = _POD.search(cgroup)
    return found[1].replace("_", "-") if found else ""


def pod_by_environment(container_id: str, process: Path, environment: dict[str, str]) -> Container:
    """``process``: ``/proc/PID``. A pod's host name is its name, unless its author set another;
    its namespace lies beside its service account's token.
    """
    try:
        cgroup = (process / "cgroup").read_text(errors="replace")
    except OSError:
        cgroup = ""
    if not pod_uid(cgroup):
        return Container(id=container_id)
    return Container(
        id=container_id,
        pod_name=environment.get("POD_NAME") or environment.get("HOSTNAME", ""),
        pod_namespace=environment.get("POD_NAMESPACE") or _namespace(process),
    )


def _namespace(process: Path) -> str:
    try:
        return (process / _NAMESPACE_FILE).read_text(errors="replace").strip()[:63]
    except OSError:
        return ""
