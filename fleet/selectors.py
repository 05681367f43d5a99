from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fleet.models import (
    Agent,
    CaptureLevel,
    Environment,
    ObjectStore,
    RegistrationToken,
    StoreType,
)
from identity.selectors import AccountInfo, account
from qcloud.kernel.errors import NotFound
from qcloud.kernel.scope import Scope, Tier, scoped, unscoped
from wire.config import VERSION, config_digest

STACK = "default"


@dataclass(frozen=True)
class EnvironmentInfo:
    id: UUID
    account_id: UUID
    slug: str
    name: str
    capture_level: str
    dns_audit: bool
    """Agents report DNS lookups."""
    certificates: bool
    """Agents look at the certificates of servers."""
    created_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True)
class TokenInfo:
    """A registration token as it may be shown; its text is ``registration_token_reveal``'s."""

    id: UUID
    environment_id: UUID
    name: str
    last_four: str
    kept: bool
    """Whether its text can be had again."""
    created_at: datetime
    created_by: str
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True)
class AgentInfo:
    """An agent that is registered and not removed. Counters are since its last start."""

    id: UUID
    environment_id: UUID
    registration_token_id: UUID
    instance_id: UUID
    name: str
    version: str
    system: dict[str, Any]
    replaying: bool
    registered_at: datetime
    last_heartbeat_at: datetime | None
    """``None``: it registered and has not reported yet."""
    boot_id: UUID | None
    status: str
    object_store: str
    uptime_seconds: float
    exchanges: int
    dropped: dict[str, int]
    spool_bytes: int
    spool_limit_bytes: int
    memory_bytes: int
    clock_offset_ms: float
    probes: list[dict[str, Any]]
    config_digest: str


@dataclass(frozen=True)
class ObjectStoreInfo:
    environment_id: UUID
    type: str
    path: str
    access_url: str
    endpoint: str = ""
    bucket: str = ""
    region: str = ""
    insecure: bool = False
    access_key: str = ""
    has_keys: bool = False
    """The platform can sign links to its objects."""

    @property
    def place(self) -> str:
        """For people."""
        return self.path or f"{self.bucket} at {self.endpoint}"

    @property
    def opens(self) -> bool:
        """Whether a browser finds objects at an address that the platform knows."""
        return self.has_keys or self.access_url.startswith(("https://", "http://"))


@dataclass(frozen=True)
class AgentIdentity:
    """What a valid agent token stands for."""

    agent_id: UUID
    account_id: UUID
    account_path: str
    account_slug: str
    account_tier: Tier
    environment_id: UUID
    environment_slug: str
    replaying: bool

    @property
    def scope(self) -> Scope:
        return Scope(self.account_id, self.account_path, self.account_tier)


@dataclass(frozen=True)
class Registration:
    """What a valid registration token stands for."""

    token_id: UUID
    account_id: UUID
    account_path: str
    account_slug: str
    account_tier: Tier
    environment_id: UUID
    environment_slug: str

    @property
    def scope(self) -> Scope:
        return Scope(self.account_id, self.account_path, self.account_tier)


def environments(scope: Scope, *, closed: bool = False) -> list[EnvironmentInfo]:
    """The account's open environments, by name; with ``closed`` also those that are closed."""
    with scoped(scope, savepoint=False):
        rows = Environment.objects.order_by("name", "id")
        found = list(rows if closed else rows.filter(closed_at=None))
    return [environment_info(row) for row in found]


def environment(environment_id: UUID) -> EnvironmentInfo:
    """One environment of the open scope, closed ones included; else ``NotFound``."""
    return environment_info(environment_row(environment_id))


def registration_tokens(scope: Scope, environment_id: UUID) -> list[TokenInfo]:
    """Of one environment, newest first, revoked ones included."""
    with scoped(scope):
        rows = list(RegistrationToken.objects.filter(environment_id=environment_id))
    return [token_info(row) for row in rows]


def agents(scope: Scope, environment_id: UUID | None = None) -> list[AgentInfo]:
    """The account's agents, or one environment's, by name."""
    with scoped(scope):
        query = Agent.objects.filter(removed_at=None)
        if environment_id:
            query = query.filter(environment_id=environment_id)
        rows = list(query)
    return [agent_info(row) for row in rows]


