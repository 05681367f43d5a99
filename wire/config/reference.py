"""The keys of ``version: 2`` as tables: ``python -m wire.config.reference`` prints them.

The tables are in ``docs/agent/configuration.md``; a test holds the two together.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from wire.config.decode import keys_of
from wire.config.keys import Key, Seconds
from wire.config.model import Config
from wire.config.plugins import PLUGINS, UNSUPPORTED_PLUGINS, Plugin


def reference() -> str:
    """Markdown: one table a mapping, in the order of the document."""
    parts = [_section(path, record) for path, record in _records("", Config, set())]
    parts += [_section(f"plugin `{name}`", options) for name, options in PLUGINS.items()]
    for name, options in PLUGINS.items():
        inner = _inner(f"{name}: ", options, set())
        parts += [_section(path, record) for path, record in inner]
    refused = "".join(f"| `{name}` | {why} |\n" for name, why in UNSUPPORTED_PLUGINS.items())
    parts.append(f"### Plugins that are refused\n| type | instead |\n| --- | --- |\n{refused}")
    return "\n".join(parts)


def _records(path: str, record: Any, seen: set[Any]) -> Iterator[tuple[str, Any]]:
    yield path or "the document", record
    yield from _inner(path, record, seen)


def _inner(path: str, record: Any, seen: set[Any]) -> Iterator[tuple[str, Any]]:
    for name, (_, hint, _) in keys_of(record).items():
        found, suffix = _nested(hint)
        if found is None or found in seen or found is Plugin:
            continue
        seen.add(found)
        separator = "" if not path or path.endswith(" ") else "."
        yield from _records(f"{path}{separator}{name}{suffix}", found, seen)


def _nested(hint: Any) -> tuple[Any, str]:
    """The mapping inside a type, and how its path goes on."""
    origin = get_origin(hint)
    if origin is tuple:
        inner, suffix = get_args(hint)[0], "[]"
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        inner, suffix = get_args(hint)[1], ".<name>"
    elif origin is not None and origin is not Literal:
        inner, suffix = get_args(hint)[0], ""
    else:
        inner, suffix = hint, ""
    return (inner, suffix) if dataclasses.is_dataclass(inner) else (None, "")


def _section(title: str, record: Any) -> str:
    name = title if "`" in title or " " in title else f"`{title}`"
    rows = [_row(key, *described) for key, described in keys_of(record).items()]
    rows += [
        f"| `{key}` | | | refused: {why} |"
        for key, why in getattr(record, "UNSUPPORTED", {}).items()
    ]
    if not rows:
        return f"### {name}\nNo options.\n"
    return "\n".join([f"### {name}", "| key | value | default | |", "| --- | --- | --- | --- |",
                      *rows, ""])  # fmt: skip


def _row(key: str, one: dataclasses.Field[Any], hint: Any, about: Key) -> str:
    ours = " (ours)" if about.ours else ""
    older = "".join(f"; `{old}` is an older name of `{new}`"
                    for old, new in about.spellings.items())  # fmt: skip
    return f"| `{key}` | {_type(hint)} | {_default(one)} | {about.about}{older}{ours} |"


def _type(hint: Any) -> str:
    origin = get_origin(hint)
    if origin is Literal:
        return " \\| ".join(f"`{value}`" for value in get_args(hint) if value)
    if origin is tuple:
        return f"list of {_type(get_args(hint)[0])}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "mapping of names"
    if origin is not None:
        return _type(get_args(hint)[0])
    if dataclasses.is_dataclass(hint):
        return "mapping"
    names: dict[Any, str] = {str: "text", bool: "true or false", int: "whole number",
                             float: "number", Seconds: "duration"}  # fmt: skip
    return names.get(hint, "anything")


def _default(one: dataclasses.Field[Any]) -> str:
    if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
        return "required"
    value = one.default
    if value is dataclasses.MISSING or value in {None, "", ()} or dataclasses.is_dataclass(value):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    sys.stdout.write(reference())
