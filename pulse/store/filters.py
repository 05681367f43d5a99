"""What part of the traffic somebody looks at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from qcloud.kernel.errors import Invalid
from qcloud.kernel.scope import Scope

DIRECTIONS: Final = ("ingress", "egress-internal", "egress-external")
STATUS_CLASSES: Final = ("2xx", "3xx", "4xx", "5xx", "none")


@dataclass(frozen=True)
class TrafficFilter:
    """Events of ``[since, until)`` that match every field that is given.

    A filter only narrows: whose events they are comes from the scope.
    """

    since: datetime
    until: datetime
    environments: tuple[UUID, ...] = ()
    """Empty: all of the account."""
    host: str = ""
    path: str = ""
    path_prefix: str = ""
    method: str = ""
    status: int | None = None
    """0: no response was seen."""
    status_class: str = ""
    """One of ``STATUS_CLASSES``; ``none``: no response was seen."""
    process: str = ""
    """The executable's path."""
    direction: str = ""
    """One of ``DIRECTIONS``."""
    vendor: str = ""
    route: str = ""
    """A template of paths: ``/users/{id}``."""
    node: str = ""
    """The host that the agent runs on."""
    container: str = ""
    pod: str = ""
    """``namespace/name``."""
    tag: str = ""
    """``key:value``, or a key alone: whatever its value."""
    header: str = ""
    """``name: value``, or a value alone; of those headers that agents were told to send."""
    digest: str = ""
    """Of the object that keeps the payload."""
    kept: bool = False
    """Only requests whose payload was kept."""
    query: str = ""
    """Part of host or path, or a whole request id; case does not matter."""

    def __post_init__(self) -> None:
        for name, allowed in (("direction", DIRECTIONS), ("status_class", STATUS_CLASSES)):
            value = getattr(self, name)
            if value and value not in allowed:
                raise Invalid(f"{name} must be one of {', '.join(allowed)}", fields={name: value})
        if self.until <= self.since:
            raise Invalid("the end of the range must come after its beginning")


_CLASSES: Final = {"none": 0, "2xx": 2, "3xx": 3, "4xx": 4, "5xx": 5}


def conditions(
    scope: Scope, chosen: TrafficFilter, *, moments: bool = True
) -> tuple[str, dict[str, Any]]:
    """The WHERE clause of the filter, and its parameters; ``moments``: with the range of time.

    The account stands in it for the sake of the key; what keeps tenants apart is the gate.
    """
    parameters: dict[str, Any] = {
        "account": scope.account_id,
        "since": micros(chosen.since),
        "until": micros(chosen.until),
    }
    parts = ["account_id = {account:UUID}"]
    if moments:
        parts += _RANGE
    for name, condition in _NARROWING.items():
        value = getattr(chosen, name)
        # Not by equality alone: a status of 0 equals False and is asked for.
        if value is not False and value not in ("", None, ()):
            parts.append(condition)
            parameters[name] = _parameter(name, value)
    return " AND ".join(parts), parameters


_RANGE: Final = (
    "timestamp >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')",
    "timestamp < fromUnixTimestamp64Micro({until:Int64}, 'UTC')",
)
_NARROWING: Final = {
    "environments": "environment_id IN {environments:Array(UUID)}",
    "host": "host = {host:String}",
    "path": "path = {path:String}",
    "path_prefix": "startsWith(path, {path_prefix:String})",
    "method": "method = {method:String}",
    "status": "status = {status:UInt16}",
    "status_class": "intDiv(status, 100) = {status_class:UInt16}",
    "process": "exe = {process:String}",
    "direction": "direction = {direction:String}",
    "vendor": "vendor = {vendor:String}",
    "route": "route = {route:String}",
    "node": "hostname = {node:String}",
    "container": "container_name = {container:String}",
    "pod": "if(pod_name = '', '', concat(pod_namespace, '/', pod_name)) = {pod:String}",
    "tag": (
        "if(position({tag:String}, ':') > 0, has(splitByChar('\\n', tags), {tag:String}),"
        " arrayExists(t -> startsWith(t, concat({tag:String}, ':')), splitByChar('\\n', tags)))"
    ),
    "header": (
        "position(headers, {header:String}) > 0 AND arrayExists(h -> h = {header:String}"
        " OR endsWith(h, concat(': ', {header:String})), splitByChar('\\n', headers))"
    ),
    "digest": "object_digest = {digest:String}",
    "kept": "object_digest != '' AND {kept:Bool}",
    "query": (
        "(positionCaseInsensitiveUTF8(path, {query:String}) > 0"
        " OR positionCaseInsensitiveUTF8(host, {query:String}) > 0"
        " OR toString(request_id) = lower({query:String}))"
    ),
}


def _parameter(name: str, value: Any) -> Any:
    if name == "status_class":
        return _CLASSES[value]
    if name == "header" and ":" in value:
        header, _, text = value.partition(":")
        return f"{header.strip().lower()}: {text.strip()}"
    return list(value) if isinstance(value, tuple) else value


def micros(moment: datetime) -> int:
    """Microseconds since 1970, exactly: ``timestamp()`` is a float and is not."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment_of(value: int) -> datetime:
    """The inverse of ``micros``."""
    return _EPOCH + timedelta(microseconds=value)


_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
