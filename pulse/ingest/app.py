"""The ASGI application: ``granian --interface asgi --factory pulse.ingest.app:create_app``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pulse.allocator import keep_freed_memory
from pulse.ingest.calls import Calls
from pulse.ingest.events import Events
from pulse.ingest.gateway import Gateway
from pulse.ingest.parts import Parts
from pulse.ingest.settings import IngestSettings
from qcloud.kernel.env import Env
from wire.protocol import CONFIG_PATH, EVENTS_PATH, HEARTBEAT_PATH, REGISTER_PATH

log = structlog.get_logger(__name__)

HEALTH_PATH = "/healthz"


def create_app(settings: IngestSettings | None = None, gateway: Gateway | None = None) -> Starlette:
    """The door, with the environment's settings and the real fleet by default.

    Raises ``SpoolInUse`` when another ingest process writes the spool.
    """
    keep_freed_memory()
    parts = Parts(settings or IngestSettings.from_env(Env()), gateway or _fleet())
    calls = Calls(parts)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        log.info("ingest ready", spool=str(parts.settings.spool))
        try:
            yield
        finally:
            parts.close()
            log.info("ingest stopped")

    return Starlette(
        routes=[
            Route(EVENTS_PATH, Events(parts).post, methods=["POST"]),
            Route(REGISTER_PATH, calls.register, methods=["POST"]),
            Route(HEARTBEAT_PATH, calls.heartbeat, methods=["POST"]),
            Route(CONFIG_PATH, calls.config, methods=["GET"]),
            Route(HEALTH_PATH, _health, methods=["GET"]),
        ],
        lifespan=lifespan,
    )


def _fleet() -> Gateway:
    """Django is set up only where the fleet is real: a benchmark of the spool needs neither."""
    import django
    from django.apps import apps

    if not apps.ready:
        django.setup()
    from pulse.ingest.fleet import FleetGateway

    return FleetGateway()


async def _health(_request: Request) -> Response:
    return PlainTextResponse("ok\n")
