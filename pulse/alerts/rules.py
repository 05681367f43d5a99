"""What a rule may say, and what is wrong with what somebody typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import timedelta
from typing import Any, Final, Self
from uuid import UUID

from pulse.alerts.machine import Missing, Times
from pulse.store.filters import DIRECTIONS, STATUS_CLASSES, TrafficFilter
from qcloud.kernel.errors import Invalid
from qcloud.kernel.permissions import Permission
from qcloud.kernel.scope import Tier


@dataclass(frozen=True, slots=True)
class Measure:
    key: str
    label: str
    unit: str
    source: str
    """``traffic``, ``issues``, ``vendors``, ``certificates``, ``fleet``, ``security`` or
    ``usage``."""
    can_be_missing: bool = False
    """Without a request it has no value; the others are zero then."""
    past: bool = True
    """Whether it can be computed for the past, as a preview needs."""
    whole: bool = False
    """Of the whole account: it has no environments."""
    window: bool = True
    """Whether the rule's window says anything of it."""


MEASURES: Final[dict[str, Measure]] = {
    m.key: m
    for m in (
        Measure("requests", "Requests", "per minute", "traffic"),
        Measure("error_rate", "Error rate (5xx or no answer)", "%", "traffic", can_be_missing=True),
        Measure("p95", "Latency p95", "ms", "traffic", can_be_missing=True),
        Measure("p99", "Latency p99", "ms", "traffic", can_be_missing=True),
        Measure("throughput", "Throughput", "kB per minute", "traffic"),
        Measure("issues", "New or regressed issues", "issues", "issues"),
        Measure("issues_regressed", "Regressed issues", "issues", "issues"),
        Measure("vendors", "New third parties", "third parties", "vendors"),
        Measure(
            "vendors_refused",
            "Third parties in use that are not approved",
            "third parties",
            "vendors",
            past=False,
        ),
        Measure(
            "certificate_days",
            "Days until a certificate expires",
            "days",
            "certificates",
            can_be_missing=True,
            window=False,
        ),
        Measure("silent_agents", "Silent agents", "agents", "fleet", past=False),
        Measure("sign_in_anomalies", "Odd sign-ins", "sign-ins", "security", whole=True),
        Measure("sign_in_failures", "Failed sign-ins", "sign-ins", "security", whole=True),
        Measure("sign_in_locks", "Locked names", "locks", "security", whole=True),
        Measure("break_glass", "Break-glass sign-ins", "sign-ins", "security", whole=True),
        Measure(
            "usage_day",
            "Requests since midnight UTC",
            "requests",
            "usage",
            whole=True,
            window=False,
        ),
        Measure(
            "quota_events",
            "Part of the day's events quota",
            "%",
            "usage",
            can_be_missing=True,
            whole=True,
            window=False,
        ),
    )
}


def permission_of(measure: str) -> Permission | None:
    """What somebody must be allowed to read to have it measured; ``None``: no more than alerts."""
    found = MEASURES.get(measure)
    return Permission.AUDIT_ACCESS_READ if found and found.source == "security" else None


def measures_of(tier: Tier) -> list[Measure]:
    """What an account of this tier can watch: traffic is the customer's alone."""
    own = tier is Tier.CUSTOMER
    return [m for m in MEASURES.values() if own or m.source == "security"]


FILTERS: Final = tuple(
    name
    for name in ("host", "path_prefix", "route", "method", "status_class", "process", "direction",
                 "vendor", "node", "container", "pod", "tag")
    if name in {f.name for f in fields(TrafficFilter)}
)  # fmt: skip
_LONGEST_FILTER: Final = 1_024
_DAY: Final = 1_440


@dataclass(frozen=True, slots=True)
class Spec:
    """Minutes are whole; ``threshold`` is in the measure's unit."""

    measure: str
    above: bool
    """It holds when the value is above the threshold, or else below it."""
    threshold: float
    window: int = 5
    for_minutes: int = 0
    repeat: int = 0
    escalate: int = 0
    missing: str = Missing.IGNORE
    filters: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wrong = dict(self._wrong())
        if wrong:
            raise Invalid("The rule cannot be used as it is.", fields=wrong)

    def _wrong(self) -> Any:
        if self.measure not in MEASURES:
            yield "measure", "Choose what is measured."
        if not 0 <= self.threshold <= 1e15:
            yield "threshold", "A number from 0 on."
        for name, value, low, high, words in (
            ("window", self.window, 1, _DAY, "1 to 1,440 minutes."),
            ("for_minutes", self.for_minutes, 0, _DAY, "0 to 1,440 minutes."),
            ("repeat", self.repeat, 5, 7 * _DAY, "0 for never, or 5 to 10,080 minutes."),
            ("escalate", self.escalate, 1, 7 * _DAY, "0 for never, or up to 10,080 minutes."),
        ):
            never = value == 0 and name in {"repeat", "escalate"}
            if not never and not low <= value <= high:
                yield name, words
        if self.missing not in list(Missing):
            yield "missing", "Choose what no data means."
        yield from self._wrong_filters()

    def _wrong_filters(self) -> Any:
        for name, value in self.filters.items():
            if name not in FILTERS or len(value) > _LONGEST_FILTER or "\0" in value:
                yield name, "At most 1,024 characters."
        for name, allowed in (("direction", DIRECTIONS), ("status_class", STATUS_CLASSES)):
            if self.filters.get(name) and self.filters[name] not in allowed:
                yield name, f"One of {', '.join(allowed)}."

    @property
    def times(self) -> Times:
        minute = timedelta(minutes=1)
        return Times(
            self.for_minutes * minute,
            self.repeat * minute,
            self.escalate * minute,
            Missing(self.missing),
        )

    @property
    def sentence(self) -> str:
        """What the rule says, for people."""
        measure = MEASURES[self.measure]
        where = ", ".join(
            f"{name.replace('_', ' ')} {value}" for name, value in self.filters.items()
        )
        over = f" over {self.window} min" if measure.window else ""
        held = f" for {self.for_minutes} min" if self.for_minutes else ""
        return (
            f"{measure.label} {'above' if self.above else 'below'} {self.threshold:g}"
            f" {measure.unit}{over}{held}{f', {where}' if where else ''}"
        )

    def bad(self, value: float) -> bool:
        return value > self.threshold if self.above else value < self.threshold

    def dump(self) -> dict[str, Any]:
        return asdict(self) | {"filters": dict(self.filters)}

    @classmethod
    def load(cls, kept: Mapping[str, Any]) -> Self:
        """Raises ``Invalid``."""
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in kept.items() if name in known})


@dataclass(frozen=True, slots=True)
class Draft:
    """A rule as somebody typed it."""

    name: str
    severity: str
    spec: Spec
    environment_id: UUID | None = None
    """``None``: all that the account has."""
    channels: tuple[UUID, ...] = ()
    escalation_channels: tuple[UUID, ...] = ()

    def __post_init__(self) -> None:
        """Raises ``Invalid``."""
        measure = MEASURES[self.spec.measure]
        if measure.whole and self.environment_id:
            words = f"“{measure.label}” is of the whole account: choose all environments."
            raise Invalid("The rule cannot be used as it is.", fields={"environment": words})
        if self.spec.filters and measure.source != "traffic":
            # It would look narrowed and watch everything.
            words = f"“{measure.label}” cannot be narrowed by this: leave it empty."
            fields = dict.fromkeys(self.spec.filters, words)
            raise Invalid("The rule cannot be used as it is.", fields=fields)
