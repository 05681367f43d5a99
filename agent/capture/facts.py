"""Who a connection belongs to: what the kernel told, made readable."""

from __future__ import annotations

import pwd
import re
from functools import lru_cache
from pathlib import Path

from agent.capture.layout import Opened
from agent.capture.source import Connection, Role

_CONTAINER = re.compile(r"[0-9a-f]{64}")


def connection_of(key: int, opened: Opened) -> Connection:
    return Connection(
        key=key,
        pid=opened.tgid,
        role=Role(opened.role),
        tls=opened.tls,
        local_ip=opened.local_ip,
        local_port=opened.local_port,
        remote_ip=opened.remote_ip,
        remote_port=opened.remote_port,
        netns=opened.netns,
        exe=opened.exe,
        comm=opened.comm,
        uid=opened.uid,
        user=user_name(opened.uid),
        container_id=_container(opened.cgroup, opened.tgid, opened.exe),
    )


@lru_cache(maxsize=1024)
def user_name(uid: int) -> str:
    """The host's name for a user, or the number when it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@lru_cache(maxsize=4096)
def _container(cgroup: str, pid: int, _exe: str) -> str:
    """From the innermost group's name, else from the whole path while the process lives.

    ``_exe`` only tells apart processes that got the same number one after the other.
    """
    return container_in(cgroup) or container_in(_cgroup_paths(pid))


def container_in(text: str) -> str:
    """The id that Docker, containerd and CRI-O put into a group's name, or an empty text."""
    found = _CONTAINER.findall(text)
    return found[-1] if found else ""


def _cgroup_paths(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cgroup").read_text(errors="replace")
    except OSError:
        return ""
