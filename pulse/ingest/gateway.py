"""What ingest needs from the fleet: who sends this token, and the agents' other calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from wire.protocol import (
    HeartbeatRequest,
    HeartbeatResponse,
    RegisterRequest,
    RegisterResponse,
)


class Identity(Protocol):
    """``fleet.selectors.AgentIdentity``, as far as ingest looks at it."""

    @property
    def agent_id(self) -> UUID: ...

    @property
    def account_id(self) -> UUID: ...

    @property
    def environment_id(self) -> UUID: ...

    @property
    def replaying(self) -> bool: ...


@dataclass(frozen=True)
class Allowance:
    """How many events a UTC day an account, and who shares with it, may send."""

    holder_id: UUID
    limit: int
    used: int
    raised_by: str
    """Name of the account that can raise it."""


class Gateway(Protocol):
    """Called from threads; each call is a transaction of its own."""

    def identify(self, token: str) -> Identity | None: ...

    def allowances(self, identity: Any) -> tuple[Allowance, ...]:
        """What holds for the agent's account now; empty: no limit."""
        ...

    def is_forgotten(self, identity: Any, boot_id: UUID) -> bool:
        """Whether the ledger can no longer tell what of that boot was counted."""
        ...

    def register(
        self, token: str, request: RegisterRequest, previous: str | None, ip: str, request_id: str
    ) -> RegisterResponse: ...

    def heartbeat(self, identity: Any, request: HeartbeatRequest) -> HeartbeatResponse: ...

    def config(self, identity: Any) -> dict[str, Any]: ...

    def refused(self, token: str, action: str, ip: str, request_id: str) -> None: ...

    def release(self) -> None:
        """Called once in each thread before it ends."""
        ...
