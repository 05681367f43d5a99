"""The agents' other calls: registration, heartbeat, configuration."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from pulse.errors import BadRequest, Unauthorized
from pulse.ingest.body import check_announced, decompress, read_body
from pulse.ingest.parts import JSON, Parts, bearer, client_ip, endpoint
from qcloud.kernel.errors import QCloudError
from qcloud.kernel.logs import request_id_var
from wire.config import config_digest
from wire.protocol import AGENT_TOKEN_HEADER, HeartbeatRequest, RegisterRequest

_MAX_BODY: Final = 256 * 1024
_MAX_REGISTRATION: Final = 16 * 1024
"""Small, because it is read before anybody has proved anything."""

Message = TypeVar("Message")


class Calls:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @endpoint
    async def register(self, request: Request) -> Response:
        token = bearer(request)
        message = await self._message(request, RegisterRequest, _MAX_REGISTRATION)
        previous = request.headers.get(AGENT_TOKEN_HEADER)
        ip, request_id = client_ip(request), request_id_var.get()
        gateway = self._parts.gateway
        try:
            answer = await self._parts.ask_database(
                gateway.register, token, message, previous, ip, request_id
            )
        except QCloudError as error:
            if error.http_status != 401:
                raise
            await self._parts.ask_database(
                gateway.refused, token, "fleet.agent.register", ip, request_id
            )
            raise Unauthorized(error.message) from error
        return Response(msgspec.json.encode(answer), media_type=JSON)

    @endpoint
    async def heartbeat(self, request: Request) -> Response:
        identity = await self._parts.identify(request, "fleet.agent.heartbeat")
        message = await self._message(request, HeartbeatRequest)
        answer = await self._parts.ask_database(self._parts.gateway.heartbeat, identity, message)
        return Response(msgspec.json.encode(answer), media_type=JSON)

    @endpoint
    async def config(self, request: Request) -> Response:
        identity = await self._parts.identify(request, "fleet.config.read")
        document = await self._parts.ask_database(self._parts.gateway.config, identity)
        tag = f'"{config_digest(document)}"'
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers={"ETag": tag})
        return Response(msgspec.json.encode(document), headers={"ETag": tag}, media_type=JSON)

    async def _message(
        self, request: Request, kind: type[Message], limit: int = _MAX_BODY
    ) -> Message:
        encoding = check_announced(request, limit)
        data = await read_body(request, self._parts.settings.body_seconds, limit)
        try:
            return msgspec.json.decode(decompress(data, encoding, limit), type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadRequest(f"the body is not a {kind.__name__}: {error}") from error
