"""The plugins of a stack, and their options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from wire.config.keys import Seconds, about

Level = Literal["none", "summary", "headers", "full"]
_OLD_LEVELS: Final = {"details": "headers"}
_LEVEL: Final = about(
    "how much becomes an object: nothing, its metadata, headers too, bodies too",
    spellings=_OLD_LEVELS,
)
Mode = Literal["none", "summary", "details", "full"]
_OLD_MODES: Final = {"headers": "details"}

MonitorType = Literal[
    "CREDIT_CARD", "US_SSN", "EMAIL_ADDRESS", "PHONE_NUMBER", "US_BANK_NUMBER",
    "US_DRIVER_LICENSE", "PERSON", "LOCATION", "IP_ADDRESS", "IBAN_CODE",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRule:
    name: str = field(default="", metadata=about("for logs and counters"))
    expr: str = field(metadata=about("a rule"))
    level: Level = field(default="full", metadata=_LEVEL)
    format: Literal["json", "text"] | None = field(
        default=None, metadata=about("instead of the plugin's")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCapture:
    """Exchanges become objects."""

    TYPE: ClassVar[str] = "http_capture"

    level: Level = field(default="summary", metadata=_LEVEL)
    format: Literal["json", "text"] = field(
        default="json", metadata=about("how a `stdout` object store prints it")
    )
    rules: tuple[CaptureRule, ...] = field(
        default=(), metadata=about("other levels; the first rule that passes decides")
    )
    object_store_id: str = field(
        default="", metadata=about("instead of the default object store", ours=True)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLogRule:
    name: str = field(default="", metadata=about("for logs and counters"))
    expr: str = field(metadata=about("a rule"))
    mode: Mode = field(default="full", metadata=about("how much", spellings=_OLD_MODES))


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLogs:
    """Exchanges are printed on standard output."""

    TYPE: ClassVar[str] = "access_logs"

    mode: Mode = field(
        default="summary", metadata=about("how much is printed", spellings=_OLD_MODES)
    )
    format: Literal["json", "console"] = field(default="console", metadata=about("how"))
    rules: tuple[AccessLogRule, ...] = field(
        default=(), metadata=about("other modes; the first rule that passes decides")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportUsage:
    """Each exchange is a `Request` event."""

    TYPE: ClassVar[str] = "report_usage"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpMetrics:
    """Counters and histograms for `/metrics`."""

    TYPE: ClassVar[str] = "http_metrics"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRule:
    """One kind of error. Any of its triggers makes it hold; the filters narrow it."""

    name: str = field(metadata=about("what the issue is called"))
    trigger_status_codes: tuple[str, ...] = field(
        default=(), metadata=about("`404`, `5xx`, `500-504`")
    )
    trigger_empty_body: bool = field(default=False, metadata=about("the response has no body"))
    trigger_duration: Seconds | None = field(
        default=None, metadata=about("took at least so long; milliseconds", unit=0.001, low=0)
    )
    trigger_contains: tuple[str, ...] = field(
        default=(), metadata=about("one of these texts stands in the response's body")
    )
    only_categories: tuple[str, ...] = field(
        default=(), metadata=about("kinds of content: `json`, `html`, `image` …")
    )
    only_urls: tuple[str, ...] = field(
        default=(), metadata=about("only addresses that contain one of these, or match `/regex/`")
    )
    exclude_urls: tuple[str, ...] = field(
        default=(), metadata=about("no address that contains one of these, or matches")
    )
    with_tags: tuple[str, ...] = field(
        default=(), metadata=about("only where all of these tags are: `key` or `key:value`")
    )
    report_as_issue: bool = field(default=False, metadata=about("report an `Issue` event"))
    continue_: bool = field(
        default=False, metadata=about("look at the rules behind as well", name="continue")
    )
    record_req_headers: bool = field(default=False, metadata=about("keep the request's headers"))
    record_req_body: bool = field(default=False, metadata=about("keep the request's body"))
    record_res_headers: bool = field(default=False, metadata=about("keep the response's headers"))
    record_res_body: bool = field(default=False, metadata=about("keep the response's body"))


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectErrors:
    """Failing exchanges become issues, and what was asked for of them objects."""

    TYPE: ClassVar[str] = "detect_errors"

    rules: tuple[ErrorRule, ...] = field(default=(), metadata=about("the first that holds counts"))
    object_store_id: str = field(
        default="", metadata=about("instead of the default object store", ours=True)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    type: MonitorType = field(metadata=about("what is looked for"))
    record_value: bool = field(default=False, metadata=about("keep a hash of what was found"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Qscan:
    """Samples exchanges for the scanner."""

    TYPE: ClassVar[str] = "qscan"

    sample_baseline: int = field(
        default=100, metadata=about("all of the first so many of an endpoint", low=0)
    )
    sample_rate: float = field(
        default=0.1, metadata=about("then this part of them", low=0.0, high=1.0)
    )
    cache_ttl: Seconds = field(
        default=Seconds(86_400.0), metadata=about("an endpoint unseen for so long is new", low=0)
    )
    cache_size: int = field(
        default=4096, metadata=about("endpoints that are remembered", low=1, high=1_000_000)
    )
    record_document: bool = field(default=False, metadata=about("the scanner keeps the document"))
    verbose: bool = field(default=False, metadata=about("log each sample"))
    object_store_id: str = field(
        default="", metadata=about("where samples go, instead of the default object store")
    )
    monitors: tuple[Monitor, ...] = field(default=(), metadata=about("what is looked for"))


Options = HttpCapture | AccessLogs | ReportUsage | HttpMetrics | DetectErrors | Qscan


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """``stacks.<name>.plugins[]``. ``config`` is of the class that ``type`` names."""

    type: str = field(metadata=about("which plugin"))
    config: Options = field(metadata=about("its options"))


PLUGINS: Final[Mapping[str, type[Options]]] = {
    options.TYPE: options
    for options in (HttpCapture, AccessLogs, ReportUsage, HttpMetrics, DetectErrors, Qscan)
}

UNSUPPORTED_PLUGINS: Final[Mapping[str, str]] = {
    "data_loss_protection": "use qscan with monitors to find data, and http_capture rules to "
    "choose what is kept",
    "debug": "use access_logs",
}
