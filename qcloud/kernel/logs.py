"""Structured logs: one line an event, each with the request it belongs to.

The request id is taken from ``X-Request-ID`` when a proxy set a plausible one, else made
here; it goes into every log line, audit row and error page of the request, and back to
the caller in the same header.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

import structlog

from qcloud.kernel.ids import new_id

REQUEST_ID_HEADER: Final = "X-Request-ID"
_PLAUSIBLE: Final = re.compile(r"[A-Za-z0-9._-]{8,64}\Z")

request_id_var: ContextVar[str] = ContextVar("qcloud_request_id", default="")


def request_id_from(header: str | None) -> str:
    """The caller's request id if it is a plausible one, else a new one."""
    return header if header and _PLAUSIBLE.match(header) else new_id().hex


def configure_logging(*, level: str, log_format: str) -> None:
    """Send structlog and the standard library through one formatter to standard error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_request_id,
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=False)
        if log_format == "console"
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for noisy in ("fontTools", "weasyprint", "urllib3", "clickhouse_connect"):
        logging.getLogger(noisy).setLevel("WARNING")


def _add_request_id(_logger: Any, _method: str, event: Any) -> Any:
    request_id = request_id_var.get()
    if request_id:
        event.setdefault("request_id", request_id)
    return event


class RequestIdMiddleware:
    """Gives each request its id before anything else can log or fail."""

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response

    def __call__(self, request: Any) -> Any:
        request.request_id = request_id_from(request.headers.get(REQUEST_ID_HEADER))
        token = request_id_var.set(request.request_id)
        try:
            response = self._get_response(request)
        finally:
            request_id_var.reset(token)
        response[REQUEST_ID_HEADER] = request.request_id
        return response
