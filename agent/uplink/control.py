"""The thread that keeps the agent known to the platform: registration, heartbeat, config."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from agent.uplink.backoff import Backoff
from agent.uplink.client import UNREADABLE, Answer, UnreachableError, seconds_ahead
from agent.uplink.columnar import is_possible
from agent.uplink.session import RefusedError, Session
from wire.protocol import COLUMNS_CONTENT_TYPE, HEARTBEAT_PATH, HeartbeatRequest, HeartbeatResponse

SHORTEST_INTERVAL: Final = 1.0
LONGEST_INTERVAL: Final = 600.0
REFUSED_SECONDS: Final = 30.0
"""Between tries while the platform says no: somebody has to do something first."""

_log = structlog.get_logger()

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
        self._soon.set()

    def stop(self, timeout: float) -> None:
        self._stop.set()
        self._soon.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        self._session.resume()
        while not self._stop.is_set():
            pause = self._turn()
            if self._session.registered.is_set():
                self._soon.wait(pause)
                self._soon.clear()
            else:
                self._stop.wait(pause)

    def _turn(self) -> float:
        """One registration or heartbeat; seconds until the next."""
        try:
            if not self._session.registered.is_set():
                self._session.register()
            self._beat()
        except UnreachableError as error:
            _log.warning("platform unreachable; events wait in the spool", reason=str(error))
            return self._backoff.delay()
        except RefusedError as error:
            return self._refused(error)
        except OSError as error:
            _log.error("identity cannot be saved; free space or check the data folder",
                       reason=str(error))  # fmt: skip
            return self._refused_seconds
        except Exception:  # noqa: BLE001  a fault of ours: the next turn may go well
            _log.exception("heartbeat failed; please report this")
            return self._refused_seconds
        self._backoff.reset()
        return self._interval

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
        token = self._session.token
        request = self._health()
        request.clock_offset_ms = self.clock_offset_ms
        answer = self._session.client.call(
            "POST",
            HEARTBEAT_PATH,
            token=token,
            body=msgspec.json.encode(request),
            headers={"Content-Type": "application/json"},
        )
        if answer.status == 401:
            self._session.expire(token)
            _log.error("the platform no longer knows this agent's token; registering again",
                       reason=answer.error().message)  # fmt: skip
            self._session.register()
            return
        if answer.status != 200:
            raise RefusedError("heartbeat", answer)
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
