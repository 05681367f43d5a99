"""Where the uplink leads: one for the agent's life, moved when the configuration says so."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from agent.logs import get_logger
from agent.options import read_secret
from agent.stores.base import StoreError
from agent.system import DataFolderError
from agent.uplink.client import Client, EndpointError
from agent.uplink.control import Health
from agent.uplink.identity import IdentityError
from agent.uplink.session import ReadToken
from agent.uplink.uplink import Uplink
from wire.config import Credential, EventStore

OpenUplink = Callable[[Client, ReadToken], Uplink]
"""Takes the data folder. Raises ``DataFolderError``, ``IdentityError``, ``OSError``."""

_log = get_logger()


class _Target(NamedTuple):
    """What a connection to the platform is made of. Of another, there must be another client."""

    address: str
    insecure: bool
    ca_file: Path | None
    ca_digest: bytes
    """Of what is in the file: certificates are replaced under their name."""


class Way:
    """Built, then ``start`` on the main thread; ``prepare`` on the thread that brings
    configurations.
    """

    def __init__(
        self,
        open_uplink: OpenUplink,
        environment: Mapping[str, str],
        *,
        ca_file: Path | None = None,
        uplink: Uplink | None = None,
    ) -> None:
        """``ca_file``: for platforms whose store names none. ``uplink``: that of a platform
        which manages the agent; it never moves.
        """
        self.uplink = uplink
        self._open = open_uplink
        self._environment = environment
        self._ca_file = ca_file
        self._target: _Target | None = None
        self._health: Health | None = None
        self._started = False

    def start(self, health: Health) -> None:
        self._health = health
        self._begin()

    def prepare(self, store: EventStore) -> Callable[[], None]:
        """Everything that can fail, done; the result puts it into force.

        Raises ``StoreError``; its cause says more.
        """
        try:
            target = self._target_of(store)
            read_token = self._reader(store.token)
            read_token()
            client = self._client(target)
            if self.uplink is None and client is not None:
                self.uplink = self._open(client, read_token)
                self._target = target
        except (EndpointError, DataFolderError, IdentityError, OSError) as error:
            raise StoreError("platform", f"event store {store.name}: {error}") from error
        return lambda: self._move(target, client, read_token)

    # -- inside --------------------------------------------------------------------

    def _move(self, target: _Target, client: Client | None, read_token: ReadToken) -> None:
        uplink = self.uplink
        assert uplink is not None  # noqa: S101  opened by prepare
        other = client if target != self._target else None
        try:
            uplink.move(other, read_token)
        except IdentityError as error:
            raise StoreError("platform", str(error)) from error
        if other is not None:
            _log.info("reporting to another platform, or in another way; what is spooled goes "
                      "along", address=target.address)  # fmt: skip
            self._target = target
        self._begin()

    def _begin(self) -> None:
        """Once there is an uplink and the agent runs."""
        if self.uplink is None or self._health is None or self._started:
            return
        self._started = True
        self.uplink.connect(self._health)
        self.uplink.start()

    def _client(self, target: _Target) -> Client | None:
        """``None``: the one that there is will do. Raises ``EndpointError``."""
        if target == self._target:
            return None
        return Client(
            target.address, ca_file=target.ca_file, allow_insecure=target.insecure,
            environment=self._environment,
        )  # fmt: skip

    def _target_of(self, store: EventStore) -> _Target:
        """Raises ``EndpointError``."""
        # The document says http:// itself, and was warned of; nothing is hidden here.
        insecure = store.allow_insecure or store.address.startswith("http://")
        file = Path(store.ca_file) if store.ca_file else self._ca_file
        try:
            digest = hashlib.sha256(file.read_bytes()).digest() if file is not None else b""
        except OSError as error:
            raise EndpointError(f"the CA file {file} cannot be read: {error.strerror}") from error
        return _Target(store.address, insecure, file, digest)

    def _reader(self, token: Credential | None) -> ReadToken:
        if token is None:
            return str
        if token.type == "text":
            return lambda: token.value
        return token_of(self._environment, token.value)


def token_of(environment: Mapping[str, str], name: str) -> ReadToken:
    """What ``NAME`` says, or now stands in the file that ``NAME_FILE`` names."""

    def read() -> str:
        try:
            return read_secret(environment, name)
        except OSError as error:
            raise EndpointError(
                f"the file that {name}_FILE names cannot be read: {error.strerror}"
            ) from error

    return read
