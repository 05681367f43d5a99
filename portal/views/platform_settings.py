"""Cloud-Admin → Settings: a page for each group, the value in force, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render

from identity.services import setting_reset, settings_set
from portal.door import action, page
from portal.here import Here
from portal.kit.forms import Done, Failure, attempt
from portal.kit.tabs import Tab
from qcloud.kernel.errors import NotFound
from qcloud.kernel.permissions import Permission
from qcloud.kernel.settings import (
    Group,
    InForce,
    Setting,
    Source,
    declared,
    groups,
    in_force,
    kinds,
)

_FLAGS = (("on", "On"), ("off", "Off"))


@dataclass(frozen=True)
class Line:
    """One setting as the form shows it."""

    setting: Setting[Any]
    found: InForce[Any]
    typed: str
    error: str
    fixed: bool
    """The reader cannot change it."""

    @property
    def field_id(self) -> str:
        return f"s-{self.setting.key.replace('.', '-')}"

    @property
    def label(self) -> str:
        unit = self.setting.unit
        return f"{self.setting.label} ({unit})" if unit else self.setting.label

    @property
    def options(self) -> tuple[tuple[str, str], ...]:
        kind = self.setting.kind
        if isinstance(kind, kinds.Flag):
            return _FLAGS
        return kind.options if isinstance(kind, kinds.Choice) else ()

    @property
    def rows(self) -> int:
        return 4 if isinstance(self.setting.kind, kinds.Networks) else 0

    @property
    def type(self) -> str:
        return "password" if self.setting.is_secret else "text"

    @property
    def is_fixed(self) -> bool:
        return self.found.source is Source.ENVIRONMENT

    @property
    def is_stored(self) -> bool:
        return self.found.source is Source.STORED

    @property
    def default(self) -> str:
        if self.setting.is_secret:
            return "none"
        shown = str(self.setting.show(self.setting.default))
        return shown or "empty"


@page(Permission.QCLOUD_SETTINGS_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    """The groups, with what is not at its default."""
    del request
    return HttpResponseRedirect(here.url("settings-group", groups()[0].key))


@page(Permission.QCLOUD_SETTINGS_READ, post=Permission.QCLOUD_SETTINGS_WRITE)
def group(request: HttpRequest, here: Here, key: str) -> HttpResponseBase:
    chosen = _group(key)
    failed = None
    if request.method == "POST":
        keys = {setting.key for setting in declared(chosen)}
        texts = {name: str(text) for name, text in request.POST.items() if name in keys}
        outcome = attempt(
            request,
            here.scope,
            "settings",
            lambda: settings_set(actor=here.actor, group=key, texts=texts),
        )
        if isinstance(outcome, Done):
            messages.success(request, _words(len(outcome.result)))
            return HttpResponseRedirect(here.url("settings-group", key))
        failed = outcome
    return _page(request, here, chosen, failed)


@action(Permission.QCLOUD_SETTINGS_WRITE)
def reset(request: HttpRequest, here: Here, key: str) -> HttpResponseBase:
    """Give the posted setting its default again."""
    chosen = _group(key)
    outcome = attempt(
        request,
        here.scope,
        "reset",
        lambda: setting_reset(actor=here.actor, key=request.POST.get("setting", "")),
    )
    if isinstance(outcome, Failure):
        return _page(request, here, chosen, outcome)
    messages.success(request, "The default holds again.")
    return HttpResponseRedirect(here.url("settings-group", key))


def _group(key: str) -> Group:
    found = next((one for one in groups() if one.key == key), None)
    if found is None:
        raise NotFound("There is no such page of settings.")
    return found


def _words(changed: int) -> str:
    if not changed:
        return "Nothing was different: nothing was changed."
    return f"{changed} {'setting was' if changed == 1 else 'settings were'} changed."


def _page(
    request: HttpRequest, here: Here, chosen: Group, failed: Failure | None
) -> HttpResponseBase:
    may_write = here.may_write(Permission.QCLOUD_SETTINGS_WRITE)
    context = {
        "group": chosen,
        "tabs": [
            Tab(one.title, here.url("settings-group", one.key), one.key == chosen.key)
            for one in groups()
        ],
        "lines": [_line(setting, failed, may_write=may_write) for setting in declared(chosen)],
        "failed": failed,
        "may_write": may_write,
    }
    status = failed.status if failed else 200
    return render(request, "pages/platform_settings.html", context, status=status)


def _line(setting: Setting[Any], failed: Failure | None, *, may_write: bool) -> Line:
    found = in_force(setting)
    shown = "" if setting.is_secret else found.shown
    if failed is not None and not setting.is_secret:
        shown = failed.values.get(setting.key, shown)
    error = failed.fields.get(setting.key, "") if failed else ""
    fixed = found.source is Source.ENVIRONMENT or not may_write
    return Line(setting, found, shown, error, fixed)
