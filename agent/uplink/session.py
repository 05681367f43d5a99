"""Registration: from the environment's token to the agent's own."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from agent.logs import get_logger
from agent.uplink.client import UNREADABLE, Answer, Client, EndpointError
from agent.uplink.identity import Identity, IdentityFile
from wire.protocol import (
    AGENT_TOKEN_HEADER,
    CONFIG_PATH,
    REGISTER_PATH,
    RegisterRequest,
    RegisterResponse,
    SystemInfo,
)

_log = get_logger()

ApplyConfig = Callable[[dict[str, Any]], object]
"""Called on the control thread with a document as the platform sent it."""


ReadToken = Callable[[], str]
"""The registration token as it is now: the file that holds it may have a new one. Raises
``EndpointError`` when it cannot be read."""


class Door(NamedTuple):
    """Which platform, as whom: what one call uses from its beginning to its end."""

    client: Client
    token: str
    generation: int


class RefusedError(Exception):
    """The platform answered, and not with what was asked for."""

    def __init__(self, doing: str, answer: Answer) -> None:
        error = answer.error()
        super().__init__(f"{doing}: {answer.status} {error.code}: {error.message}")
        self.answer = answer
        self.doing = doing


class Session:
    """The agent's identity towards the platform, shared by the threads that call it."""

    def __init__(
        self,
        client: Client,
        file: IdentityFile,
        *,
        registration_token: str | ReadToken,
        name: str,
        version: str,
        replaying: bool,
        system: SystemInfo,
        apply_config: ApplyConfig | None = None,
    ) -> None:
        self.client = client
        self.registered = threading.Event()
        self.generation = 0
        """One more whenever the platform sees this installation as another agent."""
        self.columnar = False
        """Whether the platform takes batches in columns, as its last heartbeat said."""
        self.kinds: frozenset[str] | None = None
        """Kinds of events that the platform takes, as its last heartbeat said; ``None``: it
        has said nothing yet."""
        self._file = file
        self._read_token = _reader(registration_token)
        self._about = (name, version, replaying, system)
        self._apply_config: ApplyConfig = lambda _: None
        self._lock = threading.Lock()
        self.identity: Identity = file.load(client.endpoint)
        if apply_config is not None:
            self.follow(apply_config)

    def follow(self, apply_config: ApplyConfig) -> None:
        """Hand over the configuration of the last run, and from now on each that is sent.

        Without it the agent has a configuration of its own.
        """
        self._apply_config = apply_config
        if self.identity.config is not None:
            apply_config(self.identity.config)

    def move(self, client: Client | None, read_token: ReadToken) -> None:
        """From now on ``client`` (``None``: the same) and this registration token.

        Another address is another platform until it proves to know this agent: it is shown no
        token of the former one. Raises ``IdentityError``.
        """
        with self._lock:
            if client is not None and client.endpoint != self.client.endpoint:
                self.identity = self._file.load(client.endpoint)
                self.columnar, self.kinds = False, None
                self.registered.clear()
            self._read_token = read_token
            self.client = client or self.client
        self.resume()

    @property
    def renewal(self) -> bool:
        """Whether the registration token is another than the one that made this agent known:
        it may be of another environment.
        """
        known = self.identity.registered_with
        try:
            token = self._read_token()
        except EndpointError:
            return False
        return bool(known and token) and _digest(token) != known

    @property
    def door(self) -> Door:
        with self._lock:
            return Door(self.client, self.identity.agent_token, self.generation)

    @property
    def token(self) -> str:
        return self.identity.agent_token

    @property
    def agent_id(self) -> UUID | None:
        return self.identity.agent_id

    def register(self) -> None:
        """Get a token, keeping the identity if there is one, and the configuration.

        Raises ``RefusedError`` or ``UnreachableError``.
        """
        with self._lock:
            client, secret = self.client, self._read_token()
            body, headers = msgspec.json.encode(self._request()), self._headers()
        answer = client.call("POST", REGISTER_PATH, token=secret, body=body, headers=headers)
        if answer.status not in {200, 201}:
            raise RefusedError("registration", answer)
        try:
            response = msgspec.json.decode(answer.body, type=RegisterResponse)
        except UNREADABLE as error:
            raise RefusedError(f"registration ({error})", answer) from error
        self._accept(client, secret, response)

    def resume(self) -> bool:
        """Go on with the token of an earlier run; ``False``: there is none."""
        if not self.token:
            return False
        self.registered.set()
        return True

    def takes(self, kind: str) -> bool:
        """Whether events of this kind are worth keeping: the platform may take them."""
        return self.kinds is None or kind in self.kinds

    def expire(self, token: str) -> None:
        """The platform no longer takes ``token``; harmless if it was replaced meanwhile."""
        if token == self.token:
            self.registered.clear()

    def fetch_config(self) -> None:
        """Raises ``RefusedError`` or ``UnreachableError``."""
        door = self.door
        answer = door.client.call("GET", CONFIG_PATH, token=door.token)
        if answer.status != 200:
            raise RefusedError("configuration", answer)
        try:
            document = msgspec.json.decode(answer.body, type=dict[str, Any])
        except UNREADABLE as error:
            raise RefusedError(f"configuration ({error})", answer) from error
        self.identity.config = document
        self._file.save(self.identity)
        self._apply_config(document)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers[AGENT_TOKEN_HEADER] = self.token
        return headers

    def _request(self) -> RegisterRequest:
        name, version, replaying, system = self._about
        return RegisterRequest(
            instance_id=self.identity.instance_id,
            name=name,
            version=version,
            replaying=replaying,
            system=system,
        )

    def _accept(self, client: Client, secret: str, response: RegisterResponse) -> None:
        with self._lock:
            if client is not self.client:
                return  # the answer of a platform that is not ours any more
            had_one = self.identity.agent_id is not None or self.identity.lost_one
            if had_one and response.agent_id != self.identity.agent_id:
                self.generation += 1
            self.identity = Identity(
                instance_id=self.identity.instance_id,
                agent_id=response.agent_id,
                agent_token=response.agent_token,
                endpoint=client.endpoint,
                account=response.account,
                environment=response.environment,
                registered_with=_digest(secret),
                config=response.config,
            )
            self._file.save(self.identity)
        _log.info(
            "registered",
            agent=str(response.agent_id),
            account=response.account,
            environment=response.environment,
        )
        self._apply_config(response.config)
        self.registered.set()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _reader(token: str | ReadToken) -> ReadToken:
    return (lambda: token) if isinstance(token, str) else token
