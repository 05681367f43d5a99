"""From the environment's configuration to what the agent's parts need."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog

from agent.link.settings import LinkSettings
from agent.objects.directory import DirectoryStore
from agent.objects.store import ObjectStore, StoreError
from wire.config import Config, ConfigError, config_digest, load_config
from wire.events import Direction

HEADS_ONLY: Final = 16_384
"""Bytes of one call that are enough to see heads."""
WITH_BODIES: Final = 262_144

_DIRECTIONS: Final = {
    "all": frozenset(Direction),
    "ingress": frozenset({Direction.INGRESS}),
    "egress": frozenset({Direction.EGRESS_INTERNAL, Direction.EGRESS_EXTERNAL}),
    "egress-internal": frozenset({Direction.EGRESS_INTERNAL}),
    "egress-external": frozenset({Direction.EGRESS_EXTERNAL}),
}

_log = structlog.get_logger()


class Running(NamedTuple):
    """One configuration, ready to use."""

    digest: str
    link: LinkSettings
    store: ObjectStore | None
    call_limit: int
    """Bytes of one call that capture should copy."""


class Configuration:
    """``apply`` on the control thread, ``take`` on the capture thread."""

    def __init__(self, base: LinkSettings) -> None:
        self._base = base
        self._lock = threading.Lock()
        self._next: Running | None = None
        self._said: str | None = None
        self.changed = threading.Event()
        self.running = self._prepare(Config(version=2), digest="")

    def apply(self, document: dict[str, Any]) -> None:
        """Put a document into force; a bad one is refused aloud and the old one stays."""
        digest = config_digest(document)
        try:
            config = load_config(document)
        except ConfigError as error:
            _log.error("configuration refused; the former stays in force", reason=str(error))
            return
        if config.ignored:
            _log.warning("configuration holds keys this agent does not support yet",
                         keys=list(config.ignored))  # fmt: skip
        prepared = self._prepare(config, digest)
        self._say(prepared)
        with self._lock:
            self._next = prepared
        self.changed.set()

    def take(self) -> Running | None:
        """A configuration that came since the last call."""
        with self._lock:
            prepared, self._next = self._next, None
            self.changed.clear()
            if prepared is not None:
                self.running = prepared
        return prepared

    def _prepare(self, config: Config, digest: str) -> Running:
        store = _store(config)
        level = config.capture.level if store is not None else "none"
        bodies = level == "full"
        link = LinkSettings(
            keep_headers=level in {"headers", "full"},
            keep_bodies=bodies,
            body_limit=self._base.body_limit,
            directions=_DIRECTIONS[config.tap.direction],
            ignore_loopback=config.tap.ignore_loopback,
            idle_seconds=self._base.idle_seconds,
            max_connections=self._base.max_connections,
            replayed=self._base.replayed,
            hostname=self._base.hostname,
        )
        return Running(digest, link, store, WITH_BODIES if bodies else HEADS_ONLY)

    def _say(self, running: Running) -> None:
        """Once, and again when it changes: where payloads go."""
        store = running.store
        kind = store.kind if store is not None else "none"
        if kind == self._said:
            return
        self._said = kind
        if store is None:
            _log.warning("no object store is configured: payloads are dropped")
        else:
            _log.info("payloads go to the object store", kind=kind)


def _store(config: Config) -> ObjectStore | None:
    chosen = config.object_store
    if chosen is None:
        return None
    if not chosen.path:
        _log.error("the object store has no path; payloads are dropped", id=chosen.id)
        return None
    store = DirectoryStore(Path(chosen.path))
    try:
        store.check()
    except StoreError as error:
        # Kept in use: the disk may be back in a minute, and every drop until then is counted.
        _log.error("the object store is not ready", reason=str(error))
    return store
