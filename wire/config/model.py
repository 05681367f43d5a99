"""The configuration as frozen values: services, tap, tags, control, macros.

The first store of each list is the default one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from wire.config.keys import about
from wire.config.plugins import HttpCapture, Plugin

Direction = Literal["all", "ingress", "egress", "egress-internal", "egress-external"]
Group = Literal["kubernetes", "container", "container-runtimes", "gke", "eks", "qpoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A secret, or where to find it."""

    type: Literal["env", "text"] = field(
        metadata=about("`env`: the name of a variable; `text`: the value itself, to be avoided")
    )
    value: str = field(metadata=about("the variable's name, or the secret"), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    enabled: bool = field(default=False, metadata=about("speak TLS"))
    insecure_skip_verify: bool = field(default=False, metadata=about("accept any certificate"))


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStore:
    """``services.event_stores[]``: where metadata goes."""

    id: str = field(default="", metadata=about("how plugins refer to it; its type when left out"))
    type: Literal["stdout", "pulse", "axiom", "otel", "disabled"] = field(
        metadata=about("`stdout` or `pulse`; `disabled` keeps the entry without using it")
    )
    token: Credential | None = field(default=None, metadata=about("of `pulse`: registration token"))
    url: str = field(default="", metadata=about("of `pulse`: address of the platform"))
    endpoint: str = field(default="", metadata=about("of `pulse`: another name of `url`"))
    allow_insecure: bool = field(
        default=False, metadata=about("of `pulse`: plain HTTP to another machine; for trials")
    )
    ca_file: str = field(
        default="", metadata=about("of `pulse`: certificates that vouch for it", ours=True)
    )
    dataset: object = field(default=None, metadata=about("of `axiom`, which is not supported"))
    protocol: Literal["grpc", "http", "stdout"] | None = field(
        default=None, metadata=about("of `otel`, which is not supported")
    )
    headers: object = field(default=None, metadata=about("of `otel`, which is not supported"))
    service_name: str = field(default="", metadata=about("of `otel`, which is not supported"))
    environment: str = field(default="", metadata=about("of `otel`, which is not supported"))
    tls: Tls | None = field(default=None, metadata=about("of `otel`, which is not supported"))

    @property
    def name(self) -> str:
        return self.id or self.type

    @property
    def address(self) -> str:
        """Of the platform, for ``pulse``."""
        return self.url or self.endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStore:
    """``services.object_stores[]``: where payloads go."""

    id: str = field(default="", metadata=about("how plugins refer to it; its type when left out"))
    type: Literal["stdout", "s3", "qpoint", "otel", "disabled", "directory"] = field(
        metadata=about("`s3`, `directory` or `stdout`; `disabled` keeps the entry unused")
    )
    endpoint: str = field(default="", metadata=about("of `s3`: host and port, no scheme"))
    bucket: str = field(default="", metadata=about("of `s3`"))
    region: str = field(default="", metadata=about("of `s3`"))
    access_url: str = field(
        default="",
        metadata=about(
            "where people find an object: `{{SCHEME}} {{ENDPOINT}} {{BUCKET}} {{DIGEST}}`"
        ),
    )
    insecure: bool = field(default=False, metadata=about("of `s3`: plain HTTP"))
    access_key: Credential | None = field(
        default=None, metadata=about("of `s3`; without it the node's ambient credentials are used")
    )
    secret_key: Credential | None = field(default=None, metadata=about("of `s3`"))
    url: str = field(default="", metadata=about("of `qpoint`, which is not supported"))
    token: Credential | None = field(
        default=None, metadata=about("of `qpoint`, which is not supported")
    )
    session_token: Credential | None = field(
        default=None, metadata=about("of `s3`: beside temporary keys", ours=True)
    )
    ca_file: str = field(
        default="", metadata=about("of `s3`: certificates that vouch for it", ours=True)
    )
    addressing: Literal["auto", "path", "virtual"] = field(
        default="auto", metadata=about("of `s3`: the bucket in the path or in the name", ours=True)
    )
    encryption: Literal["", "AES256", "aws:kms"] = field(
        default="", metadata=about("of `s3`: server-side encryption to ask for", ours=True)
    )
    kms_key_id: str = field(
        default="", metadata=about("of `s3`: key for `encryption: aws:kms`", ours=True)
    )
    path: str = field(default="", metadata=about("of `directory`: where the files go", ours=True))

    @property
    def name(self) -> str:
        return self.id or self.type


@dataclass(frozen=True, slots=True, kw_only=True)
class QscanService:
    """``services.qscan``."""

    type: Literal["client", "stdout", "disabled"] = field(
        metadata=about("`client`: samples go with the events; `stdout`: to standard output")
    )
    url: str = field(default="", metadata=about("not used: samples go to the event store"))
    token: Credential | None = field(default=None, metadata=about("not used, see `url`"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    event_stores: tuple[EventStore, ...] = field(
        default=(), metadata=about("where metadata goes; the first is the default")
    )
    object_stores: tuple[ObjectStore, ...] = field(
        default=(), metadata=about("where payloads go; the first is the default")
    )
    qscan: QscanService | None = field(default=None, metadata=about("what becomes of samples"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    plugins: tuple[Plugin, ...] = field(default=(), metadata=about("in the order they run"))


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTap:
    stack: str = field(default="", metadata=about("name under `stacks`"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomFilter:
    """``tap.filters.custom[]``: a program that is left alone."""

    exe: str = field(metadata=about("path of the program, or what `strategy` makes of it"))
    strategy: Literal["exact", "prefix", "suffix", "contains", "regex"] = field(
        default="exact", metadata=about("how `exe` is compared")
    )
    only: tuple[Literal["data", "dns", "tls", "http"], ...] = field(
        default=(), metadata=about("leave out only this of it; empty: everything")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    groups: tuple[Group, ...] = field(default=(), metadata=about("kinds of programs left alone"))
    custom: tuple[CustomFilter, ...] = field(default=(), metadata=about("programs left alone"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """``tap.endpoints[]``: another stack for one domain."""

    domain: str = field(metadata=about("a host name; `*.example.com`: every name below it"))
    http: HttpTap = field(default=HttpTap(), metadata=about("what happens to its HTTP"))


_NO_TAP: Final = "only HTTP is captured; remove it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tap:
    UNSUPPORTED: ClassVar[Mapping[str, str]] = {
        "redis": _NO_TAP,
        "mysql": _NO_TAP,
        "kafka": _NO_TAP,
        "postgres": _NO_TAP,
    }

    direction: Direction = field(default="all", metadata=about("which connections count"))
    ignore_loopback: bool = field(default=False, metadata=about("leave out 127.0.0.0/8 and ::1"))
    audit_include_dns: bool = field(
        default=False, metadata=about("report DNS lookups: who asks for which names")
    )
    http: HttpTap = field(default=HttpTap(), metadata=about("what happens to HTTP"))
    filters: Filters = field(default=Filters(), metadata=about("programs left alone"))
    endpoints: tuple[Endpoint, ...] = field(default=(), metadata=about("other stacks by domain"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """``tags[]``: a tag and where its value comes from."""

    key: str = field(metadata=about("name of the tag"))
    source: Literal["env", "k8s.label", "k8s.annotation", "container.label"] = field(
        metadata=about("what kind of thing holds the value")
    )
    location: str = field(metadata=about("name of the variable, label or annotation"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRule:
    name: str = field(default="", metadata=about("for logs and counters"))
    expr: str = field(metadata=about("a rule"))
    actions: tuple[Literal["allow", "deny"], ...] = field(
        default=(), metadata=about("the first that stands here decides")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Which exchanges are looked at: the first rule that passes decides."""

    default: Literal["allow", "deny"] = field(
        default="allow", metadata=about("when no rule passes")
    )
    rules: tuple[ControlRule, ...] = field(default=(), metadata=about("in order"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Macro:
    name: str = field(metadata=about("called as `name()`"))
    expr: str = field(metadata=about("a rule"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rulekit:
    macros: tuple[Macro, ...] = field(default=(), metadata=about("rules with a name"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """What no other reader of ``version: 2`` knows, under a name of our own."""

    search_headers: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "headers whose values the platform gets, to search by: `x-request-id`, `traceparent`",
            ours=True,
        ),
    )
    certificates: bool = field(
        default=False,
        metadata=about(
            "look once a day at the certificates of the servers that processes talk HTTPS to",
            ours=True,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole document."""

    version: int = field(default=2, metadata=about("always 2"))
    services: Services = field(default=Services(), metadata=about("stores"))
    stacks: Mapping[str, Stack] = field(
        default_factory=dict, metadata=about("named lists of plugins")
    )
    tap: Tap = field(default=Tap(), metadata=about("which traffic"))
    tags: tuple[Tag, ...] = field(default=(), metadata=about("labels of what is reported"))
    control: Control = field(default=Control(), metadata=about("what is looked at"))
    rulekit: Rulekit = field(default=Rulekit(), metadata=about("macros for rules"))
    qcloud: Ours = field(default=Ours(), metadata=about("keys of QCloud alone", ours=True))

    @property
    def event_store(self) -> EventStore | None:
        """The default: the first one; ``None``: there is none, or it is disabled."""
        stores = self.services.event_stores
        return stores[0] if stores and stores[0].type != "disabled" else None

    @property
    def object_store(self) -> ObjectStore | None:
        """The default: the first one; ``None``: payloads are to be dropped."""
        stores = self.services.object_stores
        return stores[0] if stores and stores[0].type != "disabled" else None

    @property
    def capture(self) -> HttpCapture:
        """``http_capture`` of the stack for HTTP; level ``none`` where it has none."""
        stack = self.stacks.get(self.tap.http.stack, Stack())
        options = [plugin.config for plugin in stack.plugins]
        found = [one for one in options if isinstance(one, HttpCapture)]
        return found[0] if found else HttpCapture(level="none")

    @property
    def stack_names(self) -> tuple[str, ...]:
        """Of the stacks in use: HTTP's, then those of the endpoints."""
        named = [self.tap.http.stack, *(endpoint.http.stack for endpoint in self.tap.endpoints)]
        return tuple(dict.fromkeys(name for name in named if name))
