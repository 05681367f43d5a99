"""The agent's parts, put together from its options."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple
from uuid import UUID

import structlog

from agent.config.current import PLATFORM, Configuration
from agent.config.policy import Surroundings
from agent.config.source import FileSource, SourceError, UrlSource, Watcher, source_of
from agent.config.tags import TagsError, deployment_tags
from agent.containers.lookup import Containers, runtimes
from agent.counters import Counters
from agent.door.pages import Pulse, pages
from agent.door.server import LISTEN, DoorError, Pages, StatusServer
from agent.link.scope import Scope, ScopeError, namespace_inode
from agent.link.settings import LinkSettings
from agent.metrics import Registry
from agent.options import read_secret
from agent.recording.format import RecordingError
from agent.runner import OpenSource, Runner
from agent.spool.boot import new_boot
from agent.spool.spool import Spool
from agent.status import StatusFile
from agent.stores.base import StoreContext, StoreError
from agent.system import DataFolderError, agent_version, lock_data_folder, system_info
from agent.uplink.client import Client, EndpointError
from agent.uplink.identity import IdentityError, IdentityFile
from agent.uplink.session import Session
from agent.uplink.uplink import Uplink
from agent.who import OnNode, nobody
from wire.config import Config, ConfigError, EventStore, parse_config

_log = structlog.get_logger()


def assembly_errors() -> tuple[type[Exception], ...]:
    """Whose messages tell an operator why the agent does not start."""
    return (
        ConfigError, DataFolderError, DoorError, EndpointError, IdentityError, RecordingError,
        ScopeError,
        SourceError, StoreError, TagsError,
    )  # fmt: skip


class _Platform(NamedTuple):
    """Which platform, how it is known, and whether it manages this agent."""

    endpoint: str
    token: str
    allow_insecure: bool
    managed: bool


class _Own(NamedTuple):
    """A configuration of one's own."""

    source: FileSource | UrlSource
    text: bytes
    pulse: EventStore | None


@contextmanager
def assemble(
    options: argparse.Namespace, registration_token: str, open_source: OpenSource
) -> Iterator[Runner]:
    """A runner that owns the data folder while the context lasts.

    Raises one of ``assembly_errors()``.
    """
    if options.replay is not None and not options.replay.is_file():
        raise RecordingError(f"{options.replay} cannot be read: there is no such file")
    own = _own(options)
    platform = _platform(options, own, registration_token)
    with ExitStack() as stack:
        yield _runner(options, own, platform, open_source, stack)


def _own(options: argparse.Namespace) -> _Own | None:
    """The configuration that ``--config`` names, read and checked.

    Raises ``SourceError`` or ``ConfigError``.
    """
    if not options.config:
        return None
    source = source_of(options.config)
    if options.config.startswith("http://"):
        _log.warning("whoever is on the way can change this configuration; use https://",
                     address=options.config)  # fmt: skip
    text = source.read() or b""
    return _Own(source, text, _pulse(parse_config(text).config))


def _pulse(config: Config) -> EventStore | None:
    stores = [store for store in config.services.event_stores if store.type == "pulse"]
    return stores[0] if stores else None


def _platform(options: argparse.Namespace, own: _Own | None, token: str) -> _Platform | None:
    """Raises ``EndpointError``: neither a platform nor a configuration is given."""
    if own is None:
        if not options.registration_endpoint:
            raise EndpointError(
                "nothing says what to do: set --config to a configuration file, or "
                "set --registration-endpoint or REGISTRATION_ENDPOINT to the platform"
            )
        insecure = options.allow_insecure_platform
        return _Platform(options.registration_endpoint, token, insecure, managed=True)
    if own.pulse is None:
        return None
    # The document says http:// itself, and was warned of; nothing is hidden here.
    insecure = own.pulse.allow_insecure or own.pulse.address.startswith("http://")
    secret = _secret(own.pulse)
    return _Platform(own.pulse.address, secret, insecure, managed=False)


