"""``qcloud loader``: one a spool."""

from __future__ import annotations

import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import structlog
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from pulse.allocator import keep_freed_memory
from pulse.errors import StoreUnavailable
from pulse.loader.loader import Loader
from pulse.spool.folder import SpoolFolder, SpoolInUse
from pulse.store.client import ClickHouseError, Store, StoreSettings
from qcloud.kernel.env import Env

log = structlog.get_logger(__name__)

_IDLE_SECONDS: Final = 0.2
_HEED_SECONDS: Final = 2.0
"""Between looks at what was decided about batches that are set aside."""
_RETRY_SECONDS: Final = (0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class LoaderSettings:
    spool: Path
    store: StoreSettings

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Raises ``SettingError``."""
        return cls(spool=env.path("QCLOUD_SPOOL_PATH"), store=StoreSettings.from_env(env))


def main(settings: LoaderSettings | None = None) -> int:
    """Load until SIGTERM or SIGINT; Django must be set up. Returns the exit code."""
    keep_freed_memory()
    chosen = settings or LoaderSettings.from_env(Env())
    stop = threading.Event()

    def ask_to_stop(*_args: Any) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
    folder = SpoolFolder(chosen.spool)
    try:
        lock = folder.lock("loader")
    except SpoolInUse as error:
        sys.stderr.write(f"qcloud loader: {error}\n")
        return 1
    with lock:
        run(Loader(folder, Store(chosen.store), stop=stop), stop)
    return 0


def run(loader: Loader, stop: threading.Event) -> None:
    """Recover, then step; after any failure wait a little and recover again."""
    failures = 0
    recovered = False
    look_at = 0.0
    log.info("loader ready")
    while not stop.is_set():
        try:
            close_old_connections()
            if not recovered:
                loader.recover()
                recovered = True
            if time.monotonic() >= look_at:
                loader.heed()
                look_at = time.monotonic() + _HEED_SECONDS
            if loader.step() is None:
                stop.wait(_IDLE_SECONDS)
            failures = 0
        except (StoreUnavailable, ClickHouseError, DatabaseError, OSError, RuntimeError) as error:
            recovered = False
            delay = _RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)]
            failures += 1
            log.warning("loader: waiting after a failure", error=str(error), seconds=delay)
            connection.close()
            stop.wait(delay)
    log.info("loader stopped")
