"""The agent's counters in one file, for scripts and people on the node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from agent.logs import get_logger
from agent.spool.files import write_whole
from wire.protocol import ProbeState

_log = get_logger()


class Status(msgspec.Struct, kw_only=True):
    """The file's fields; counts are since start."""

    state: str
    """``starting``, ``running``, ``draining`` or ``stopped``."""
    pid: int
    boot_id: str
    replaying: bool
    uptime_seconds: float
    cpu_seconds: float
    """User and system time of this process."""
    memory_bytes: int
    captured_chunks: int
    captured_bytes: int
    open_connections: int
    exchanges: int
    """Events made."""
    events_spooled: int
    events_acknowledged: int
    """Of this and earlier runs."""
    object_store: str
    objects_stored: int
    dropped: dict[str, int]
    """``kind.reason`` → count."""
    counts: dict[str, int]
    """Everything else that was counted: oddities of traffic, batches, failures."""
    probes: list[ProbeState]
    config_digest: str
    config_origin: str
    """``platform``, a path or an address."""
    config_reloads: int
    """Configurations put into force."""
    config_refused: int
    config_problem: str
    """Why the last one was refused; empty when it was taken."""
    objects_waiting_bytes: dict[str, int] = msgspec.field(default_factory=dict)
    """By object store."""
    agent_id: str = ""
    """This and what follows: with a platform."""
    registered: bool = False
    account: str = ""
    environment: str = ""
    events_waiting: int = 0
    """In the spool, not acknowledged."""
    spool_bytes: int = 0
    spool_limit_bytes: int = 0


class StatusFile:
    """Replaced whole at each write; readers never see half of it."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._complained = False

    def write(self, status: Status) -> None:
        if self._path is None:
            return
        try:
            write_whole(self._path, msgspec.json.encode(status) + b"\n", durable=False)
        except OSError as error:
            if not self._complained:
                self._complained = True
                _log.warning("status file cannot be written", reason=str(error))


def read_status(path: Path) -> dict[str, Any]:
    """What ``StatusFile`` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
