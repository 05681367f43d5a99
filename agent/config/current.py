"""The configuration in force, the one that comes, and those that exchanges still end under."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from agent.config.policy import Policy, Surroundings
from agent.config.stack import StackPlan
from agent.link.settings import Plan
from agent.logs import get_logger
from agent.stores.base import StoreError
from wire.config import (
    Config,
    ConfigError,
    Credential,
    Parsed,
    Problem,
    config_digest,
    parse_config,
    read_document,
    to_document,
)

PLATFORM: Final = "platform"
CLOSE_SECONDS: Final = 30.0
"""How long the stores of a former configuration may take to store what waits."""
_SAID_AT_MOST: Final = 20

_log = get_logger()


class ReloadState(NamedTuple):
    """For the status page and file."""

    origin: str
    reloads: int
    refused: int
    problem: str
    """Why the last one was refused; empty when it was taken."""


class Configuration:
    """``apply`` and ``apply_text`` on the thread that brings them, ``take`` and ``release`` on
    the capture thread.
    """

    def __init__(self, around: Surroundings, origin: str = PLATFORM) -> None:
        self._around = around
        self._origin = origin
        self._lock = threading.Lock()
        self._next: Policy | None = None
        self._retired: list[Policy] = []
        self._said: str | None = None
        self._reloads = 0
        self._refused = 0
        self._problem = ""
        self.changed = threading.Event()
        self.running = Policy(Config(), "", around)

    @property
    def state(self) -> ReloadState:
        return ReloadState(self._origin, self._reloads, self._refused, self._problem)

    def apply(self, document: dict[str, Any]) -> bool:
        """Put a platform's document into force; a bad one is refused aloud, the old one stays."""
        try:
            parsed = read_document(document)
        except ConfigError as error:
            return self._refuse(error.problems)
        return self._install(parsed, config_digest(document))

    def apply_text(self, text: bytes) -> bool:
        """The same for YAML, from a file or an address."""
        try:
            parsed = parse_config(text)
        except ConfigError as error:
            return self._refuse(error.problems)
        return self._install(parsed, config_digest(to_document(parsed.config)))

    def refuse(self, reason: str) -> bool:
        """What was to be the configuration cannot even be read. Returns ``False``."""
        return self._refuse([Problem("error", 0, 0, "", reason)])

    def take(self) -> Policy | None:
        """A configuration that came since the last call; the former one retires."""
        with self._lock:
            policy, self._next = self._next, None
            self.changed.clear()
            if policy is not None:
                self._retired.append(self.running)
                self.running = policy
        return policy

    @property
    def retiring(self) -> bool:
        return bool(self._retired)

    def release(self, in_use: Iterable[Plan]) -> None:
        """Let go of former configurations that no exchange is under way under."""
        busy = {plan.policy for plan in in_use if isinstance(plan, StackPlan)}
        with self._lock:
            gone = [policy for policy in self._retired if policy not in busy]
            self._retired = [policy for policy in self._retired if policy in busy]
            live = [*self._retired, self.running, *([self._next] if self._next else [])]
        for policy in gone:
            self._close(policy, live)

    def close(self, timeout: float) -> bool:
        """Everything is over: deliver what waits. ``False``: some store had no time to."""
        with self._lock:
            policies = [*self._retired, self.running, *([self._next] if self._next else [])]
        stores = {id(one): one for policy in policies for one in policy.stores.all()}
        deadline = time.monotonic() + timeout
        done = [one.close(max(deadline - time.monotonic(), 0.1)) for one in stores.values()]
        return all(done)

    # -- inside --------------------------------------------------------------------

    def _install(self, parsed: Parsed, digest: str) -> bool:
        for problem in parsed.warnings[:_SAID_AT_MOST]:
            _log.warning("configuration", line=problem.line, column=problem.column,
                         path=problem.path, reason=problem.message)  # fmt: skip
        with self._lock:
            newest = self._next or self.running
            try:
                lead = self._prepare_way(parsed.config)
                policy = Policy(parsed.config, digest, self._around, newest.stores)
                lead()
            except StoreError as error:
                return self._note(str(error))
            unused, self._next = self._next, policy
            self._reloads += 1
            self._problem = ""
            live = [*self._retired, self.running, policy]
        if unused is not None:
            self._close(unused, live)
        self._say(policy)
        self.changed.set()
        return True

    def _prepare_way(self, config: Config) -> Callable[[], None]:
        """What leads events to the platform that is named; a document has one at most.

        Raises ``StoreError``.
        """
        way = self._around.way
        pulses = [store for store in config.services.event_stores if store.type == "pulse"]
        if way is None or not pulses:
            return lambda: None
        return way.prepare(pulses[0])

    def _refuse(self, problems: Iterable[Problem]) -> bool:
        errors = [problem for problem in problems if problem.severity == "error"]
        return self._note("; ".join(str(problem) for problem in errors[:_SAID_AT_MOST]))

    def _note(self, reason: str) -> bool:
        self._refused += 1
        self._problem = reason
        _log.error("configuration refused; the former stays in force", reason=reason)
        return False

    def _close(self, policy: Policy, live: Iterable[Policy]) -> None:
        """Its own stores, on a thread: one may have to wait for a slow disk or network."""
        stores = policy.stores.only_here(other.stores for other in live)
        if stores:
            closing = threading.Thread(
                target=lambda: [store.close(CLOSE_SECONDS) for store in stores],
                name="close-stores",
                daemon=True,
            )
            closing.start()

    def _say(self, policy: Policy) -> None:
        """Once, and again when it changes: where things go."""
        missing = sorted(_unset(policy.config, self._around.stores.environment))
        if missing:
            _log.error("the configuration names variables that are not set", names=missing)
        kind = policy.stores.kind
        if kind == self._said:
            return
        self._said = kind
        if policy.stores.queue() is None:
            _log.warning("no object store is configured: payloads are dropped")
        else:
            _log.info("payloads go to the object store", kind=kind)
        if not policy.event_stores:
            _log.warning("no event store is configured: events are dropped")


def _unset(config: Config, environment: Any) -> set[str]:
    """Names of variables that credentials want and the process lacks."""
    services = config.services
    credentials: list[Credential | None] = [store.token for store in services.event_stores]
    for store in services.object_stores:
        credentials += [store.access_key, store.secret_key, store.session_token]
    named = {one.value for one in credentials if one is not None and one.type == "env"}
    return {
        name for name in named if not environment.get(name) and not environment.get(f"{name}_FILE")
    }
