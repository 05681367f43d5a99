"""``POST /agent/v1/events``: one batch, on disk when the answer is 200."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response

from pulse.boot_ids import may_be_forgotten
from pulse.errors import BadRequest, BootForgotten, UnknownKind
from pulse.ingest.batch import Batch, parse_batch
from pulse.ingest.body import check_announced, decompress, read_body
from pulse.ingest.columnar import parse_columns
from pulse.ingest.columns import REQUESTS, SHAPES, Shape
from pulse.ingest.parts import JSON, Parts, endpoint
from pulse.spool.frames import FrameHeader
from qcloud.kernel.clock import now
from wire.protocol import (
    BOOT_HEADER,
    COLUMNS_CONTENT_TYPE,
    KIND_HEADER,
    SEQUENCE_HEADER,
    EventsResponse,
)

log = structlog.get_logger(__name__)

MAX_SEQUENCE: Final = 2**62
"""Well inside what the ledger's ranges can hold."""


class Events:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @endpoint
    async def post(self, request: Request) -> Response:
        identity = await self._parts.identify(request, "pulse.events.send")
        boot_id, sequence = batch_number(request)
        await self._check_boot(identity, boot_id)
        shape = shape_of(request)
        encoding = check_announced(request)
        columnar = request.headers.get("content-type", "").startswith(COLUMNS_CONTENT_TYPE)
        received_at = now()
        self._parts.quotas.check(identity.account_id)
        await self._parts.daily.check(identity)
        async with self._parts.bodies.taken(identity.account_id):
            # Again: others of the account may have sent theirs while this one waited.
            self._parts.quotas.check(identity.account_id)
            data = await read_body(request, self._parts.settings.body_seconds)
            self._parts.quotas.take(identity.account_id, len(data))
            async with self._parts.parsing.taken(identity.account_id):
                batch = await self._parts.parse(
                    _parsed, data, encoding, received_at, identity.replaying, columnar, shape
                )
        header = FrameHeader(
            agent_id=identity.agent_id,
            account_id=identity.account_id,
            environment_id=identity.environment_id,
            boot_id=boot_id,
            sequence=sequence,
            rows=batch.rows,
            received_at=received_at,
            kind=shape.kind,
        )
        await asyncio.wrap_future(self._parts.writer.append(header, memoryview(batch.payload)))
        self._parts.daily.took(identity.account_id, batch.rows)
        log.info("batch stored", agent=str(identity.agent_id), sequence=sequence, rows=batch.rows)
        answer = EventsResponse(accepted=batch.rows, sequence=sequence)
        return Response(msgspec.json.encode(answer), media_type=JSON)

    async def _check_boot(self, identity: Any, boot_id: UUID) -> None:
        """Raises ``BootForgotten``. Nobody is asked about boots of the last weeks."""
        if may_be_forgotten(boot_id, now()) and await self._parts.ask_database(
            self._parts.gateway.is_forgotten, identity, boot_id
        ):
            raise BootForgotten


def batch_number(request: Request) -> tuple[UUID, int]:
    """The batch's boot id and sequence. Raises ``BadRequest``."""
    try:
        boot_id = UUID(request.headers[BOOT_HEADER])
    except (KeyError, ValueError):
        raise BadRequest(f"{BOOT_HEADER} must be the UUID of the agent's start") from None
    raw = request.headers.get(SEQUENCE_HEADER, "")
    if not (len(raw) < 20 and raw.isascii() and raw.isdecimal() and 1 <= int(raw) <= MAX_SEQUENCE):
        raise BadRequest(f"{SEQUENCE_HEADER} must be a whole number from 1 to {MAX_SEQUENCE}")
    return boot_id, int(raw)


def shape_of(request: Request) -> Shape:
    """What the batch's events look like. Raises ``UnknownKind``."""
    kind = request.headers.get(KIND_HEADER, REQUESTS.kind)
    if kind not in SHAPES:
        raise UnknownKind(kind, tuple(SHAPES))
    return SHAPES[kind]


def _parsed(data: bytes, encoding: str, received_at: datetime, *origin: Any) -> Batch:
    replaying, columnar, shape = origin
    parse = parse_columns if columnar else parse_batch
    plain = decompress(data, encoding)
    return parse(plain, received_at=received_at, replaying=bool(replaying), shape=shape)
