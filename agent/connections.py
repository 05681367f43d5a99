"""``Connection`` events: when one is seen first, every ten seconds, and when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from agent.link.connection import ConnectionLink
from agent.stores.base import Event
from wire.events import Direction, RequestEvent
from wire.qtap import Address, ConnectionEvent, ContainerRef, Endpoint, Meta, PodRef, System

EVERY_SECONDS: Final = 10.0

_TLS_VERSIONS: Final = {"TLSv1.3": 772, "TLSv1.2": 771, "TLSv1.1": 770, "TLSv1": 769}


class _Reported:
    __slots__ = ("created", "due", "link", "part")

    def __init__(self, link: ConnectionLink, now: float) -> None:
        self.link = link
        self.created = datetime.now(UTC)
        self.due = now + EVERY_SECONDS
        self.part = 0


class ConnectionReporter:
    """``Observer`` of the linker. Silent while no store wants connections."""

    def __init__(self, emit: Callable[[Event], None], *, agent: str, instance: str) -> None:
        self.emit = emit
        self.active = False
        self._about = (agent, instance)
        self._known: dict[int, _Reported] = {}

    def opened(self, link: ConnectionLink) -> None:
        if not self.active:
            return
        known = self._known[id(link)] = _Reported(link, time.monotonic())
        self._report(known, finalized=False)

    def closed(self, link: ConnectionLink) -> None:
        known = self._known.pop(id(link), None)
        if known is not None and self.active:
            self._report(known, finalized=True)

    def tick(self) -> None:
        """About every second."""
        now = time.monotonic()
        for known in self._known.values():
            if known.due <= now and self.active:
                known.due = now + EVERY_SECONDS
                self._report(known, finalized=False)

    def _report(self, known: _Reported, *, finalized: bool) -> None:
        self.emit(self._event(known, finalized=finalized))
        known.part += 1

    def _event(self, known: _Reported, *, finalized: bool) -> ConnectionEvent:
        link = known.link
        event = link.template
        now = datetime.now(UTC)
        ours, theirs = local_endpoint(event), Endpoint(address=address_of(event, local=False))
        ingress = event.direction is Direction.INGRESS
        agent, instance = self._about
        tags = {**link.about.tags, "protocol": ["http1"], "strategy": ["observe"]}
        return ConnectionEvent(
            meta=_meta(link),
            tags=tags,
            finalized=finalized,
            timestamp=now,
            direction=event.direction,
            vendor_id="",
            part=known.part,
            socket_protocol="tcp",
            l7_protocol="http1",
            tls_version=_TLS_VERSIONS.get(event.tls_version, 0),
            system=System(hostname=event.hostname, agent=agent, agent_instance=instance),
            source=theirs if ingress else ours,
            destination=ours if ingress else theirs,
            bytes_received=link.received,
            bytes_sent=link.sent,
            labels=[],
            created_at=known.created,
            closed_at=now if finalized else None,
        )


def _meta(link: ConnectionLink) -> Meta:
    event = link.template
    probes = [event.tls_probe] if event.tls_probe else []
    return Meta(
        connection_id=str(event.connection_id),
        endpoint_id=link.host or event.destination_ip,
        tls_probe_types_detected=probes,
        tls_probe_introspected=bool(probes),
    )


def address_of(event: RequestEvent, *, local: bool) -> Address:
    """Of the node's own side, or of the other one."""
    source = local != (event.direction is Direction.INGRESS)
    ip = event.source_ip if source else event.destination_ip
    port = event.source_port if source else event.destination_port
    return Address(family="ipv6" if ":" in ip else "ipv4", ip=ip, port=port)


def local_endpoint(event: RequestEvent) -> Endpoint:
    """The node's own side, with the process."""
    return Endpoint(
        address=address_of(event, local=True),
        hostname=event.hostname,
        exe=event.exe,
        user=event.user,
        user_id=event.user_id,
        container=_container(event),
    )


def _container(event: RequestEvent) -> ContainerRef | None:
    if not event.container_id:
        return None
    pod = None
    if event.pod_name:
        pod = PodRef(name=event.pod_name, namespace=event.pod_namespace)
    return ContainerRef(
        id=event.container_id, name=event.container_name, image=event.container_image, pod=pod
    )
