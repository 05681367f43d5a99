"""The names that rules use, in all three generations.

``http.req.host``, ``request.host`` and ``req.host`` are one field; the first spelling is
canonical. Names of headers are lower case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "http.req.method": "text",
        "http.req.path": "text",
        "http.req.host": "text",
        "http.req.url": "text",
        "http.req.user_agent": "text",
        "http.req.content_type": "text",
        "http.req.headers": "map",
        "http.res.status": "number",
        "http.res.content_type": "text",
        "http.res.duration_ms": "number",
        "http.res.headers": "map",
        "dns.name": "text",
        "dns.type": "text",
        "dns.rcode": "text",
        "protocol": "text",
        "direction": "text",
        "tags": "map",
        "tls": "truth",
        "src.ip": "text",
        "src.port": "number",
        "src.process.path": "text",
        "src.process.binary": "text",
        "src.process.hostname": "text",
        "src.process.pid": "number",
        "src.process.user.id": "number",
        "src.process.user.name": "text",
        "src.process.env": "map",
        "src.container.id": "text",
        "src.container.name": "text",
        "src.container.image": "text",
        "src.container.labels": "map",
        "src.pod.name": "text",
        "src.pod.namespace": "text",
        "src.pod.labels": "map",
        "src.pod.annotations": "map",
        "dst.ip": "text",
        "dst.port": "number",
        "dst.domain": "text",
    }
)
"""Canonical name → kind of value. Below a ``map`` any name may stand."""

MAPS: Final = tuple(name for name, kind in FIELDS.items() if kind == "map")

_OLDER: Final = {
    "request": "http.req",
    "response": "http.res",
    "req": "http.req",
    "res": "http.res",
    "http.request": "http.req",
    "http.response": "http.res",
    "container": "src.container",
    "pod": "src.pod",
    "process": "src.process",
}
_LOWER: Final = ("http.req.headers.", "http.res.headers.")
_OTHER_NAMES: Final = {"src.container": "src.container.id", "src.pod": "src.pod.name"}


def canonical(path: str) -> str:
    """The first generation's name of a field; an unknown name as it is."""
    for words in (2, 1):
        parts = path.split(".", words)
        head = ".".join(parts[:words])
        if len(parts) > words and head in _OLDER:
            path = f"{_OLDER[head]}.{parts[words]}"
            break
    for prefix in _LOWER:
        if path.lower().startswith(prefix):
            return prefix + path[len(prefix) :].lower()
    return _OTHER_NAMES.get(path, path)


def is_known(path: str) -> bool:
    """Whether a canonical name can ever have a value."""
    return path in FIELDS or any(path.startswith(f"{name}.") for name in MAPS)


def split_map(path: str) -> tuple[str, str]:
    """``tags.env`` → (``tags``, ``env``); a path in no map: (path, empty)."""
    for name in MAPS:
        if path.startswith(f"{name}."):
            return name, path[len(name) + 1 :]
    return path, ""


def needs_headers(paths: Iterable[str]) -> bool:
    """Whether rules over these fields have to see header lines or the query."""
    return any(path.startswith(_LOWER) or path in _WITH_HEADS for path in paths)


_WITH_HEADS: Final = frozenset({"http.req.headers", "http.res.headers", "http.req.url"})
