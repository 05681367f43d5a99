from __future__ import annotations

from uuid import UUID

import msgspec
import structlog
from django.core.cache import cache
from redis.exceptions import RedisError

from audit.services import Outcome, Who, record, record_attempt
from fleet.models import MAX_NAME, Agent, RegistrationToken
from fleet.quotas import count_agents
from fleet.selectors import (
    AgentIdentity,
    AgentInfo,
    Registration,
    account_of_refused_token,
    agent_info,
    config_digest_of,
    config_document,
    token_hash,
)
from fleet.services.places import own_scope
from fleet.services.tokens import new_token
from identity.quotas import Quota
from identity.selectors import root_account
from identity.services import room_for
from qcloud.kernel.clock import now
from qcloud.kernel.errors import NotFound
from qcloud.kernel.permissions import Actor, Permission, require
from qcloud.kernel.scope import scoped
from wire.protocol import (
    AGENT_PREFIX,
    HeartbeatRequest,
    HeartbeatResponse,
    RegisterRequest,
    RegisterResponse,
)

log = structlog.get_logger(__name__)

REFUSAL_SECONDS = 60
"""An agent with a bad token tries for ever: the journal keeps one attempt a minute."""


def agent_register(
    *,
    registration: Registration,
    request: RegisterRequest,
    previous_agent_token: str | None = None,
    ip: str = "",
    request_id: str = "",
) -> RegisterResponse:
    """Take an agent into the environment of its registration token.

    ``previous_agent_token`` proves who an agent was: it keeps its id and its token, also
    after its registration token was revoked. A known ``instance_id`` proves nothing, so
    without that token, or with that of a removed agent or of another environment, it is a
    new agent. The token is the same again, because an answer may be lost on the way. Raises
    ``QuotaReached`` for a new agent that does not fit into the account's quota.
    """
    with scoped(registration.scope):
        row = _proven(registration, request, previous_agent_token)
        token = previous_agent_token or ""
        known = row is not None
        if row is None:
            room_for(registration.scope, Quota.AGENTS, count_agents)
            token = new_token(AGENT_PREFIX)
            row = Agent(account_id=registration.account_id, token_hash=token_hash(token))
        _describe(row, registration, request)
        row.save(force_insert=not known)
        used = RegistrationToken.objects.filter(id=registration.token_id)
        used.update(last_used_at=row.registered_at)
        record(
            actor=_agent_actor(registration, row, ip, request_id),
            action="fleet.agent.register",
            object_kind="agent",
            object_id=row.id,
            data={
                "environment_id": registration.environment_id,
                "registration_token_id": registration.token_id,
                "instance_id": request.instance_id,
                "known": known,
            },
        )
        document = config_document(registration.environment_id)
    return RegisterResponse(
        agent_id=row.id,
        agent_token=token,
        account=registration.account_slug,
        environment=registration.environment_slug,
        config=document,
    )


def agent_heartbeat(*, identity: AgentIdentity, request: HeartbeatRequest) -> HeartbeatResponse:
    """Keep the agent's last report; tell it which configuration it should run.

    Not journalled: it is a measurement, not an action. Raises ``NotFound`` if the agent was
    removed meanwhile.
    """
    with scoped(identity.scope):
        changed = Agent.objects.filter(id=identity.agent_id, removed_at=None).update(
            last_heartbeat_at=now(),
            boot_id=request.boot_id,
            status=_text(request.status, 32),
            object_store=_text(request.object_store, 32),
            uptime_seconds=request.uptime_seconds,
            exchanges=_count(request.exchanges),
            dropped={_text(k, 64): _count(v) for k, v in list(request.dropped.items())[:100]},
            spool_bytes=_count(request.spool_bytes),
            spool_limit_bytes=_count(request.spool_limit_bytes),
            memory_bytes=_count(request.memory_bytes),
            clock_offset_ms=request.clock_offset_ms,
            probes=[
                {
                    "family": _text(probe.family, 32),
                    "active": probe.active,
                    "reason": _text(probe.reason, 500),
                    "attached": _count(probe.attached),
                }
                for probe in request.probes[:50]
            ],
            config_digest=_text(request.config_digest, 64),
        )
        if not changed:
            raise NotFound("This agent was removed. Register it again.")
        return HeartbeatResponse(config_digest=config_digest_of(identity.environment_id))


def agent_remove(*, actor: Actor, agent_id: UUID) -> AgentInfo:
    """Take an agent out of the inventory; its token is refused from now on.

    What it reported stays. Started again with a registration token it is a new agent.
    Raises ``Denied``, ``NotFound``.
    """
    require(actor, Permission.FLEET_ENVIRONMENT_WRITE)
    with scoped(own_scope(actor)):
        row = Agent.objects.filter(id=agent_id, removed_at=None).first()
        if row is None:
            raise NotFound("There is no such agent in this account.")
        row.removed_at = now()
        row.save(update_fields=["removed_at"])
        record(
            actor=actor,
            action="fleet.agent.remove",
            object_kind="agent",
            object_id=row.id,
            data={"name": row.name, "environment_id": row.environment_id},
        )
    return agent_info(row)


def token_refused(*, token: str, action: str, ip: str, request_id: str) -> None:
    """Write that a program came with a token that is not valid, once a minute for each.

    Under the account whose token it was, if it ever was one (revoked tokens in use are its
    news), else under the provider's. For the door that answers 401, outside a transaction.
    """
    hashed = token_hash(token)
    try:
        if not cache.add(f"fleet.token_refused:{hashed}:{ip}", 1, REFUSAL_SECONDS):
            return
    except RedisError:
        log.warning("fleet: refusals are journalled without limit, the cache is away")
    owner = account_of_refused_token(token)
    place = owner or root_account()
    record_attempt(
        who=Who("agent", None, f"token {hashed[:12]}", ip, request_id),
        scope=place.scope if place else None,
        action=action,
        outcome=Outcome.DENIED,
        reason="revoked, removed or of a closed environment" if owner else "unknown token",
    )


def _proven(
    registration: Registration, request: RegisterRequest, previous_agent_token: str | None
) -> Agent | None:
    if not previous_agent_token:
        return None
    row: Agent | None = (
        Agent.objects.select_for_update()
        .filter(
            token_hash=token_hash(previous_agent_token),
            environment_id=registration.environment_id,
            instance_id=request.instance_id,
            removed_at=None,
        )
        .first()
    )
    return row


def _describe(row: Agent, registration: Registration, request: RegisterRequest) -> None:
    row.environment_id = registration.environment_id
    row.registration_token_id = registration.token_id
    row.instance_id = request.instance_id
    row.name = _text(request.name or request.system.hostname or "unnamed", MAX_NAME)
    row.version = _text(request.version, 64)
    row.system = {
        key: _text(value, 255) if isinstance(value, str) else value
        for key, value in msgspec.to_builtins(request.system).items()
    }
    row.replaying = request.replaying
    row.registered_at = now()


def _agent_actor(registration: Registration, row: Agent, ip: str, request_id: str) -> Actor:
    return Actor(
        kind="agent",
        id=row.id,
        label=row.name,
        scope=registration.scope,
        permissions=frozenset(),
        ip=ip,
        request_id=request_id,
    )


def _text(value: str, limit: int) -> str:
    """Agents are programs of others: no NUL, which PostgreSQL refuses, and nothing endless."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}")[:limit]


def _count(value: int) -> int:
    return max(0, min(value, 2**63 - 1))
