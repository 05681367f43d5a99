"""The thread that keeps the agent known to the platform: registration, heartbeat, config."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import msgspec

from agent.logs import get_logger
from agent.uplink.backoff import Backoff
from agent.uplink.client import (
    UNREADABLE,
    Answer,
    EndpointError,
    UnreachableError,
    seconds_ahead,
)
from agent.uplink.columnar import is_possible
from agent.uplink.session import RefusedError, Session
from wire.protocol import COLUMNS_CONTENT_TYPE, HEARTBEAT_PATH, HeartbeatRequest, HeartbeatResponse

SHORTEST_INTERVAL: Final = 1.0
LONGEST_INTERVAL: Final = 600.0
REFUSED_SECONDS: Final = 30.0
"""Between tries while the platform says no: somebody has to do something first."""

_log = get_logger()

Health = Callable[[], HeartbeatRequest]


class Control:
    """Registers, then beats as often as the platform asks."""

    def __init__(
        self,
        session: Session,
        health: Health,
        *,
        managed: bool = True,
        refused_seconds: float = REFUSED_SECONDS,
    ) -> None:
        self._session = session
        self._managed = managed
        self._health = health
        self._refused_seconds = refused_seconds
        self._stop = threading.Event()
        self._soon = threading.Event()
        self._backoff = Backoff()
        self._interval = 30.0
        self.clock_offset_ms = 0.0
        """Ours minus the platform's, to about a second."""
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def beat_soon(self) -> None:
        """Something changed that the platform should know."""
        if self._session.registered.is_set():
            self._soon.set()

    def turn_now(self) -> None:
        """There is another platform, or another token for it: do not wait out a pause."""
        self._backoff.reset()
        self._soon.set()

    def stop(self, timeout: float) -> None:
        self._stop.set()
        self._soon.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        self._session.resume()
        while not self._stop.is_set():
            self._soon.wait(self._turn())
            self._soon.clear()

    def _turn(self) -> float:
        """One registration or heartbeat; seconds until the next."""
        try:
            self._introduce()
            self._beat()
        except UnreachableError as error:
            _log.warning("platform unreachable; events wait in the spool", reason=str(error))
            return self._backoff.delay()
        except RefusedError as error:
            return self._refused(error)
        except EndpointError as error:
            _log.error("the registration token cannot be read", reason=str(error))
            return self._refused_seconds
        except OSError as error:
            _log.error("identity cannot be saved; free space or check the data folder",
                       reason=str(error))  # fmt: skip
            return self._refused_seconds
        except Exception:  # noqa: BLE001  a fault of ours: the next turn may go well
            _log.exception("heartbeat failed; please report this")
            return self._refused_seconds
        self._backoff.reset()
        return self._interval

    def _introduce(self) -> None:
        """Register, if the platform does not know this agent, or is to know it by another token."""
        if not self._session.registered.is_set():
            self._session.register()
        elif self._session.renewal:
            try:
                self._session.register()
            except RefusedError as error:
                _log.error("the platform refuses the new registration token; the agent goes on "
                           "as who it is", reason=str(error))  # fmt: skip

    def _refused(self, error: RefusedError) -> float:
        answer = error.answer
        if answer.status >= 500 or answer.status == 429:
            _log.warning("platform is not ready", reason=str(error))
            return self._backoff.delay(answer.retry_after)
        _log.error(
            "the platform refuses this agent; events wait in the spool. Check that the "
            "registration token is of the right environment and was not revoked",
            reason=str(error),
        )
        return max(self._refused_seconds, answer.retry_after or 0.0)

    def _beat(self) -> None:
        door = self._session.door
        request = self._health()
        request.clock_offset_ms = self.clock_offset_ms
        answer = door.client.call(
            "POST",
            HEARTBEAT_PATH,
            token=door.token,
            body=msgspec.json.encode(request),
            headers={"Content-Type": "application/json"},
        )
        if answer.status == 401:
            self._session.expire(door.token)
            _log.error("the platform no longer knows this agent's token; registering again",
                       reason=answer.error().message)  # fmt: skip
            self._session.register()
            return
        if answer.status != 200:
            raise RefusedError("heartbeat", answer)
        if door.client is self._session.client:
            self._heed(answer, request.config_digest)

    def _heed(self, answer: Answer, running: str) -> None:
        try:
            response = msgspec.json.decode(answer.body, type=HeartbeatResponse)
        except UNREADABLE as error:
            raise RefusedError(f"heartbeat ({error})", answer) from error
        self._interval = min(max(response.interval_seconds, SHORTEST_INTERVAL), LONGEST_INTERVAL)
        self._session.columnar = COLUMNS_CONTENT_TYPE in response.formats and is_possible()
        self._session.kinds = frozenset({"request", *response.events})
        ahead = seconds_ahead(answer.date) if answer.date else None
        if ahead is not None:
            self.clock_offset_ms = -ahead * 1_000
        if self._managed and response.config_digest != running:
            self._session.fetch_config()
