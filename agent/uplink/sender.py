"""The thread that delivers batches, oldest first, one at a time.

One at a time means that at most the first batch of the spool can have been sent without
its answer being heard; sending it again is harmless as long as number and bytes stay.
"""

from __future__ import annotations

import threading
from typing import Final

import zstandard

from agent.counters import Counters
from agent.logs import get_logger
from agent.spool.batch import ENCODING, REQUESTS, Batch, compress, decompress
from agent.spool.spool import CorruptBatchError, Spool
from agent.uplink.backoff import Backoff
from agent.uplink.client import Answer, UnreachableError
from agent.uplink.columnar import columns_of
from agent.uplink.session import Door, Session
from wire.protocol import (
    BOOT_HEADER,
    COLUMNS_CONTENT_TYPE,
    EVENTS_CONTENT_TYPE,
    EVENTS_PATH,
    KIND_HEADER,
    SEQUENCE_HEADER,
)

POLL_SECONDS: Final = 0.5
REFUSED_SECONDS: Final = 30.0
_NEVER_TAKEN: Final = frozenset({409, 422})
"""The number is taken by other bytes; the lines are malformed. Repeating changes nothing."""

_log = get_logger()


class Sender:
    """Spool → platform."""

    def __init__(
        self,
        spool: Spool,
        session: Session,
        counters: Counters,
        *,
        refused_seconds: float = REFUSED_SECONDS,
    ) -> None:
        self._spool = spool
        self._session = session
        self._counters = counters
        self._refused_seconds = refused_seconds
        self._backoff = Backoff()
        self._stop = threading.Event()
        self._draining = threading.Event()
        self._hurry = threading.Event()
        self._attempted: Batch | None = None
        self._generation = session.generation
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def drain(self, timeout: float) -> bool:
        """Deliver what is spooled, within ``timeout`` seconds and until the first failure;
        ``False``: some of it stays on disk for the next start.
        """
        self._draining.set()
        self._spool.wake()
        if self._thread.is_alive():
            self._thread.join(timeout)
        self._stop.set()
        return self._spool.waiting[0] == 0

    def hurry(self) -> None:
        """There is another platform, or another way to it: do not wait out a pause."""
        self._hurry.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if not self._turn() and self._draining.is_set():
                    return
            except (OSError, zstandard.ZstdError) as error:
                _log.error("the spool cannot be read or moved; will retry", reason=str(error))
                self._pause(self._refused_seconds)
            except Exception:  # noqa: BLE001  a fault of ours must not wait for a restart
                _log.exception("delivery failed; please report this")
                self._pause(self._refused_seconds)

    def _turn(self) -> bool:
        """Deliver one batch; ``False``: there is none, or nobody to take it."""
        self._spool.expire()
        if not self._session.registered.wait(POLL_SECONDS):
            return False
        batch = self._spool.first(POLL_SECONDS)
        if batch is None:
            return False
        # Only now: while this thread waited the platform may have become another.
        door = self._session.door
        if not door.token:
            return False
        if not self._is_unsafe(batch, door.generation):
            self._pause(self._deliver(batch, door))
        return True

    def _pause(self, seconds: float) -> None:
        if seconds and self._draining.is_set():
            self._stop.set()
        elif seconds:
            # Waking early for a drain: its first failure then ends the thread.
            for _ in range(max(int(seconds / POLL_SECONDS), 1)):
                if self._draining.is_set() or self._stop.wait(min(seconds, POLL_SECONDS)):
                    return
                if self._hurry.is_set():
                    self._hurry.clear()
                    self._backoff.reset()
                    return

    def _is_unsafe(self, batch: Batch, generation: int) -> bool:
        """A batch that may be with the platform under another agent's name would count twice:
        it is set aside.
        """
        if self._generation == generation:
            return False
        self._generation = generation
        if not batch.recovered and batch != self._attempted:
            return False
        _log.warning("a batch may have been delivered under an earlier identity; set aside",
                     sequence=batch.sequence, events=batch.events)  # fmt: skip
        self._spool.set_aside(batch, "identity-changed")
        return True

    def _deliver(self, batch: Batch, door: Door) -> float:
        """Try once; seconds to wait before the next turn."""
        kinds = self._session.kinds
        if batch.kind != REQUESTS and kinds is None:
            return POLL_SECONDS
        if kinds is not None and batch.kind not in kinds:
            _log.warning("the platform does not take this kind of event; set aside",
                         kind=batch.kind, events=batch.events)  # fmt: skip
            self._spool.set_aside(batch, "not-taken")
            return 0.0
        first_try = batch != self._attempted and not batch.recovered
        try:
            body = self._spool.read(batch)
        except CorruptBatchError as error:
            _log.error("a spooled batch is damaged; set aside", reason=str(error))
            self._spool.set_aside(batch, "damaged")
            return 0.0
        self._attempted = batch
        content_type = EVENTS_CONTENT_TYPE
        if self._session.columnar:
            body, content_type = _in_columns(body, batch.kind)
        try:
            answer = door.client.call(
                "POST", EVENTS_PATH, token=door.token, body=body,
                headers=_headers(batch, content_type),
            )  # fmt: skip
        except UnreachableError as error:
            self._counters.add("sends_failed")
            _log.warning("batch not delivered; will retry", reason=str(error),
                         sequence=batch.sequence)  # fmt: skip
            return self._backoff.delay()
        return self._heed(batch, answer, door.token, first_try=first_try)

    def _heed(self, batch: Batch, answer: Answer, token: str, *, first_try: bool) -> float:
        status = answer.status
        if status == 200:
            self._spool.acknowledge(batch)
            self._backoff.reset()
            return 0.0
        self._counters.add("sends_failed")
        error = answer.error()
        note = _log.bind(status=status, code=error.code, reason=error.message, boot=str(batch.boot),
                         sequence=batch.sequence, events=batch.events)  # fmt: skip
        if status == 401:
            if first_try:
                # Who is not known stores nothing: this batch is as good as never sent.
                self._attempted = None
            self._session.expire(token)
            note.error("the platform refuses the agent's token; events wait in the spool")
            return 0.0
        if status == 413:
            self._split(batch, first_try=first_try)
            note.error("batch is too large for the platform or a proxy before it")
            return 0.0
        if status in _NEVER_TAKEN:
            self._spool.set_aside(batch, "rejected")
            note.error("batch refused for good; kept in rejected/", line=error.line)
            return 0.0
        if status >= 500 or status == 429:
            note.warning("platform busy; will retry")
            return self._backoff.delay(answer.retry_after)
        note.error("unexpected answer; is this address the platform's? will retry")
        return max(self._refused_seconds, answer.retry_after or 0.0)

    def _split(self, batch: Batch, *, first_try: bool) -> None:
        """Halves under new numbers; only of a batch that surely nobody has yet."""
        if not first_try or batch.events < 2:
            self._spool.set_aside(batch, "too-large")
            return
        lines = self._spool.retire(batch).splitlines(keepends=True)
        half = len(lines) // 2
        for part in (lines[:half], lines[half:]):
            self._spool.append(b"".join(part), len(part), batch.kind)


def _in_columns(body: bytes, kind: str) -> tuple[bytes, str]:
    """The same events under the same number; lines that cannot be turned stay lines."""
    try:
        return compress(columns_of(decompress(body), kind)), COLUMNS_CONTENT_TYPE
    except ValueError as error:
        _log.warning("a batch is sent as lines", reason=str(error))
        return body, EVENTS_CONTENT_TYPE


def _headers(batch: Batch, content_type: str) -> dict[str, str]:
    kind = {} if batch.kind == REQUESTS else {KIND_HEADER: batch.kind}
    return kind | {
        "Content-Type": content_type,
        "Content-Encoding": ENCODING,
        BOOT_HEADER: str(batch.boot),
        SEQUENCE_HEADER: str(batch.sequence),
    }
