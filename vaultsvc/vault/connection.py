"""One process's connection to Vault: logged in, kept alive, and honest about what is wrong."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import hvac
import requests
import structlog
from hvac import exceptions as hvac_errors

from qcloud.kernel.env import SettingError
from vaultsvc.vault.errors import (
    ANSWERS,
    Redirected,
    VaultDenied,
    VaultDown,
    VaultSlow,
    VaultUnavailable,
    denied,
    login_refused,
    translate,
)
from vaultsvc.vault.renewal import Renewer
from vaultsvc.vault.settings import AppRole, Kubernetes, Token, VaultSettings
from vaultsvc.vault.transport import BoundedAdapter

_log = structlog.get_logger(__name__)
_Answer = TypeVar("_Answer")

_TRIES: Final = 3
_CONNECT_SECONDS: Final = 2
_CONNECTIONS: Final = 32
_PAUSE_SECONDS: Final = 1.0
"""After a failure nobody asks again for so long: requests wait for Vault one after another
otherwise, and with them everybody behind them.
"""


@dataclass
class _Session:
    """A token and until when it lives."""

    client: hvac.Client
    renewable: bool
    seconds: float
    """Of its first lease; a renewal that brings much less is near the token's last day."""
    expires: float
    """``time.monotonic()``; infinite for a root token."""


