"""The agent's parts, put together from its options."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple
from uuid import UUID

from agent.certificates.watch import CertificateWatch
from agent.config.current import PLATFORM, Configuration
from agent.config.policy import Surroundings
from agent.config.source import FileSource, SourceError, UrlSource, Watcher, shown, source_of
from agent.config.tags import TagsError, deployment_tags
from agent.containers.lookup import Containers, runtimes
from agent.counters import Counters
from agent.door.pages import Pulse, pages
from agent.door.server import LISTEN, DoorError, Pages, StatusServer
from agent.link.scope import Scope, ScopeError, namespace_inode
from agent.link.settings import LinkSettings
from agent.logs import get_logger
from agent.metrics import Registry
from agent.recording.format import RecordingError
from agent.runner import OpenSource, Runner
from agent.spool.boot import new_boot
from agent.spool.spool import Spool
from agent.status import StatusFile
from agent.stores.base import StoreContext, StoreError
from agent.system import DataFolderError, NoRoomError, agent_version, lock_data_folder, system_info
from agent.uplink.client import Client, EndpointError
from agent.uplink.identity import IdentityError, IdentityFile
from agent.uplink.session import ReadToken, Session
from agent.uplink.uplink import Uplink
from agent.uplink.way import Way, token_of
from agent.who import OnNode, nobody
from wire.config import Config, ConfigError, EventStore, parse_config

_log = get_logger()


def assembly_errors() -> tuple[type[Exception], ...]:
    """Whose messages tell an operator why the agent does not start."""
    return (
        ConfigError, DataFolderError, DoorError, EndpointError, IdentityError, RecordingError,
        ScopeError,
        SourceError, StoreError, TagsError,
    )  # fmt: skip


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
    if own is None and not options.registration_endpoint:
        raise EndpointError(
            "nothing says what to do: set --config to a configuration file, or "
            "set --registration-endpoint or REGISTRATION_ENDPOINT to the platform"
        )
    with ExitStack() as stack:
        yield _runner(options, own, registration_token, open_source, stack)


def _own(options: argparse.Namespace) -> _Own | None:
    """The configuration that ``--config`` names, read and checked.

    Raises ``SourceError`` or ``ConfigError``.
    """
    if not options.config:
        return None
    source = source_of(options.config)
    if options.config.startswith("http://"):
        _log.warning("whoever is on the way can change this configuration; use https://",
                     address=shown(options.config))  # fmt: skip
    text = source.read() or b""
    return _Own(source, text, _pulse(parse_config(text).config))


def _pulse(config: Config) -> EventStore | None:
    stores = [store for store in config.services.event_stores if store.type == "pulse"]
    return stores[0] if stores else None


def _own_way(way: Way, store: EventStore) -> None:
    """Opened before anything else, so that what is wrong ends the start with its own code."""
    try:
        way.prepare(store)
    except StoreError as error:
        raise error.__cause__ or error from None


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
    registration_token: str,
    open_source: OpenSource,
    stack: ExitStack,
) -> Runner:
    replaying = options.replay is not None
    counters = Counters()
    boot = new_boot(options.data_dir / "spool")
    scope = _scope(options)
    way = _way(options, own, registration_token, _Parts(counters, boot, stack))
    certificates = CertificateWatch(counters=counters)
    managed = way.uplink if own is None else None
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
        uplink=managed,
        way=way if own is not None else None,
        saw=certificates.saw,
    )
    configuration = Configuration(around, shown(options.config) if options.config else PLATFORM)
    if managed is not None:
        managed.session.follow(configuration.apply)
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
        way=way,
        counters=counters,
        status_file=StatusFile(options.status_file),
        in_scope=(lambda _: True) if replaying else scope,
        refresh_scope=scope.refresh,
        boot=boot,
        memory_limit=options.memory_limit,
        certificates=certificates,
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


class _Parts(NamedTuple):
    """What an uplink is built with."""

    counters: Counters
    boot: UUID
    stack: ExitStack


def _way(options: argparse.Namespace, own: _Own | None, token: str, parts: _Parts) -> Way:
    """To the platform that manages this agent, or to those that its own configuration names."""

    def opened(client: Client, read_token: ReadToken) -> Uplink:
        return _uplink(options, client, read_token, parts, managed=own is None)

    if own is not None:
        way = Way(opened, os.environ, ca_file=options.ca_file)
        if own.pulse is not None:
            _own_way(way, own.pulse)
        return way
    client = Client(
        options.registration_endpoint, ca_file=options.ca_file,
        allow_insecure=options.allow_insecure_platform,
    )  # fmt: skip
    return Way(opened, os.environ, uplink=opened(client, _token(options, token)))


def _token(options: argparse.Namespace, token: str) -> ReadToken:
    """A token given as a file is read again for each registration."""
    if options.registration_token is not None or not os.environ.get("REGISTRATION_TOKEN_FILE"):
        return lambda: token
    return token_of(os.environ, "REGISTRATION_TOKEN")


def _uplink(
    options: argparse.Namespace,
    client: Client,
    read_token: ReadToken,
    parts: _Parts,
    *,
    managed: bool,
) -> Uplink:
    """The way to the platform, and with it the data folder."""
    try:
        return _on_disk(options, client, read_token, parts, managed=managed)
    except OSError as error:
        raise NoRoomError(
            f"the data folder {options.data_dir} cannot be written ({error.strerror}): free "
            "space on its disk, or set --data-dir to a folder on another"
        ) from error


def _on_disk(
    options: argparse.Namespace,
    client: Client,
    read_token: ReadToken,
    parts: _Parts,
    *,
    managed: bool,
) -> Uplink:
    parts.stack.enter_context(lock_data_folder(options.data_dir))
    system = system_info()
    session = Session(
        client,
        IdentityFile(options.data_dir),
        registration_token=read_token,
        name=options.name or system.hostname,
        version=agent_version(),
        replaying=options.replay is not None,
        system=system,
    )

    def leave() -> None:
        session.client.close()  # the one that it has then

    parts.stack.callback(leave)
    spool = Spool(
        options.data_dir / "spool", boot=parts.boot, counters=parts.counters,
        limit=options.spool_limit, seconds=options.spool_age,
    )  # fmt: skip
    return Uplink(session, spool, parts.counters, managed=managed)
