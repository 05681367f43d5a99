"""What the door's endpoints share: settings, spool, threads, and how a request is answered."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import msgspec
import structlog
from django.db import OperationalError
from starlette.requests import Request
from starlette.responses import Response

from pulse.errors import Unauthorized
from pulse.ingest.daily import DailyQuotas
from pulse.ingest.gateway import Gateway
from pulse.ingest.quota import Quotas
from pulse.ingest.settings import IngestSettings
from pulse.ingest.shares import Shares
from pulse.spool.folder import SpoolFolder
from pulse.spool.writer import SpoolWriter
from qcloud.kernel.errors import QCloudError
from qcloud.kernel.logs import REQUEST_ID_HEADER, request_id_from, request_id_var
from wire.protocol import ErrorBody, ErrorResponse

log = structlog.get_logger(__name__)

Result = TypeVar("Result")
Endpoint = Callable[[Request], Awaitable[Response]]
JSON = "application/json"
RETRY_SECONDS = 5


class Parts:
    """Made once a process. Holds the spool's ``ingest`` lock."""

    def __init__(self, settings: IngestSettings, gateway: Gateway) -> None:
        """Raises ``SpoolInUse`` or ``OSError``."""
        self.settings = settings
        self.gateway = gateway
        self.writer = SpoolWriter(SpoolFolder(settings.spool), limit=settings.spool_limit)
        self.quotas = Quotas(settings.account_bytes)
        self.daily = DailyQuotas(partial(self.ask_database, gateway.allowances))
        # One thread less for an account than there are: a small batch of another finds one.
        self.parsing = Shares(settings.batches_at_once, max(1, settings.batches_at_once - 1))
        self.bodies = Shares(settings.bodies_at_once, settings.bodies_an_account)
        self._database = ThreadPoolExecutor(settings.database_threads, "ingest-database")
        self._parsing = ThreadPoolExecutor(settings.batches_at_once, "ingest-parse")

    def close(self) -> None:
        """Finish what was begun; every acknowledged batch is in a closed segment then."""
        self._parsing.shutdown()
        self._release_threads()
        self._database.shutdown()
        self.writer.close()

    def _release_threads(self) -> None:
        """Every thread holds a connection of its own, which only it can close."""
        count = self.settings.database_threads
        # None of them can take a second turn before each has had its first.
        together = threading.Barrier(count)

        def release() -> None:
            self.gateway.release()
            together.wait()

        for turn in [self._database.submit(release) for _ in range(count)]:
            turn.result()

    async def ask_database(self, call: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._database, call, *arguments)

    async def parse(self, call: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._parsing, call, *arguments)

    async def identify(self, request: Request, action: str) -> Any:
        """The agent whose token the request carries. Raises ``Unauthorized``; it is journalled."""
        token = bearer(request)
        identity = await self.ask_database(self.gateway.identify, token)
        if identity is None:
            await self.ask_database(
                self.gateway.refused, token, action, client_ip(request), request_id_var.get()
            )
            raise Unauthorized(
                "this agent token is not valid (any more): it is unknown, was revoked, or its"
                " environment was closed. Start the agent with a new registration token"
            )
        return identity


def endpoint(handle: Callable[[Any, Request], Awaitable[Response]]) -> Any:
    """Gives a request its id, its log line, and every failure its answer."""

    async def answered(self: Any, request: Request) -> Response:
        request_id_var.set(request_id_from(request.headers.get(REQUEST_ID_HEADER)))
        started = time.perf_counter()
        try:
            response = await handle(self, request)
        except QCloudError as error:
            response = failure(error)
        except OperationalError:
            log.exception("ingest: the database does not answer")
            response = failure(_DATABASE_GONE)
        # The last resort of the door: the agent keeps its batch and comes back.
        except Exception:
            log.exception("ingest: a defect")
            response = failure(_DEFECT)
        response.headers[REQUEST_ID_HEADER] = request_id_var.get()
        log.info(
            "ingest request",
            path=request.url.path,
            status=response.status_code,
            milliseconds=round((time.perf_counter() - started) * 1_000, 1),
        )
        return response

    return answered


_DATABASE_GONE = QCloudError(
    "pulse.database_unavailable",
    503,
    "the platform's database does not answer, so the token cannot be checked. Send it again later",
)
_DEFECT = QCloudError(
    "pulse.internal_error", 500, "the platform failed on this request; its log says why"
)


def failure(error: QCloudError) -> Response:
    """The error as ``wire.protocol`` words it; whoever shall come back is told when."""
    line = error.data.get("line")
    body = ErrorBody(
        code=error.code, message=error.message, line=line, request_id=request_id_var.get()
    )
    headers = {}
    if error.http_status == 503:
        headers["Retry-After"] = str(RETRY_SECONDS)
    if error.http_status == 429:
        headers["Retry-After"] = str(error.data["retry_after"])
        # Its body is not going to be read.
        headers["Connection"] = "close"
    if error.http_status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.http_status == 413:
        # The rest of the body is not going to be read.
        headers["Connection"] = "close"
    content = msgspec.json.encode(ErrorResponse(error=body))
    return Response(content, error.http_status, headers, media_type=JSON)


def bearer(request: Request) -> str:
    """The token of the Authorization header. Raises ``Unauthorized``."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized("send the agent's token: Authorization: Bearer qca_…")
    return token


def client_ip(request: Request) -> str:
    return request.client.host if request.client else ""
