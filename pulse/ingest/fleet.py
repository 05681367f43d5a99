"""The agents' door to the fleet, over its services and selectors."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import close_old_connections, connections

from fleet import selectors, services
from fleet.errors import TokenRefused
from fleet.selectors import AgentIdentity
from identity.quotas import events_limits, sharing
from pulse.boots import is_forgotten
from pulse.ingest.columns import SHAPES
from pulse.ingest.gateway import Allowance
from pulse.taken import taken_today
from qcloud.kernel.scope import scoped
from wire.protocol import (
    COLUMNS_CONTENT_TYPE,
    EVENTS_CONTENT_TYPE,
    HeartbeatRequest,
    HeartbeatResponse,
    RegisterRequest,
    RegisterResponse,
)


class FleetGateway:
    """The real one. Nothing is cached: a revoked token is refused from the next call on."""

    def identify(self, token: str) -> AgentIdentity | None:
        close_old_connections()
        return selectors.agent_by_token(token)

    def allowances(self, identity: AgentIdentity) -> tuple[Allowance, ...]:
        """Those of the account and of the accounts above it."""
        close_old_connections()
        return tuple(
            Allowance(limit.holder_id, limit.limit, taken_today(sharing(limit)), limit.raised_by)
            for limit in events_limits(identity.scope)
        )

    def is_forgotten(self, identity: AgentIdentity, boot_id: UUID) -> bool:
        """Whether the ledger can no longer tell what of that boot was counted."""
        close_old_connections()
        return is_forgotten(identity.agent_id, boot_id)

    def register(
        self, token: str, request: RegisterRequest, previous: str | None, ip: str, request_id: str
    ) -> RegisterResponse:
        """Raises ``TokenRefused``."""
        close_old_connections()
        registration = selectors.registration_by_token(token)
        if registration is None:
            raise TokenRefused
        return services.agent_register(
            registration=registration,
            request=request,
            previous_agent_token=previous,
            ip=ip,
            request_id=request_id,
        )

    def heartbeat(self, identity: AgentIdentity, request: HeartbeatRequest) -> HeartbeatResponse:
        """Raises ``NotFound``."""
        answer = services.agent_heartbeat(identity=identity, request=request)
        answer.formats = [EVENTS_CONTENT_TYPE, COLUMNS_CONTENT_TYPE]
        answer.events = list(SHAPES)
        return answer

    def config(self, identity: AgentIdentity) -> dict[str, Any]:
        """Raises ``NotFound``."""
        with scoped(identity.scope):
            return selectors.config_document(identity.environment_id)

    def refused(self, token: str, action: str, ip: str, request_id: str) -> None:
        services.token_refused(token=token, action=action, ip=ip, request_id=request_id)

    def release(self) -> None:
        connections.close_all()