def agent_by_token(token: str) -> AgentIdentity | None:
    """Who sends this token. ``None``: unknown, removed, its registration token revoked, or its
    environment closed.

    In system mode. The work is the same for every answer but the last lookup of the account.
    """
    with unscoped("agent authentication"):
        row = (
            Agent.objects.select_related("environment", "registration_token")
            .filter(token_hash=token_hash(token), removed_at=None)
            .filter(registration_token__revoked_at=None, environment__closed_at=None)
            .first()
        )
        owner = account(row.account_id) if row else None
    if row is None or owner is None:
        return None
    return AgentIdentity(
        agent_id=row.id,
        account_id=owner.id,
        account_path=owner.path,
        account_slug=owner.slug,
        account_tier=owner.tier,
        environment_id=row.environment_id,
        environment_slug=row.environment.slug,
        replaying=row.replaying,
    )


def registration_by_token(token: str) -> Registration | None:
    """The environment that an agent with this token joins. ``None``: unknown, revoked, closed."""
    with unscoped("agent authentication"):
        row = (
            RegistrationToken.objects.select_related("environment")
            .filter(token_hash=token_hash(token), revoked_at=None, environment__closed_at=None)
            .first()
        )
        owner = account(row.account_id) if row else None
    if row is None or owner is None:
        return None
    return Registration(
        token_id=row.id,
        account_id=owner.id,
        account_path=owner.path,
        account_slug=owner.slug,
        account_tier=owner.tier,
        environment_id=row.environment_id,
        environment_slug=row.environment.slug,
    )


def account_of_refused_token(token: str) -> AccountInfo | None:
    """Whose token this was, if it was ever one: a revoked token in use is its owner's news."""
    hashed = token_hash(token)
    with unscoped("agent authentication"):
        row = (
            Agent.objects.filter(token_hash=hashed).first()
            or RegistrationToken.objects.filter(token_hash=hashed).first()
        )
        return account(row.account_id) if row else None


def object_store_of(environment_id: UUID) -> ObjectStoreInfo | None:
    """The store of an environment of the open scope; ``None``: payloads are dropped."""
    row = ObjectStore.objects.filter(environment_id=environment_id).first()
    return object_store_info(row) if row else None


def object_store_secret(environment_id: UUID) -> str:
    """The platform's secret key to the environment's S3 store; empty without one.

    For signing alone: never in a page, a log or the journal.
    """
    row = ObjectStore.objects.filter(environment_id=environment_id).first()
    return row.secret_key.reveal() if row is not None and row.secret_key is not None else ""


def config_document(environment_id: UUID) -> dict[str, Any]:
    """The configuration, ``version: 2``, of an environment of the open scope.

    Without an object store its capture level is ``none``: nothing leaks while setting up.
    Raises ``NotFound``.
    """
    row = environment_row(environment_id)
    store = object_store_of(environment_id)
    level = row.capture_level if store else CaptureLevel.NONE.value
    services: dict[str, Any] = {"object_stores": []}
    if store:
        services["object_stores"].append({"id": row.slug} | _store_document(store))
    return {
        "version": VERSION,
        "services": services,
        "stacks": {STACK: {"plugins": [{"type": "http_capture", "config": {"level": level}}]}},
        "tap": {
            "direction": "all",
            "ignore_loopback": False,
            # Only where it is on: the digest of every other environment stays what it was.
            **({"audit_include_dns": True} if row.dns_audit else {}),
            "http": {"stack": STACK},
        },
        **({"qcloud": {"certificates": True}} if row.certificates else {}),
    }


def _store_document(store: ObjectStoreInfo) -> dict[str, Any]:
    """Without keys: agents have their own, from their nodes."""
    if store.type == StoreType.DIRECTORY:
        return {"type": store.type, "path": store.path, "access_url": store.access_url}
    return {
        "type": store.type,
        "endpoint": store.endpoint,
        "bucket": store.bucket,
        "region": store.region,
        "access_url": store.access_url,
        "insecure": store.insecure,
    }


def config_digest_of(environment_id: UUID) -> str:
    """``wire.config.config_digest`` of the document: what a heartbeat is answered with."""
    return config_digest(config_document(environment_id))


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def environment_row(environment_id: UUID) -> Environment:
    row: Environment | None = Environment.objects.filter(id=environment_id).first()
    if row is None:
        raise NotFound("There is no such environment in this account.")
    return row


def environment_info(row: Environment) -> EnvironmentInfo:
    return EnvironmentInfo(**_fields(row, EnvironmentInfo))


def token_info(row: RegistrationToken) -> TokenInfo:
    return TokenInfo(**_fields(row, TokenInfo))


def agent_info(row: Agent) -> AgentInfo:
    return AgentInfo(**_fields(row, AgentInfo))


def object_store_info(row: ObjectStore) -> ObjectStoreInfo:
    return ObjectStoreInfo(**_fields(row, ObjectStoreInfo))


def _fields(row: object, into: type[Any]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in into.__dataclass_fields__}
