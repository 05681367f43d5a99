"""What ingest needs from the fleet: who sends this token, and the agents' other calls."""

from __future__ import annotations

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


class Gateway(Protocol):
    """Called from threads; each call is a transaction of its own."""

    def identify(self, token: str) -> Identity | None: ...

    def register(
        self, token: str, request: RegisterRequest, previous: str | None, ip: str, request_id: str
    ) -> RegisterResponse: ...

    def heartbeat(self, identity: Any, request: HeartbeatRequest) -> HeartbeatResponse: ...

    def config(self, identity: Any) -> dict[str, Any]: ...

    def refused(self, token: str, action: str, ip: str, request_id: str) -> None: ...

    def release(self) -> None:
        """Called once in each thread before it ends."""
        ...
