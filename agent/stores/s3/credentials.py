"""Keys to sign with: those that the configuration names, or the node's own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol

from agent.logs import get_logger
from agent.options import read_secret
from agent.stores.base import StoreError
from agent.stores.s3.answers import trouble
from wire.config import Credential
from wire.config import ObjectStore as ObjectStoreConfig
from wire.s3.signing import Keys

REFRESH_BEFORE: Final = 300.0
"""Seconds before their end that temporary keys are renewed."""
RETRY_SECONDS: Final = 10.0
"""Between two attempts at a source that gave nothing."""
REREAD_SECONDS: Final = 60.0
"""How long keys without an end are believed: their file or profile may have new ones."""

_log = get_logger()


class Found(NamedTuple):
    keys: Keys
    expires: float | None = None
    """Unix time; ``None``: not known."""
    source: str = ""
    """For people."""


class Provider(Protocol):
    """Asks where the keys come from. Raises ``StoreError``."""

    def __call__(self) -> Found: ...


class Credentials:
    """What ``provider`` found, renewed before it ends. From any thread."""

    def __init__(self, provider: Provider, clock: Callable[[], float] = time.time) -> None:
        self._provider = provider
        self._clock = clock
        self._lock = threading.Lock()
        self._found: Found | None = None
        self._read = 0.0
        self._tried = 0.0
        self._failure: StoreError | None = None

    def keys(self) -> Keys:
        """Raises ``StoreError`` where there are none, or only such as have ended."""
        found = self._found
        if found is not None and not self._due(found):
            return found.keys
        with self._lock:
            found = self._found
            if found is None or self._due(found):
                found = self._renew(found)
            return found.keys

    def renew(self, refused: Keys) -> bool:
        """The store refuses these: whether the source has others by now."""
        with self._lock:
            if self._found is not None and self._found.keys != refused:
                return True
            try:
                found = self._ask()
            except StoreError:
                return False
            self._keep(found)
            return found.keys != refused

    @property
    def source(self) -> str:
        """Where the keys came from; empty before the first."""
        return self._found.source if self._found is not None else ""

    def _due(self, found: Found) -> bool:
        now = self._clock()
        if found.expires is None:
            return now - self._read >= REREAD_SECONDS
        return now >= found.expires - REFRESH_BEFORE and now - self._tried >= RETRY_SECONDS

    def _renew(self, former: Found | None) -> Found:
        now = self._clock()
        if former is None and self._failure is not None and now - self._tried < RETRY_SECONDS:
            raise StoreError(self._failure.reason, str(self._failure))
        self._tried = now
        try:
            found = self._ask()
        except StoreError as error:
            self._failure = error
            if former is None or (former.expires is not None and now >= former.expires):
                raise
            _log.warning("credentials not renewed; the former still hold", reason=str(error))
            return former
        return self._keep(found)

    def _ask(self) -> Found:
        try:
            return self._provider()
        except (ValueError, OverflowError) as error:
            raise trouble(
                "credentials", f"their source gives what cannot be used ({type(error).__name__})"
            ) from None

    def _keep(self, found: Found) -> Found:
        self._failure = None
        self._read = self._clock()
        self._found = found
        return found


def configured(config: ObjectStoreConfig, environment: Mapping[str, str]) -> Provider:
    """``access_key``, ``secret_key`` and ``session_token``. A variable may also be given as
    ``NAME_FILE``; that file is read again when the store refuses and once a minute.
    """

    def read() -> Found:
        access = _value(config.access_key, environment)
        secret = _value(config.secret_key, environment)
        token = _value(config.session_token, environment)
        if not access or not secret:
            names = [
                one.value
                for one in (config.access_key, config.secret_key)
                if one is not None and one.type == "env" and not _value(one, environment)
            ]
            raise trouble("credentials", f"{' and '.join(names) or 'a key'} is not set")
        return Found(Keys(access, secret, token), None, "configuration")

    return read


def _value(credential: Credential | None, environment: Mapping[str, str]) -> str:
    if credential is None:
        return ""
    if credential.type == "text":
        return credential.value
    try:
        return read_secret(environment, credential.value)
    except OSError as error:
        raise trouble(
            "credentials", f"the file that {credential.value}_FILE names cannot be read: {error}"
        ) from error
