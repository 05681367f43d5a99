"""Rules: a list, and a form that shows what the rule would have done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render

from fleet.selectors import environments
from notify.channels import channels
from portal.door import action, page
from portal.here import Here
from portal.kit import alerting
from portal.kit.charts import Chart, Series
from portal.kit.forms import Done, Failure, attempt
from portal.kit.tables import Cell, Choice, Column, TableSpec, fetch_from, table
from portal.kit.traffic import DIRECTIONS, METHODS, STATUSES
from pulse.alerts.preview import Preview, preview
from pulse.alerts.rules import FILTERS, MEASURES, Draft, Spec, measures_of, permission_of
from pulse.alerts.selectors import RuleInfo, rule, rules
from pulse.alerts.services import rule_change, rule_create, rule_remove, rule_switch
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Invalid, NotFound
from qcloud.kernel.permissions import Permission, require
from qcloud.kernel.scope import Tier

_MISSING: Final = (
    ("ignore", "As if all were well"), ("keep", "Stay as it was"), ("alert", "An alert of its own"),
)  # fmt: skip
_ANY: Final = (("", "any"),)
TEMPLATES: Final[dict[str, dict[str, str]]] = {
    "errors": {"name": "Error rate", "measure": "error_rate", "above": "1", "threshold": "5",
               "window": "5", "for_minutes": "5", "repeat": "240", "severity": "critical"},
    "latency": {"name": "Slow answers", "measure": "p95", "above": "1", "threshold": "1000",
                "window": "10", "for_minutes": "10", "severity": "warning"},
    "locks": {"name": "Locked names", "measure": "sign_in_locks", "above": "1", "threshold": "0",
              "window": "60", "severity": "warning"},
    "odd": {"name": "Odd sign-ins", "measure": "sign_in_anomalies", "above": "1", "threshold": "0",
            "window": "60", "severity": "critical"},
    "quiet": {"name": "No traffic", "measure": "requests", "above": "0", "threshold": "1",
              "window": "10", "for_minutes": "5", "severity": "warning"},
}  # fmt: skip
"""Where most people begin."""
_PLAIN: Final = {"measure": "error_rate", "above": "1", "threshold": "5", "window": "5",
                 "for_minutes": "0", "repeat": "0", "escalate": "0", "missing": "ignore",
                 "severity": "warning"}  # fmt: skip


def _state(row: RuleInfo) -> str:
    return row.phase if row.enabled else "off"


def _spec(here: Here, names: dict[UUID, str]) -> TableSpec[RuleInfo]:
    return TableSpec(
        name="rules",
        noun="rules",
        sort="name",
        choices=(Choice("severity", "Severity", alerting.SEVERITIES),),
        columns=(
            Column("name", "Rule", lambda r: r.name,
                   lambda r: Cell(r.name, href=here.url("alert-rule", r.id), sub=r.spec.sentence)),
            Column("state", "State", _state, lambda r: alerting.state(_state(r))),
            Column("severity", "Severity", lambda r: r.severity,
                   lambda r: alerting.severity(r.severity)),
            Column("environment", "Environment",
                   lambda r: names.get(r.environment_id, "") if r.environment_id else "all"),
            Column("value", "Now", lambda r: r.value, lambda r: Cell(
                alerting.number(r.value, MEASURES[r.spec.measure].unit)), number=True),
            Column("channels", "Channels", lambda r: len(r.channels), number=True),
            Column("evaluated", "Judged up to", lambda r: r.evaluated_at,
                   lambda r: Cell("", time=r.evaluated_at, sub=r.trouble)),
        ),
    )  # fmt: skip


@page(Permission.PULSE_ALERT_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    names = {place.id: place.name for place in environments(here.scope)}
    spec = _spec(here, names)
    fetch = fetch_from(rules(here.scope), spec, severity=lambda r, value: r.severity == value)
    shown = table(request, spec, fetch)
    if isinstance(shown, HttpResponseBase):
        return shown
    context = {
        "table": shown,
        "tabs": alerting.tabs(here, "alert-rules"),
        "may_write": here.may_write(Permission.PULSE_ALERT_WRITE),
    }
    return render(request, "pages/alert_rules.html", context)


@page(Permission.PULSE_ALERT_WRITE, post=Permission.PULSE_ALERT_WRITE)
def create(request: HttpRequest, here: Here) -> HttpResponseBase:
    """A new rule; with ``preview`` only what it would have done."""
    start = _PLAIN | TEMPLATES.get(request.GET.get("template", ""), {})
    if here.scope.tier is not Tier.CUSTOMER and not start["measure"].startswith("sign_in_"):
        # An account that sells has no traffic of its own.
        start = _PLAIN | TEMPLATES["odd"] | {"name": ""}
    names = {*FILTERS, "environment"}
    if not _may_measure(here, start["measure"]):
        start = _PLAIN
    known = {name: request.GET.get(name, "") for name in names if name in request.GET}
    return _form(request, here, None, start | known, _made(request, here, None))


@page(Permission.PULSE_ALERT_READ, post=Permission.PULSE_ALERT_WRITE)
def detail(request: HttpRequest, here: Here, rule_id: UUID) -> HttpResponseBase:
    found = rule(here.scope, rule_id)
    if found is None:
        raise NotFound("There is no such rule in this account.")
    return _form(request, here, found, _values(found), _made(request, here, found))


@action(Permission.PULSE_ALERT_WRITE)
def switch(request: HttpRequest, here: Here, rule_id: UUID) -> HttpResponseBase:
    enabled = request.POST.get("enabled") == "1"
    rule_switch(actor=here.actor, rule_id=rule_id, enabled=enabled)
    messages.success(request, "The rule is on." if enabled else "The rule is off.")
    return HttpResponseRedirect(here.url("alert-rule", rule_id))


@action(Permission.PULSE_ALERT_WRITE)
def remove(request: HttpRequest, here: Here, rule_id: UUID) -> HttpResponseBase:
    rule_remove(actor=here.actor, rule_id=rule_id)
    messages.success(request, "The rule was removed. Its incidents stay.")
    return HttpResponseRedirect(here.url("alert-rules"))


def _made(
    request: HttpRequest, here: Here, found: RuleInfo | None
) -> Done | Failure | Callable[[], Any] | None:
    """What became of a POST: saved, refused, or a preview to be shown."""
    if request.method != "POST":
        return None
    if "preview" in request.POST:
        outcome = attempt(request, here.scope, "rule", lambda: _draft(request.POST))
        if isinstance(outcome, Failure):
            return outcome
        draft: Draft = outcome.result
        return lambda: _previewed(here, draft)
    if found is None:
        return attempt(
            request,
            here.scope,
            "rule",
            lambda: rule_create(actor=here.actor, draft=_draft(request.POST)),
        )
    return attempt(
        request,
        here.scope,
        "rule",
        lambda: rule_change(actor=here.actor, rule_id=found.id, draft=_draft(request.POST)),
    )


def _form(
    request: HttpRequest,
    here: Here,
    found: RuleInfo | None,
    values: Mapping[str, str],
    outcome: Done | Failure | Callable[[], Any] | None,
) -> HttpResponseBase:
    if isinstance(outcome, Done):
        messages.success(request, f"“{outcome.result.name}” watches from now on.")
        return HttpResponseRedirect(here.url("alert-rule", outcome.result.id))
    failed = outcome if isinstance(outcome, Failure) else None
    shown, chart = outcome() if callable(outcome) else (None, None)
    known = channels(here.scope) if here.may(Permission.NOTIFY_CHANNEL_READ) else []
    typed = dict(request.POST.items()) if request.method == "POST" else dict(values)
    chosen = {
        name: set(request.POST.getlist(name))
        if request.method == "POST"
        else set(values.get(name, "").split(","))
        for name in ("channels", "escalation_channels")
    }
    context = {
        "own_traffic": here.scope.tier is Tier.CUSTOMER,
        "rule": found,
        "state": alerting.state(_state(found)) if found else None,
        "values": typed,
        "failed": failed,
        "choices": _choices(here, found.spec.measure if found else ""),
        "channels": [(c, str(c.id) in chosen["channels"]) for c in known],
        "escalation": [(c, str(c.id) in chosen["escalation_channels"]) for c in known],
        "preview": shown,
        "chart": chart,
        "crumbs": [("Alerts", here.url("alerts")), ("Rules", here.url("alert-rules"))],
        "may_write": here.may_write(Permission.PULSE_ALERT_WRITE),
    }
    return render(
        request, "pages/alert_rule.html", context, status=failed.status if failed else 200
    )


def _previewed(here: Here, draft: Draft) -> tuple[Preview, Chart | None]:
    """Raises ``Denied`` for what the reader may not read."""
    if (needed := permission_of(draft.spec.measure)) is not None:
        require(here.actor, needed)
    shown = preview(here.scope, draft.spec, draft.environment_id, now())
    return shown, _picture(shown, draft.spec) if shown.possible else None


def _picture(shown: Preview, spec: Spec) -> Chart:
    """The value that came nearest to firing in each stretch, and the threshold."""
    times = tuple(at for at, _value in shown.points)
    step = int((times[1] - times[0]).total_seconds()) if len(times) > 1 else 60
    return Chart(
        id="chart-preview",
        title=MEASURES[spec.measure].label,
        sentence=f"{spec.sentence}; in each stretch the value nearest to firing.",
        unit=MEASURES[spec.measure].unit,
        times=times,
        series=(
            Series("Value", "series-1", tuple(value for _at, value in shown.points)),
            Series("Threshold", "series-2", (spec.threshold,) * len(times)),
        ),
        step=step,
        brush=False,
        now=int(shown.until.timestamp()),
    )


def _choices(here: Here, measure: str) -> dict[str, Any]:
    """What may be chosen, and ``measure``, which the rule has already."""
    every = () if here.scope.environments is not None else (("", "all environments"),)
    return {
        "measures": [
            (m.key, f"{m.label} ({m.unit})")
            for m in measures_of(here.scope.tier)
            if m.key == measure or _may_measure(here, m.key)
        ],
        "above": (("1", "above"), ("0", "below")),
        "severities": alerting.SEVERITIES,
        "missing": _MISSING,
        "environments": [*every, *((str(p.id), p.name) for p in environments(here.scope))],
        "methods": _ANY + METHODS,
        "statuses": _ANY + STATUSES,
        "directions": _ANY + DIRECTIONS,
    }


def _may_measure(here: Here, measure: str) -> bool:
    needed = permission_of(measure)
    return needed is None or here.may(needed)


def _values(found: RuleInfo) -> dict[str, str]:
    spec = found.spec
    return {
        "name": found.name,
        "severity": found.severity,
        "environment": str(found.environment_id or ""),
        "measure": spec.measure,
        "above": "1" if spec.above else "0",
        "threshold": f"{spec.threshold:g}",
        **{n: str(getattr(spec, n)) for n in ("window", "for_minutes", "repeat", "escalate")},
        "missing": spec.missing,
        "channels": ",".join(map(str, found.channels)),
        "escalation_channels": ",".join(map(str, found.escalation_channels)),
        **spec.filters,
    }


def _draft(typed: Any) -> Draft:
    """Raises ``Invalid``."""
    wrong: dict[str, str] = {}

    def number(name: str, kind: Callable[[str], Any]) -> Any:
        try:
            return kind(typed.get(name, "").strip() or "0")
        except ValueError:
            wrong[name] = "A number."
            return kind("1")

    def ids(name: str, texts: list[str]) -> tuple[UUID, ...]:
        try:
            return tuple(UUID(text) for text in texts if text)
        except ValueError:
            wrong[name] = "Choose from the list."
            return ()

    environment = ids("environment", [typed.get("environment", "")])
    values = {
        "measure": typed.get("measure", ""),
        "above": typed.get("above") != "0",
        "threshold": number("threshold", float),
        **{n: number(n, int) for n in ("window", "for_minutes", "repeat", "escalate")},
        "missing": typed.get("missing", "ignore"),
        "filters": {name: typed[name].strip() for name in FILTERS if typed.get(name, "").strip()},
    }
    told = ids("channels", typed.getlist("channels"))
    next_in_line = ids("escalation_channels", typed.getlist("escalation_channels"))
    if wrong:
        raise Invalid("The rule cannot be used as it is.", fields=wrong)
    return Draft(
        typed.get("name", ""),
        typed.get("severity", ""),
        Spec(**values),
        environment[0] if environment else None,
        told,
        next_in_line,
    )
