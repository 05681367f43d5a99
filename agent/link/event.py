"""An exchange as an event. Nothing here reads a header's value, a query or a body."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from agent.capture.source import Connection
from agent.http.headers import text
from agent.link.clock import WallClock
from agent.link.exchange import Exchange
from agent.link.settings import UNKNOWN, About, LinkSettings
from wire.events import Direction, Outcome, RequestEvent

_NO_ID: Final = UUID(int=0)
_NO_TIME: Final = datetime.fromtimestamp(0, UTC)
_NS_IN_US: Final = 1_000
# Members as module names: looking one up on its class costs more than the rest of a call.
_INGRESS: Final = Direction.INGRESS
_INTERNAL: Final = Direction.EGRESS_INTERNAL
_EXTERNAL: Final = Direction.EGRESS_EXTERNAL
_MALFORMED: Final = Outcome.MALFORMED
_NO_RESPONSE: Final = Outcome.NO_RESPONSE
_TRUNCATED: Final = Outcome.TRUNCATED

# msgspec gives every struct this method and does not declare it; ``copy.copy`` costs twice.
_copy: Final[Callable[[RequestEvent], RequestEvent]] = RequestEvent.__copy__  # type: ignore[attr-defined]


@lru_cache(maxsize=4096)
def is_internal(address: str) -> bool:
    """Private, loopback or link-local; an address that cannot be read is not."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return parsed.is_private or parsed.is_loopback or parsed.is_link_local


@lru_cache(maxsize=4096)
def is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def direction_of(connection: Connection, *, server: bool) -> Direction:
    if server:
        return _INGRESS
    return _INTERNAL if is_internal(connection.remote_ip) else _EXTERNAL


def event_template(
    connection: Connection, *, server: bool, settings: LinkSettings, about: About = UNKNOWN
) -> RequestEvent:
    """What all events of a connection share; ``fill_event`` copies it."""
    who = about.who
    local = (_text(connection.local_ip), connection.local_port)
    remote = (_text(connection.remote_ip), connection.remote_port)
    source, destination = (remote, local) if server else (local, remote)
    return RequestEvent(
        timestamp=_NO_TIME,
        request_id=_NO_ID,
        connection_id=uuid7(),
        direction=direction_of(connection, server=server),
        replayed=settings.replayed,
        scheme="https" if connection.tls else "http",
        method="",
        path="",
        tls_probe="openssl" if connection.tls else "",
        source_ip=source[0],
        source_port=source[1],
        destination_ip=destination[0],
        destination_port=destination[1],
        hostname=_text(settings.hostname),
        process_id=connection.pid,
        exe=_text(connection.exe),
        user=_text(connection.user),
        user_id=connection.uid,
        container_id=_text(connection.container_id),
        container_name=_text(who.container_name),
        container_image=_text(who.container_image),
        pod_name=_text(who.pod_name),
        pod_namespace=_text(who.pod_namespace),
        tags=about.tag_lines,
    )


def fill_event(template: RequestEvent, exchange: Exchange, clock: WallClock) -> RequestEvent:
    """The event of a finished exchange, with an id of its own and no object yet."""
    event = _copy(template)
    request = exchange.request_headers
    event.request_id = uuid7()
    event.timestamp = clock.at(exchange.request_began)
    event.method = exchange.method
    event.path = exchange.path
    event.host = exchange.host or event.destination_ip
    event.agent = request.user_agent
    if request.credential is not None:
        (
            event.auth_token_type,
            event.auth_token_source,
            event.auth_token_mask,
            event.auth_token_hash,
        ) = request.credential
    if event.direction is _INGRESS:
        event.bytes_received = exchange.request_size
        event.bytes_sent = exchange.response_size
    else:
        event.bytes_sent = exchange.request_size
        event.bytes_received = exchange.response_size
    if exchange.status:
        event.status = exchange.status
        event.content_type = exchange.response_headers.content_type
        elapsed = exchange.response_ended - exchange.request_began
        event.duration_us = elapsed // _NS_IN_US if elapsed > 0 else 0
    if exchange.broken or not exchange.whole:
        event.outcome = _outcome(exchange)
    return event


def _outcome(exchange: Exchange) -> Outcome:
    if exchange.broken:
        return _MALFORMED
    return _TRUNCATED if exchange.status else _NO_RESPONSE


@lru_cache(maxsize=4096)
def _text(value: str) -> str:
    """Names of the node's own files and users can hold any byte too."""
    return text(value.encode("utf-8", "surrogateescape"))
