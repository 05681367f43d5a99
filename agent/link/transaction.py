"""An exchange as a payload object, for the customer's own store."""

from __future__ import annotations

from typing import Final

from agent.http.headers import header_pairs
from agent.link.exchange import Exchange
from wire.config.plugins import Level
from wire.events import RequestEvent
from wire.objects import (
    HttpTransaction,
    TransactionMetadata,
    TransactionRequest,
    TransactionResponse,
)

_NS_IN_MS: Final = 1_000_000


def transaction_of(
    exchange: Exchange, event: RequestEvent, level: Level = "full"
) -> HttpTransaction:
    """The object that ``event`` will name, with as much as ``level`` says and was kept."""
    return HttpTransaction(
        metadata=_metadata(event),
        request=_request(exchange, event, level),
        response=_response(exchange, event, level) if exchange.status else None,
        transaction_time=event.timestamp.isoformat().replace("+00:00", "Z"),
        duration_ms=max(exchange.response_ended - exchange.request_began, 0) / _NS_IN_MS,
        direction=event.direction,
    )


def _metadata(event: RequestEvent) -> TransactionMetadata:
    return TransactionMetadata(
        process_id=event.process_id,
        process_exe=event.exe,
        container_name=event.container_name,
        container_image=event.container_image,
        pod_name=event.pod_name,
        pod_namespace=event.pod_namespace,
        bytes_sent=event.bytes_sent,
        bytes_received=event.bytes_received,
        request_id=str(event.request_id),
        connection_id=str(event.connection_id),
        endpoint_id=event.host,
    )


def _request(exchange: Exchange, event: RequestEvent, level: Level) -> TransactionRequest:
    target = exchange.target.decode("latin-1") if level != "summary" else ""
    target = target or event.path
    url = f"{event.scheme}://{event.host}{target}" if target.startswith("/") else target
    return TransactionRequest(
        method=exchange.method,
        url=url,
        scheme=event.scheme,
        path=event.path,
        authority=event.host,
        protocol=event.protocol,
        request_id=str(event.request_id),
        user_agent=event.agent,
        content_type=exchange.request_headers.content_type,
        headers=_headers(exchange.request_head, level),
        body=bytes(exchange.request_body or b"") if level == "full" else b"",
        body_truncated=level == "full" and exchange.request_body_cut,
    )


def _response(exchange: Exchange, event: RequestEvent, level: Level) -> TransactionResponse:
    return TransactionResponse(
        status=exchange.status,
        content_type=event.content_type,
        headers=_headers(exchange.response_head, level),
        body=bytes(exchange.response_body or b"") if level == "full" else b"",
        body_truncated=level == "full" and exchange.response_body_cut,
    )


def _headers(head: bytes, level: Level) -> list[tuple[str, str]]:
    if not head or level == "summary":
        return []
    return header_pairs(head[head.find(b"\n") + 1 :])
