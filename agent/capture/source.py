"""What the rest of the agent knows of capture: connections, chunks, and who gives them.

The kernel and a recording are two sources with one face, so that everything behind them
is the same code on both.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple, Protocol

from wire.protocol import ProbeState


class Kind(IntEnum):
    DATA = 1
    CLOSE = 2
    """No more chunks of this connection will come."""


class Flow(IntEnum):
    """Which way the bytes went, seen from the process."""

    RECEIVED = 0
    SENT = 1


class Role(IntEnum):
    UNKNOWN = 0
    CLIENT = 1
    SERVER = 2


class Connection(NamedTuple):
    """One TCP connection as one process uses it. Addresses are text, IPv4 unmapped."""

    key: int
    """Unique while the agent runs; a reused descriptor gets another one."""
    pid: int
    """Thread-group id, as the host numbers it."""
    role: Role
    tls: bool
    """The chunks were taken inside a TLS library."""
    local_ip: str
    local_port: int
    remote_ip: str
    remote_port: int
    netns: int
    """Inode of the network namespace."""
    exe: str
    comm: str
    uid: int
    user: str
    container_id: str


class Chunk(NamedTuple):
    """Bytes of one call, in the order in which the process made its calls.

    ``data`` may be shorter than ``length``: a limit of the kernel side cut it. The missing
    bytes are the last ones.
    """

    kind: Kind
    connection: int
    flow: Flow
    monotonic_ns: int
    """``CLOCK_MONOTONIC`` at the end of the call."""
    length: int
    data: bytes


class DnsMessage(NamedTuple):
    """One datagram to or from port 53, or a piece of such a TCP stream."""

    socket: int
    """Unique while the agent runs, a process's use of a socket."""
    connection: Connection
    """With the other end of this very message."""
    udp: bool
    flow: Flow
    monotonic_ns: int
    length: int
    data: bytes
    """Shorter than ``length`` where a limit cut it."""


class Source(Protocol):
    """Where chunks come from."""

    def poll(self, timeout_ms: int) -> Iterable[Chunk]:
        """The chunks at hand, waiting up to ``timeout_ms`` for the first; empty on time-out.

        A recording that has ended raises ``EOFError``.
        """
        ...

    def connection(self, key: int) -> Connection | None:
        """Who a chunk belongs to; ``None`` when the kernel told too little."""
        ...

    def forget(self, key: int) -> None:
        """The consumer is done with a connection; its facts may be dropped."""
        ...

    def audit_dns(self, *, wanted: bool) -> None:
        """Look at port 53 as well, or no longer; where it cannot, ``probes`` says why."""
        ...

    def dns(self) -> list[DnsMessage]:
        """DNS messages that came with the last ``poll``, each handed out once."""
        ...

    def forget_dns(self, socket: int) -> None:
        """The consumer is done with a socket of ``dns``."""
        ...

    def lost(self) -> dict[str, int]:
        """Chunks that never reached ``poll``, by reason, since start."""
        ...

    def probes(self) -> list[ProbeState]: ...

    def close(self) -> None: ...
