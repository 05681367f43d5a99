"""How an agent talks to the platform: paths, headers, limits and bodies.

Every call is HTTPS (HTTP on loopback) with ``Authorization: Bearer …``.

``POST /agent/v1/register``
    with the environment's *registration token*. The answer holds the agent's own token;
    all other calls use that one. An agent that already has a token sends it in
    ``X-QCloud-Agent-Token`` and keeps its identity; a claim to somebody's instance id
    without that proof makes a new agent.
``POST /agent/v1/events``
    one batch: lines of ``wire.events``, all of the one kind that ``X-QCloud-Kind`` names,
    with ``X-QCloud-Boot`` (a UUID made at each start
    of the agent) and ``X-QCloud-Sequence`` (from 1, without gaps, never used twice for
    other bytes). The batch is on disk when 200 comes back. Sending it again, however late,
    is harmless: it is acknowledged again and counted once.
``POST /agent/v1/heartbeat``
    counters and health, about every 30 s; the answer tells the digest of the configuration
    that should be running.
``GET /agent/v1/config``
    the environment's configuration, ``version: 2``; ``ETag`` is its digest.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec

REGISTER_PATH: Final = "/agent/v1/register"
EVENTS_PATH: Final = "/agent/v1/events"
HEARTBEAT_PATH: Final = "/agent/v1/heartbeat"
CONFIG_PATH: Final = "/agent/v1/config"

AGENT_TOKEN_HEADER: Final = "X-QCloud-Agent-Token"  # noqa: S105  a header's name
BOOT_HEADER: Final = "X-QCloud-Boot"
SEQUENCE_HEADER: Final = "X-QCloud-Sequence"
KIND_HEADER: Final = "X-QCloud-Kind"
"""Of the events in a batch, as in their ``type``; left out: ``request``."""
EVENTS_CONTENT_TYPE: Final = "application/x-ndjson"
COLUMNS_CONTENT_TYPE: Final = "application/vnd.apache.arrow.stream"
"""The same events in columns; only to a platform that named it in ``formats``."""
CONTENT_ENCODINGS: Final = ("identity", "gzip", "zstd")

MAX_BATCH_BYTES: Final = 16 * 1024 * 1024
"""Of a batch's body as sent; more is 413 before it is read."""
MAX_BATCH_DECODED_BYTES: Final = 64 * 1024 * 1024
"""Of the same body decompressed; more is 413, and nothing of it is kept."""
MAX_BATCH_LINES: Final = 100_000
MAX_LINE_BYTES: Final = 256 * 1024

REGISTRATION_TOKEN_PREFIX: Final = "qcr_"  # noqa: S105  what a token begins with, not one
AGENT_PREFIX: Final = "qca_"
"""Prefixes let secret scanners and people tell what they have found."""


class SystemInfo(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    hostname: str = ""
    kernel_release: str = ""
    architecture: str = ""
    btf: bool = False


class RegisterRequest(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    instance_id: UUID
    """Made once an installation, kept in the agent's data folder."""
    name: str = ""
    version: str = ""
    replaying: bool = False
    """This agent feeds a recording."""
    system: SystemInfo = msgspec.field(default_factory=SystemInfo)


class RegisterResponse(msgspec.Struct, kw_only=True, rename="camel"):
    agent_id: UUID
    agent_token: str
    account: str
    """Slug, for logs."""
    environment: str
    config: dict[str, Any]
    """``version: 2``, as ``GET /agent/v1/config`` gives it."""


class ProbeState(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """One family of probes (``openssl``, ``socket`` …): on, or why not."""

    family: str
    active: bool
    reason: str = ""
    attached: int = 0
    """Libraries or hooks in use."""


class HeartbeatRequest(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    boot_id: UUID
    status: str = "ok"
    object_store: str = "none"
    """Kind of the store in use; ``none``: payloads are dropped."""
    uptime_seconds: float = 0.0
    exchanges: int = 0
    """Since start."""
    dropped: dict[str, int] = msgspec.field(default_factory=dict)
    """``kind.reason`` → count since start; a kind is ``event``, ``object``, ``chunk``."""
    spool_bytes: int = 0
    spool_limit_bytes: int = 0
    memory_bytes: int = 0
    clock_offset_ms: float = 0.0
    probes: list[ProbeState] = msgspec.field(default_factory=list)
    config_digest: str = ""


class HeartbeatResponse(msgspec.Struct, kw_only=True, rename="camel"):
    config_digest: str
    interval_seconds: float = 30.0
    formats: list[str] = msgspec.field(default_factory=lambda: [EVENTS_CONTENT_TYPE])
    """Content types that a batch may have; a platform from before says nothing: lines alone."""
    events: list[str] = msgspec.field(default_factory=lambda: ["request"])
    """Kinds of events that are taken; a platform from before says nothing: requests alone."""


class EventsResponse(msgspec.Struct, kw_only=True, rename="camel"):
    accepted: int
    """Lines in the batch, now on disk."""
    sequence: int


class ErrorBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    code: str
    """``room.reason``, stable: ``pulse.malformed_line``."""
    message: str
    """What happened and what to do, for the operator who reads the agent's log."""
    line: int | None = None
    """1-based line of the batch that the error is about."""
    request_id: str = ""


class ErrorResponse(msgspec.Struct, kw_only=True):
    error: ErrorBody
