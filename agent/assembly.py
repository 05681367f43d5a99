"""The agent's parts, put together from its options."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from uuid_utils.compat import uuid7

from agent.configuration import Configuration
from agent.counters import Counters
from agent.link.scope import Scope, ScopeError, namespace_inode
from agent.link.settings import LinkSettings
from agent.recording.format import RecordingError
from agent.runner import OpenSource, Runner
from agent.spool.spool import Spool
from agent.status import StatusFile
from agent.system import DataFolderError, agent_version, lock_data_folder, system_info
from agent.uplink.client import Client, EndpointError
from agent.uplink.identity import IdentityError, IdentityFile
from agent.uplink.session import Session


def assembly_errors() -> tuple[type[Exception], ...]:
    """Whose messages tell an operator why the agent does not start."""
    return (DataFolderError, EndpointError, IdentityError, RecordingError, ScopeError)


@contextmanager
def assemble(
    options: argparse.Namespace, registration_token: str, open_source: OpenSource
) -> Iterator[Runner]:
    """A runner that owns the data folder while the context lasts.

    Raises one of ``assembly_errors()``.
    """
    if not options.registration_endpoint:
        raise EndpointError(
            "no platform is given: set --registration-endpoint or REGISTRATION_ENDPOINT"
        )
    if options.replay is not None and not options.replay.is_file():
        raise RecordingError(f"{options.replay} cannot be read: there is no such file")
    client = Client(
        options.registration_endpoint,
        ca_file=options.ca_file,
        allow_insecure=options.allow_insecure_platform,
    )
    scope = _scope(options)
    lock = lock_data_folder(options.data_dir)
    try:
        yield _runner(options, registration_token, open_source, client, scope)
    finally:
        client.close()
        lock.close()


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
    registration_token: str,
    open_source: OpenSource,
    client: Client,
    scope: Scope,
) -> Runner:
    replaying = options.replay is not None
    system = system_info()
    counters = Counters()
    boot = uuid7()
    configuration = Configuration(
        LinkSettings(
            body_limit=options.http_buffer_size,
            idle_seconds=options.idle_timeout,
            replayed=replaying,
            hostname=system.hostname,
        )
    )
    session = Session(
        client,
        IdentityFile(options.data_dir),
        registration_token=registration_token,
        name=options.name or system.hostname,
        version=agent_version(),
        replaying=replaying,
        system=system,
        apply_config=configuration.apply,
    )
    spool = Spool(
        options.data_dir / "spool", boot=boot, counters=counters, limit=options.spool_limit
    )
    return Runner(
        open_source=open_source,
        reopen=not replaying,
        configuration=configuration,
        session=session,
        spool=spool,
        counters=counters,
        status_file=StatusFile(options.status_file),
        in_scope=(lambda _: True) if replaying else scope,
        refresh_scope=scope.refresh,
        boot=boot,
        memory_limit=options.memory_limit,
    )