def _secret(store: EventStore) -> str:
    if store.token is None:
        return ""
    if store.token.type == "text":
        return store.token.value
    try:
        return read_secret(os.environ, store.token.value)
    except OSError as error:
        raise EndpointError(f"{store.token.value}_FILE cannot be read: {error}") from error


def _scope(options: argparse.Namespace) -> Scope:
    if options.replay is not None:
        return Scope()
    return Scope(
        netns=namespace_inode(options.netns),
        excluded=options.exclude_pids,
        files=tuple(options.exclude_pid_file),
    )


def _runner(
    options: argparse.Namespace,
    own: _Own | None,
    platform: _Platform | None,
    open_source: OpenSource,
    stack: ExitStack,
) -> Runner:
    replaying = options.replay is not None
    counters = Counters()
    boot = new_boot(options.data_dir / "spool")
    scope = _scope(options)
    uplink = _uplink(options, platform, counters, boot, stack) if platform is not None else None
    around = Surroundings(
        base=LinkSettings(
            body_limit=options.http_buffer_size,
            idle_seconds=options.idle_timeout,
            replayed=replaying,
            hostname=system_info().hostname,
        ),
        stores=StoreContext(counters, os.environ),
        metrics=Registry(),
        who_is=nobody if replaying else _on_node(options, counters, stack),
        tags=deployment_tags(options.tags),
        uplink=uplink,
        pulse=own.pulse if own is not None else None,
    )
    configuration = Configuration(around, options.config or PLATFORM)
    if uplink is not None and uplink.managed:
        uplink.session.follow(configuration.apply)
    watcher = None
    if own is not None:
        if not configuration.apply_text(own.text):
            raise SourceError(configuration.state.problem)
        watcher = Watcher(own.source, configuration)
    pulse = Pulse()
    runner = Runner(
        open_source=open_source,
        reopen=not replaying,
        configuration=configuration,
        watcher=watcher,
        uplink=uplink,
        counters=counters,
        status_file=StatusFile(options.status_file),
        in_scope=(lambda _: True) if replaying else scope,
        refresh_scope=scope.refresh,
        boot=boot,
        memory_limit=options.memory_limit,
        pulse=pulse,
    )
    _status_server(options, pages(runner.status, around.metrics, pulse), stack)
    return runner


def _status_server(options: argparse.Namespace, shown: Pages, stack: ExitStack) -> None:
    """Where it was asked for, or by default for live capture, unless the port is taken.

    Raises ``DoorError`` for an address that was given and cannot be had.
    """
    given = options.httpd_listen
    if given == "none" or (not given and options.replay is not None):
        return
    try:
        server = StatusServer(given or LISTEN, shown)
    except DoorError as error:
        if given:
            raise
        _log.warning("no status server", reason=str(error))
        return
    stack.callback(server.close)
    server.start()


def _on_node(options: argparse.Namespace, counters: Counters, stack: ExitStack) -> OnNode:
    """Who processes are, with a thread that asks the container runtimes."""
    found = runtimes(options.docker_socket_endpoint, options.cri_runtime_socket_endpoint)
    containers = Containers(found, counters)
    containers.start()
    stack.callback(containers.stop)
    return OnNode(containers)


def _uplink(
    options: argparse.Namespace,
    platform: _Platform,
    counters: Counters,
    boot: UUID,
    stack: ExitStack,
) -> Uplink:
    """The way to the platform, and with it the data folder."""
    client = Client(
        platform.endpoint, ca_file=options.ca_file, allow_insecure=platform.allow_insecure
    )
    stack.callback(client.close)
    stack.enter_context(lock_data_folder(options.data_dir))
    system = system_info()
    session = Session(
        client,
        IdentityFile(options.data_dir),
        registration_token=platform.token,
        name=options.name or system.hostname,
        version=agent_version(),
        replaying=options.replay is not None,
        system=system,
    )
    spool = Spool(
        options.data_dir / "spool", boot=boot, counters=counters, limit=options.spool_limit,
        seconds=options.spool_age,
    )  # fmt: skip
    return Uplink(session, spool, counters, managed=platform.managed)
