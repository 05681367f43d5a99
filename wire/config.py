"""The agent's configuration, ``version: 2``: the part that is honoured so far.

The document is Qtap's; the loader takes it as parsed JSON or YAML. What it does not know
is listed in ``Config.ignored`` so that whoever loads it can say so.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final, Literal

import msgspec

VERSION: Final = 2


class ConfigError(ValueError):
    """The document cannot be used; the message names the key and what it should hold."""


class ObjectStore(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """``services.object_stores[]``. ``directory`` is ours: files under ``path``."""

    id: str
    type: Literal["directory", "disabled"]
    path: str = ""
    access_url: str = ""


class Services(msgspec.Struct, kw_only=True, frozen=True):
    object_stores: tuple[ObjectStore, ...] = ()


class Tap(msgspec.Struct, kw_only=True, frozen=True):
    direction: Literal["all", "ingress", "egress", "egress-internal", "egress-external"] = "all"
    ignore_loopback: bool = False


class HttpCapture(msgspec.Struct, kw_only=True, frozen=True):
    """Plugin ``http_capture``: how much of an exchange becomes an object."""

    level: Literal["none", "summary", "headers", "full"] = "full"


class Config(msgspec.Struct, kw_only=True, frozen=True):
    version: Literal[2]
    services: Services = Services()
    tap: Tap = Tap()
    capture: HttpCapture = HttpCapture()
    ignored: tuple[str, ...] = ()

    @property
    def object_store(self) -> ObjectStore | None:
        """The default store: the first of the list; ``None`` when payloads are to be dropped."""
        stores = self.services.object_stores
        return stores[0] if stores and stores[0].type != "disabled" else None


def load_config(document: object) -> Config:
    """The configuration in a parsed document.

    Raises ``ConfigError``.
    """
    if not isinstance(document, dict):
        raise ConfigError("the configuration must be a mapping that begins with version: 2")
    if document.get("version") != VERSION:
        raise ConfigError(f"version must be 2, not {document.get('version')!r}")
    capture, capture_ignored = _http_capture(document)
    known = {
        "version": 2,
        "services": document.get("services") or {},
        "tap": document.get("tap") or {},
        "capture": capture,
    }
    try:
        config = msgspec.convert(known, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error)) from error
    return msgspec.structs.replace(config, ignored=_ignored(document) + capture_ignored)


def config_digest(document: dict[str, Any]) -> str:
    """SHA-256 of the document in canonical JSON, hexadecimal."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _http_capture(document: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The ``http_capture`` plugin of the stack that ``tap.http.stack`` names."""
    tap = _mapping(document.get("tap"), "tap")
    stacks = _mapping(document.get("stacks"), "stacks")
    name = _mapping(tap.get("http"), "tap.http").get("stack")
    if name is None:
        return {}, ()
    if not isinstance(name, str) or name not in stacks:
        raise ConfigError(f"tap.http.stack names {name!r}, which stacks does not define")
    found: dict[str, Any] = {}
    ignored = []
    plugins = _mapping(stacks[name], f"stacks.{name}").get("plugins") or []
    if not isinstance(plugins, list):
        raise ConfigError(f"stacks.{name}.plugins must be a list")
    for index, entry in enumerate(plugins):
        place = f"stacks.{name}.plugins[{index}]"
        plugin = _mapping(entry, place)
        if plugin.get("type") == "http_capture":
            found = _mapping(plugin.get("config"), f"{place}.config")
        else:
            ignored.append(f"{place} ({plugin.get('type')})")
    return found, tuple(ignored)


def _mapping(value: object, place: str) -> dict[str, Any]:
    """``value``, or an empty mapping where nothing stands. Raises ``ConfigError``."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{place} must be a mapping")
    return value


def _ignored(document: dict[str, Any]) -> tuple[str, ...]:
    known = {"version": None, "services": {"object_stores"}, "stacks": None}
    known["tap"] = {"direction", "ignore_loopback", "http"}
    paths = [str(key) for key in document if key not in known]
    for section, keys in known.items():
        value = document.get(section)
        if keys is not None and isinstance(value, dict):
            paths += [f"{section}.{key}" for key in value if key not in keys]
    return tuple(sorted(paths))
