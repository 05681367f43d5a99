"""``qcloud eventstore``: owns the data folder until it is told to stop."""

from __future__ import annotations

import ipaddress
import os
import signal
import sys
import threading
from typing import Any, Final

import structlog

from pulse.eventstore.engine import Engine, EngineError, Limits
from pulse.eventstore.folder import DataFolder, FolderUnusable
from pulse.eventstore.server import EventStoreServer
from pulse.eventstore.settings import EventStoreSettings
from qcloud.kernel.env import Env
from qcloud.kernel.logs import configure_logging

log = structlog.get_logger(__name__)

_FINISH_SECONDS: Final = 4.0
"""For statements that run when the store is told to stop …"""
_CANCEL_SECONDS: Final = 4.0
"""… and for those that were cancelled then. Both together end before a supervisor kills."""


class StartRefused(RuntimeError):
    """The store does not start; the message says why and what to do."""


def main(settings: EventStoreSettings | None = None) -> int:
    """Serve until SIGTERM or SIGINT, with the settings of the environment by default.

    Returns the exit code; 1 with a plain message on standard error.
    """
    env = Env()
    configure_logging(
        level=env.text("QCLOUD_LOG_LEVEL", "INFO").upper(),
        log_format=env.text("QCLOUD_LOG_FORMAT", "json"),
    )
    try:
        serve(settings or EventStoreSettings.from_env(env))
    except (StartRefused, FolderUnusable) as error:
        sys.stderr.write(f"qcloud eventstore: {error}\n")
        return 1
    return 0


def serve(settings: EventStoreSettings) -> None:
    """Open, listen, stop in order.

    Raises ``StartRefused`` or ``FolderUnusable``.
    """
    _require_loopback(settings.host)
    folder = DataFolder(settings.path)
    folder.open()
    try:
        engine = _open_engine(settings, folder)
        try:
            _listen(settings, engine)
        finally:
            engine.close()
    finally:
        folder.close()
    log.info("eventstore stopped")


def _require_loopback(host: str) -> None:
    if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
        raise StartRefused(
            f"the embedded event store speaks plain HTTP and listens on loopback only, not {host}."
            " Set QCLOUD_EVENTSTORE_HOST=127.0.0.1, or use a ClickHouse server"
        )


def _open_engine(settings: EventStoreSettings, folder: DataFolder) -> Engine:
    limits = Limits(
        query_seconds=settings.max_query_seconds,
        query_memory=settings.max_query_memory,
        concurrent=settings.max_concurrent,
        queue_seconds=settings.queue_seconds,
    )
    try:
        return Engine(folder.engine, max_memory=settings.max_memory, limits=limits)
    except EngineError as error:
        raise StartRefused(
            f"the engine cannot open {folder.engine}: {error.message}\n"
            "If the disk is full, make room. If the folder is damaged, restore it from a backup"
        ) from error


def _listen(settings: EventStoreSettings, engine: Engine) -> None:
    try:
        server = EventStoreServer(settings, engine)
    except OSError as error:
        raise StartRefused(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}."
            " Stop what uses the port (ss -ltnp shows it) or set QCLOUD_EVENTSTORE_PORT"
        ) from error
    with server:
        _stop_on_signal(server)
        log.info("eventstore ready", host=settings.host, port=server.server_port)
        server.serve_forever(poll_interval=0.2)
    if not server.drained(_FINISH_SECONDS, _CANCEL_SECONDS):
        # The engine cannot be taken down under a statement: that ends in its memory, with
        # whatever happens to be there. What is committed is on disk.
        log.warning("eventstore stopped at once: a statement does not end")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


def _stop_on_signal(server: EventStoreServer) -> None:
    def stop(*_args: Any) -> None:
        # ``shutdown`` waits for the loop that this handler interrupts.
        threading.Thread(target=server.shutdown, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
