"""Looks at the certificates of servers that the node's processes talk to, once a day."""

from __future__ import annotations

import threading
import time
from collections import deque
from datetime import UTC, datetime
from typing import Final, Protocol

from uuid_utils.compat import uuid7

from agent.certificates.handshake import HandshakeError, Shown, shown_by
from agent.certificates.leaf import Leaf, LeafError, printable, read_leaf
from agent.certificates.places import Pace, Place, Places
from agent.counters import Counters
from agent.logs import get_logger
from agent.stores.base import Event
from wire.events import MAX_NAME_BYTES, CertificateEvent, RequestEvent

_OF_EXCHANGE: Final = (
    "connection_id", "direction", "replayed", "destination_ip", "destination_port", "hostname",
    "exe", "container_name", "pod_name", "pod_namespace",
)  # fmt: skip
_log = get_logger()


class CertificatePolicy(Protocol):
    """A configuration at work, as ``agent.config.policy.Policy`` is."""

    @property
    def checks_certificates(self) -> bool:
        """It is asked for, and there is somebody to tell."""
        ...

    def emit(self, event: Event) -> None: ...


class CertificateWatch:
    """``saw``, ``use`` and ``tick`` on the capture thread; handshakes on one of its own, which
    is there only while the configuration asks for it.
    """

    def __init__(
        self, *, counters: Counters, pace: Pace | None = None, roots: str | None = None
    ) -> None:
        """``roots``: a file of certificates to trust instead of the system's."""
        self._pace = pace or Pace()
        self._counters = counters
        self._roots = roots
        self._places = Places(self._pace)
        self._found: deque[CertificateEvent] = deque(maxlen=self._pace.most)
        self._policy: CertificatePolicy | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.active = False

    def use(self, policy: CertificatePolicy) -> None:
        """Another configuration: checks begin, go on, or end with the one under way."""
        self._policy = policy
        self.active = policy.checks_certificates
        if self.active and self._thread is None:
            self._stopped = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._stopped,), name="certificates", daemon=True
            )
            self._thread.start()
        elif not self.active:
            self.stop()

    def stop(self) -> None:
        """Nothing is looked at any more; what was not reported yet is dropped."""
        self.active = False
        self._stopped.set()
        self._thread = None
        self._places.clear()
        self._found.clear()

    def saw(self, event: RequestEvent) -> None:
        """An exchange that the platform is told of."""
        # A recording's hosts are not this node's: nobody here talked to them.
        if not self.active or event.scheme != "https" or event.replayed:
            return
        if not self._places.saw(event, time.monotonic()):
            self._counters.add("certificates.left-out")

    def tick(self) -> None:
        """About every second: what was found meanwhile is told."""
        while self._found and self._policy is not None:
            self._policy.emit(self._found.popleft())
            self._counters.add("certificates.reported")

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.wait(self._pace.gap):
            place = self._places.due(time.monotonic())
            if place is None:
                continue
            event = self._look(place)
            if event is not None and not stopped.is_set():
                self._found.append(event)

    def _look(self, place: Place) -> CertificateEvent | None:
        try:
            shown = shown_by(
                place.ip, place.key.port, place.key.name,
                seconds=self._pace.timeout, roots=self._roots,
            )  # fmt: skip
            return _event(place, shown, read_leaf(shown.der))
        except HandshakeError as error:
            self._counters.add(f"certificates.{error.reason}")
        except LeafError:
            self._counters.add("certificates.unreadable")
        except Exception:  # noqa: BLE001  a fault of ours costs one look at one server
            self._counters.add("certificates.fault")
            _log.exception("a certificate could not be looked at; please report this")
        return None


def _event(place: Place, shown: Shown, leaf: Leaf) -> CertificateEvent:
    name = place.key.name
    if place.key.ingress and not leaf.covers(name):
        # Clients may ask a server for any name: what it has no certificate for is not its name.
        name = ""
    return CertificateEvent(
        **{field: getattr(place.last, field) for field in _OF_EXCHANGE},
        timestamp=datetime.now(UTC),
        check_id=uuid7(),
        host=name or place.ip,
        subject=leaf.subject,
        issuer=leaf.issuer,
        names="\n".join(leaf.names),
        serial=leaf.serial,
        sha256=leaf.sha256,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        verified=not shown.problem,
        problem=printable(shown.problem, MAX_NAME_BYTES),
        tls_version=shown.tls_version,
    )
