"""Events that plugins make of an exchange, in the shape of ``wire.qtap``."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from agent.plugins.subject import Subject
from wire.events import MAX_NAME_BYTES, MAX_TEXT_BYTES, ArtifactEvent, IssueEvent
from wire.qtap import ArtifactRecord, Issue, RequestRecord

_CATEGORIES: Final = {
    "application/json": "json", "application/problem+json": "json", "text/json": "json",
    "application/xml": "xml", "text/xml": "xml", "text/html": "html", "text/css": "css",
    "application/javascript": "javascript", "text/javascript": "javascript",
    "application/grpc": "grpc", "application/x-www-form-urlencoded": "form",
    "multipart/form-data": "form", "application/pdf": "document", "application/zip": "archive",
    "application/gzip": "archive",
}  # fmt: skip
_FAMILIES: Final = frozenset({"image", "video", "audio", "font", "text"})


@lru_cache(maxsize=1024)
def category(content_type: str) -> str:
    """Kind of content: ``json``, ``html``, ``image`` …; ``other`` for what has no name."""
    if not content_type:
        return ""
    known = _CATEGORIES.get(content_type)
    if known is not None:
        return known
    if content_type.endswith("+json"):
        return "json"
    if content_type.endswith("+xml"):
        return "xml"
    family = content_type.partition("/")[0]
    return family if family in _FAMILIES else "other"


def request_record(subject: Subject) -> RequestRecord:
    event = subject.event
    return RequestRecord(
        **_meta(subject),
        timestamp=event.timestamp,
        direction=event.direction,
        url=subject.plain_url,
        path=event.path,
        method=event.method,
        status=event.status,
        duration=max(event.duration_us // 1000, 1),
        content_type=event.content_type,
        category=category(event.content_type),
        agent=event.agent,
        bytes_sent=event.bytes_sent,
        bytes_received=event.bytes_received,
        auth_token_mask=event.auth_token_mask,
        auth_token_hash=event.auth_token_hash,
        auth_token_source=event.auth_token_source,
        auth_token_type=event.auth_token_type,
    )


def issue(subject: Subject, error: str, conditions: list[str], reasons: list[str]) -> Issue:
    """``conditions`` without the plugin's name, ``reasons`` in words."""
    event = subject.event
    return Issue(
        **_meta(subject),
        timestamp=event.timestamp,
        direction=event.direction,
        error=error,
        url=subject.plain_url,
        path=event.path,
        method=event.method,
        status=event.status,
        trigger_conditions=[f"detect_errors:{condition}" for condition in conditions],
        trigger_reasons=reasons,
    )


def issue_event(
    subject: Subject, rule: str, conditions: list[str], reasons: list[str]
) -> IssueEvent:
    """The same for the platform."""
    event = subject.event
    return IssueEvent(
        **_shared(subject),
        timestamp=event.timestamp,
        rule=_cut(rule, MAX_NAME_BYTES),
        conditions=_cut("\n".join(conditions), MAX_TEXT_BYTES),
        reasons=_cut("\n".join(reasons), MAX_TEXT_BYTES),
        protocol=event.protocol,
        duration_us=event.duration_us,
        container_name=event.container_name,
        pod_name=event.pod_name,
        pod_namespace=event.pod_namespace,
    )


def artifact_event(
    subject: Subject, kind: str, digest: str, url: str, size: int, **order: Any
) -> ArtifactEvent:
    """An object for the platform; ``order``: what the scanner is to do with it."""
    return ArtifactEvent(
        **_shared(subject),
        timestamp=datetime.now(UTC),
        artifact_type=kind,
        digest=digest,
        size_bytes=size,
        url=url if len(url) <= 2 * MAX_NAME_BYTES else "",
        content_type=subject.event.content_type,
        **order,
    )


def _shared(subject: Subject) -> dict[str, Any]:
    event = subject.event
    return {
        "request_id": event.request_id,
        "connection_id": event.connection_id,
        "direction": event.direction,
        "replayed": event.replayed,
        "scheme": event.scheme,
        "method": event.method,
        "host": event.host,
        "path": event.path,
        "status": event.status,
        "exe": event.exe,
        "hostname": event.hostname,
    }


def _cut(text: str, limit: int) -> str:
    """At most ``limit`` bytes of UTF-8, never half a character."""
    data = text.encode("utf-8", "replace")
    return data[:limit].decode("utf-8", "ignore")


def artifact(
    subject: Subject, kind: str, digest: str, url: str, about: dict[str, str | int | bool]
) -> ArtifactRecord:
    return ArtifactRecord(
        **_meta(subject),
        timestamp=datetime.now(UTC),
        type=kind,
        digest=digest,
        url=url,
        summary=about,
    )


def summary(subject: Subject) -> dict[str, str | int | bool]:
    """What can be told of an exchange beside its object: nothing of payload."""
    event = subject.event
    return {
        "request_method": event.method,
        "request_host": event.host,
        "request_path": event.path,
        "response_status": event.status,
        "response_content_type": event.content_type,
        "duration_ms": event.duration_us // 1000,
        "direction": event.direction.value,
        "process_exe": event.exe,
        "protocol": event.protocol,
    }


def _meta(subject: Subject) -> dict[str, Any]:
    event = subject.event
    probes = [event.tls_probe] if event.tls_probe else []
    return {
        "connection_id": str(event.connection_id),
        "endpoint_id": event.host,
        "request_id": str(event.request_id),
        "tls_probe_types_detected": probes,
        "tls_probe_introspected": bool(probes),
    }
