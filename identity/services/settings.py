"""Changing the platform's settings: by page, as a group, in the journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from audit.services import record
from identity.services.places import acting
from qcloud.kernel.errors import Conflict, Invalid, NotFound
from qcloud.kernel.permissions import Actor, Permission, require, require_fresh
from qcloud.kernel.settings import (
    Candidate,
    Group,
    InForce,
    Setting,
    Source,
    declared,
    groups,
    in_force,
    lock_writers,
    named,
    store,
    unset,
)


def settings_set(*, actor: Actor, group: str, texts: Mapping[str, str]) -> tuple[str, ...]:
    """Store what was typed for a group's settings, by key; returns the keys that changed.

    All or nothing: each text must be of its setting's type, and the group's values must go
    together, those included that stay. A setting that is left out stays; so does a secret
    for which an empty text is given. Raises ``Denied``, ``StepUpNeeded`` (one of them bears
    on security), ``NotFound`` (no such group), ``Conflict`` (fixed on the server), ``Invalid``
    with ``fields`` by key.
    """
    require(actor, Permission.QCLOUD_SETTINGS_WRITE)
    chosen = _group(group)
    with acting(actor):
        lock_writers()
        present = {setting.key: in_force(setting) for setting in declared(chosen)}
        wanted = _parsed(chosen, present, texts)
        _check(chosen, present, wanted)
        changed = [present[key].setting for key in wanted if wanted[key] != present[key].value]
        _require_fresh(actor, changed)
        for setting in changed:
            store(setting, wanted[setting.key], by_label=actor.label, by_id=actor.id)
        if changed:
            _record(actor, "set", chosen, [(present[s.key], s, wanted[s.key]) for s in changed])
    return tuple(setting.key for setting in changed)


def setting_reset(*, actor: Actor, key: str) -> None:
    """Give a setting its default again.

    Raises ``Denied``, ``StepUpNeeded``, ``NotFound``, ``Conflict`` (not stored, or fixed on
    the server), ``Invalid`` (the default does not go with the rest of the group).
    """
    require(actor, Permission.QCLOUD_SETTINGS_WRITE)
    setting = named(key)
    if setting is None:
        raise NotFound("There is no such setting.")
    with acting(actor):
        lock_writers()
        present = {s.key: in_force(s) for s in declared(setting.group)}
        if present[key].source is not Source.STORED:
            raise Conflict(f"“{setting.label}” is not set here: {_where(present[key])}.")
        _check(setting.group, present, {key: setting.default})
        _require_fresh(actor, [setting])
        unset(setting)
        _record(actor, "reset", setting.group, [(present[key], setting, setting.default)])


def _group(key: str) -> Group:
    found = next((group for group in groups() if group.key == key), None)
    if found is None:
        raise NotFound("There is no such page of settings.")
    return found


def _parsed(
    group: Group, present: Mapping[str, InForce[Any]], texts: Mapping[str, str]
) -> dict[str, Any]:
    wanted, wrong = {}, {}
    for key, text in texts.items():
        if key not in present:
            raise NotFound(f"{group.title} has no such setting.")
        setting = present[key].setting
        if setting.is_secret and not text:
            continue
        try:
            wanted[key] = setting.parse(text)
        except ValueError as error:
            wrong[key] = str(error)
    if wrong:
        raise Invalid("Nothing was changed: mend the fields that are named.", fields=wrong)
    for key, new in wanted.items():
        if present[key].source is Source.ENVIRONMENT and new != present[key].value:
            raise Conflict(
                f"“{present[key].setting.label}” is {_where(present[key])}."
                " Change it there, or remove the variable and restart.",
                fields={key: "Fixed on the server."},
            )
    return wanted


def _check(group: Group, present: Mapping[str, InForce[Any]], wanted: Mapping[str, Any]) -> None:
    values = {key: found.value for key, found in present.items()} | dict(wanted)
    wrong = group.check(Candidate(values))
    if wrong:
        raise Invalid("Nothing was changed: these do not go together.", fields=wrong)


def _require_fresh(actor: Actor, changed: Iterable[Setting[Any]]) -> None:
    if any(setting.sensitive for setting in changed):
        require_fresh(actor)


def _where(found: InForce[Any]) -> str:
    if found.source is Source.ENVIRONMENT:
        return f"fixed by {found.setting.variable} on the server"
    return "at its default" if found.source is Source.DEFAULT else f"set by {found.set_by}"


def _record(
    actor: Actor,
    verb: str,
    group: Group,
    changes: Iterable[tuple[InForce[Any], Setting[Any], Any]],
) -> None:
    record(
        actor=actor,
        action=f"identity.settings.{verb}",
        object_kind="settings",
        object_id=group.key,
        data={
            "changes": [
                {
                    "key": setting.key,
                    "before": before.shown,
                    "after": _shown(setting, new),
                }
                for before, setting, new in changes
            ]
        },
    )


def _shown(setting: Setting[Any], new: Any) -> str:
    if setting.is_secret:
        return "set" if new else "not set"
    return str(setting.show(new))
