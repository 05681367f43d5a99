"""A configuration as a document again: what differs from the defaults, in their order."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import yaml

from wire.config.decode import keys_of
from wire.config.keys import Seconds
from wire.config.model import Config
from wire.config.plugins import Plugin


def to_document(config: Config) -> dict[str, Any]:
    """Plain mappings, lists and values, as ``load_config`` takes them."""
    return {"version": 2} | _record(config)


def dump_config(config: Config) -> str:
    """YAML that ``parse_config`` reads back to an equal configuration."""
    return yaml.safe_dump(to_document(config), sort_keys=False, allow_unicode=False)


def _record(record: Any) -> dict[str, Any]:
    document = {}
    for name, (one, hint, _) in keys_of(type(record)).items():
        value = getattr(record, one.name)
        if value != _default(one):
            document[name] = _value(value, hint)
    return document


def _default(one: dataclasses.Field[Any]) -> Any:
    if one.default_factory is not dataclasses.MISSING:
        return one.default_factory()
    return one.default


def _value(value: Any, hint: Any) -> Any:
    if isinstance(value, Plugin):
        config = _record(value.config)
        return {"type": value.type} | ({"config": config} if config else {})
    if dataclasses.is_dataclass(value):
        return _record(value)
    if isinstance(value, tuple):
        return [_value(item, None) for item in value]
    if isinstance(value, Mapping):
        return {name: _value(item, None) for name, item in value.items()}
    if "Seconds" in str(hint) and isinstance(value, float):
        return _duration(Seconds(value))
    return value


def _duration(seconds: Seconds) -> str:
    """Nanoseconds at the finest; what ``time.ParseDuration`` of Go reads too."""
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"