@dataclass
class VaultConnection:
    """Safe for many threads; a forked child logs in for itself."""

    settings: VaultSettings
    generation: int = 0
    """Counts log-ins: leases hang on the token that they were made with."""
    _session: _Session | None = field(default=None, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _paused: tuple[float, VaultUnavailable] | None = field(default=None, repr=False)
    _secret_id: str | None = field(default=None, repr=False)
    _process: int = field(default_factory=os.getpid, repr=False)
    renewer: Renewer = field(default_factory=Renewer, repr=False)

    def __post_init__(self) -> None:
        os.register_at_fork(after_in_child=self._begin_anew)

    def ask(
        self, what: str, call: Callable[[hvac.Client], _Answer], *, repeatable: bool = True
    ) -> _Answer:
        """What ``call`` returns. ``what`` completes "does not let this process …".

        Raises ``VaultUnavailable`` for what an operator has to mend; hvac's ``InvalidRequest``
        and ``InvalidPath`` go through, since only the caller knows what they mean.
        """
        self._refuse_while_paused()
        deadline = time.monotonic() + self.settings.timeout * 2
        renewed = False
        for attempt in range(1, _TRIES + 1):
            session = self._logged_in()
            try:
                return call(session.client)
            except hvac_errors.Forbidden as error:
                if renewed or not self._token_is_dead(session):
                    raise denied(self.settings.address, what) from error
                renewed = True
            except ANSWERS as error:
                failure = translate(error, self.settings.address)
                if failure is None:
                    raise
                hopeless = not failure.passing or not repeatable or attempt == _TRIES
                if hopeless or time.monotonic() > deadline:
                    raise self._pause(failure) from error
                time.sleep(0.05 * 2**attempt * (0.5 + random.random()))  # noqa: S311  jitter
        raise denied(self.settings.address, what)

    def expires_at(self) -> datetime | None:
        """When the present token ends unless it is renewed; ``None`` without one, or never."""
        session = self._session
        if session is None or session.expires == float("inf"):
            return None
        return datetime.now(UTC) + timedelta(seconds=session.expires - time.monotonic())

    def health(self) -> dict[str, Any]:
        """``initialized``, ``sealed``, ``standby``, ``version``: one round trip of at most 1.5 s
        that needs no token. Raises ``VaultUnavailable``.
        """
        client = self._client(token="", timeout=(0.7, 0.8), root_namespace=True)
        try:
            response = client.sys.read_health_status(
                method="GET",
                standby_ok=True,
                sealed_code=200,
                uninit_code=200,
            )
        except ANSWERS as error:
            raise translate(error, self.settings.address) or VaultDown(str(error)) from error
        if not isinstance(response, dict):
            raise VaultDown(f"What answers at {self.settings.address} is not Vault.")
        return response

    def close(self) -> None:
        """End the renewals and take the token back; without Vault it ends by itself."""
        self.renewer.stop()
        with self._lock:
            session, self._session = self._session, None
        if session is None or isinstance(self.settings.login, Token):
            return
        try:
            session.client.auth.token.revoke_self()
        except ANSWERS as error:
            _log.info("vault.token_not_revoked", error=type(error).__name__)

    def _logged_in(self) -> _Session:
        session = self._session
        if session is not None and time.monotonic() < session.expires:
            return session
        with self._lock:
            session = self._session
            if session is None or time.monotonic() >= session.expires:
                self._refuse_while_paused()  # somebody tried while this thread waited
                session = self._session = self._log_in()
            return session

    def _log_in(self) -> _Session:
        try:
            session = self._open()
        except SettingError as error:
            raise VaultDenied(str(error)) from error
        except hvac_errors.VaultError as error:
            known = translate(error, self.settings.address)
            if known is None or isinstance(error, hvac_errors.Forbidden):
                known = login_refused(self.settings.address, str(self.settings.login), error)
            raise self._pause(known) from error
        except requests.RequestException as error:
            raise self._pause(translate(error, self.settings.address) or VaultDown("")) from error
        if session.renewable:
            self.renewer.watch(self._keep_alive, session.seconds * 2 / 3)
        return session

    def _open(self) -> _Session:
        login = self.settings.login
        client = self._client(token=login.token if isinstance(login, Token) else "")
        if isinstance(login, Token):
            return _Session(client, renewable=False, seconds=0, expires=float("inf"))
        if isinstance(login, Kubernetes):
            answer = client.auth.kubernetes.login(
                role=login.role, jwt=login.present_token(), mount_point=login.mount
            )
        else:
            answer = client.auth.approle.login(
                role_id=login.role_id,
                secret_id=self._present_secret_id(login),
                mount_point=login.mount,
            )
        auth = answer["auth"]
        seconds = float(auth["lease_duration"])
        self.generation += 1
        _log.info("vault.logged_in", role=str(login), seconds=int(seconds))
        return _Session(client, bool(auth["renewable"]), seconds, _ends(seconds))

    def _present_secret_id(self, login: AppRole) -> str:
        """A wrapped secret id is opened once and then known to this process alone."""
        if not login.wrapped:
            return login.present_secret_id()
        if self._secret_id is None:
            client = self._client(token=login.present_secret_id())
            self._secret_id = str(client.sys.unwrap()["data"]["secret_id"])
        return self._secret_id

    def _keep_alive(self) -> float:
        """Renew the token, or log in anew near its last day; seconds until the next time."""
        session = self._session
        if session is None:
            return 0
        try:
            auth = session.client.auth.token.renew_self()["auth"]
            seconds = float(auth["lease_duration"])
        except ANSWERS as error:
            _log.warning("vault.token_not_renewed", error=type(error).__name__)
            seconds = 0.0
        if seconds >= session.seconds / 2:
            session.expires = _ends(seconds)
            return seconds * 2 / 3
        return self._replace(session)

    def _replace(self, session: _Session) -> float:
        try:
            fresh = self._open()
        except (*ANSWERS, SettingError) as error:
            _log.warning("vault.not_logged_in_anew", error=type(error).__name__)
            return max(0.5, min(5.0, session.seconds / 10))
        with self._lock:
            self._session = fresh
        return fresh.seconds * 2 / 3

    def _token_is_dead(self, session: _Session) -> bool:
        """Whether "permission denied" means the token itself; then the next call logs in."""
        if isinstance(self.settings.login, Token):
            return False
        try:
            session.client.auth.token.lookup_self()
        except hvac_errors.Forbidden:
            with self._lock:
                if self._session is session:
                    self._session = None
            return True
        except ANSWERS as error:
            raise self._pause(
                translate(error, self.settings.address) or VaultDown(str(error))
            ) from error
        return False

    def _client(
        self, *, token: str, timeout: object = None, root_namespace: bool = False
    ) -> hvac.Client:
        chosen = self.settings
        session = requests.Session()
        session.trust_env = False  # neither proxies nor authorities from the environment
        session.verify = str(chosen.ca_file) if chosen.ca_file else True
        session.mount(chosen.address, BoundedAdapter(pool_maxsize=_CONNECTIONS))
        session.hooks["response"].append(self._refuse_redirect)
        return hvac.Client(
            url=chosen.address,
            token=token,
            verify=session.verify,
            timeout=timeout or (min(_CONNECT_SECONDS, chosen.timeout), chosen.timeout),
            namespace=None if root_namespace else chosen.namespace,
            session=session,
            allow_redirects=False,
        )

    @staticmethod
    def _refuse_redirect(response: requests.Response, **_options: object) -> None:
        """A redirected request would carry the token to wherever the answer says."""
        if response.is_redirect:
            raise Redirected

    def _pause(self, failure: VaultUnavailable) -> VaultUnavailable:
        if isinstance(failure, VaultDown | VaultSlow):
            self._paused = (time.monotonic() + _PAUSE_SECONDS, failure)
        return failure

    def _refuse_while_paused(self) -> None:
        paused = self._paused
        if paused is not None and time.monotonic() < paused[0]:
            raise type(paused[1])(paused[1].reason)

    def _begin_anew(self) -> None:
        """In a forked child: sockets, locks and threads of the parent are not ours."""
        self._session, self._paused = None, None
        self._lock = threading.RLock()
        self.renewer = Renewer()


def _ends(seconds: float) -> float:
    """A little early: the request that uses the token last still has to arrive."""
    return time.monotonic() + seconds - min(2.0, seconds / 10) if seconds else float("inf")
