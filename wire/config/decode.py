"""Nodes in, frozen dataclasses out: every problem found, each with its place."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import types
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from wire.config.keys import Key, Seconds
from wire.config.nodes import Mapping, Node, Position, Scalar, Sequence
from wire.config.plugins import PLUGINS, UNSUPPORTED_PLUGINS, Plugin
from wire.config.problems import ConfigError, Problem, Severity

INVALID: Final = object()
"""What stands for a value that a problem was reported for."""

_INT: Final = re.compile(r"[-+]?(0|[1-9][0-9_]{0,18})\Z")
_FLOAT: Final = re.compile(r"[-+]?(\d{1,18}(\.\d{0,18})?|\.\d{1,18})([eE][-+]?\d{1,3})?\Z")
_DURATION: Final = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ns|us|µs|ms|s|m|h)")
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TRUTHS: Final = {
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "on", "On"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "off", "Off"), False),
}

Decode = Callable[["Decoder", Node, str, Key], Any]
_PLAIN: Final = Key("")


class Decoder:
    """Collects problems and remembers where each path stands.

    ``lenient``: what this version does not know is left out with a warning; for documents
    of a platform that may be newer than its agents.
    """

    def __init__(self, *, strict: bool = False, lenient: bool = False) -> None:
        self.problems: list[Problem] = []
        self.positions: dict[str, Position] = {}
        self.scalars: dict[str, Scalar] = {}
        self.strict = strict
        self.lenient = lenient

    def report(self, severity: Severity, position: Position, path: str, message: str) -> None:
        self.problems.append(Problem(severity, *position, path, message))

    def error(self, path: str, message: str, position: Position | None = None) -> object:
        """Returns ``INVALID``."""
        self.report("error", position or self.position(path), path, message)
        return INVALID

    def warn(self, path: str, message: str, position: Position | None = None) -> None:
        self.report("warning", position or self.position(path), path, message)

    def unknown(self, path: str, message: str, position: Position | None = None) -> None:
        """A warning, and an error when the reader is strict."""
        severity: Severity = "error" if self.strict else "warning"
        self.report(severity, position or self.position(path), path, message)

    def position(self, path: str) -> Position:
        """Of a path, or of the nearest thing around it that stands in the document."""
        while path:
            if path in self.positions:
                return self.positions[path]
            cut = max(path.rfind("."), path.rfind("["))
            path = path[: max(cut, 0)]
        return self.positions.get("", (0, 0))

    def decode(self, hint: Any, node: Node, path: str, about: Key = _PLAIN) -> Any:
        """The value of type ``hint``, or ``INVALID`` after a problem was reported."""
        self.positions[path] = node.position
        if isinstance(node, Scalar):
            self.scalars[path] = node
        return decoder_of(hint)(self, node, path, about)

    def finish(self) -> None:
        """Raises ``ConfigError`` when there was an error."""
        if any(problem.severity == "error" for problem in self.problems):
            raise ConfigError(sorted(self.problems, key=lambda one: (one.line, one.column)))


def near(word: str, known: Iterable[str]) -> str:
    """``; did you mean x?`` or nothing."""
    found = difflib.get_close_matches(word[:100], list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""


@lru_cache(maxsize=512)
def decoder_of(hint: Any) -> Decode:  # noqa: PLR0911  one return a kind of type
    """How a type is decoded."""
    origin = get_origin(hint)
    if origin in {Union, types.UnionType}:
        return _optional(next(one for one in get_args(hint) if one is not type(None)))
    if origin is Literal:
        return _literal(tuple(str(value) for value in get_args(hint)))
    if origin is tuple:
        return _list(get_args(hint)[0])
    if origin is not None:
        return _named(get_args(hint)[1])
    if hint is Plugin:
        return _plugin
    if dataclasses.is_dataclass(hint):
        return _record(hint)
    return _SIMPLE[hint]


def keys_of(record: Any) -> dict[str, tuple[dataclasses.Field[Any], Any, Key]]:
    """Name in the document → field, type, description; in the order of the class."""
    hints = get_type_hints(record)
    found = {}
    for one in dataclasses.fields(record):
        about: Key = one.metadata["key"]
        found[about.name or one.name] = (one, hints[one.name], about)
    return found


def _record(record: Any) -> Decode:
    keys = keys_of(record)
    unsupported: dict[str, str] = getattr(record, "UNSUPPORTED", {})
    required = {
        name
        for name, (one, _, _) in keys.items()
        if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
    }

    def decode(reader: Decoder, node: Node, path: str, about: Key) -> Any:
        del about
        if isinstance(node, Scalar) and node.null and not required:
            return record()
        if not isinstance(node, Mapping):
            return reader.error(path, "must be a mapping of keys", node.position)
        values: dict[str, Any] = {}
        for name, (position, value) in node.entries.items():
            place = f"{path}.{name}" if path else name
            if name in keys:
                one, hint, described = keys[name]
                null = isinstance(value, Scalar) and value.null
                reader.positions[place] = value.position
                if not null or name in required:
                    values[one.name] = reader.decode(hint, value, place, described)
            elif name in unsupported:
                _refuse(reader, place, f"not supported: {unsupported[name]}", position)
            else:
                hint_words = near(name, keys)
                reader.unknown(place, f"unknown key{hint_words}", position)
        missing = [name for name in required if keys[name][0].name not in values]
        for name in sorted(missing):
            reader.error(path, f"{name} is missing: {keys[name][2].about}", node.position)
        if missing or any(value is INVALID for value in values.values()):
            return INVALID
        return record(**values)

    return decode


def _refuse(reader: Decoder, path: str, message: str, position: Position) -> None:
    """What is known and not supported: an error, unless the document is a platform's."""
    if reader.lenient:
        reader.warn(path, message, position)
    else:
        reader.error(path, message, position)


def _plugin(reader: Decoder, node: Node, path: str, about: Key) -> Any:
    """``None``: a plugin to be left out."""
    del about
    if not isinstance(node, Mapping):
        return reader.error(path, "must be a mapping with type and config", node.position)
    for name, (position, _) in node.entries.items():
        if name not in {"type", "config"}:
            reader.unknown(
                f"{path}.{name}", f"unknown key{near(name, ('type', 'config'))}", position
            )
    if "type" not in node.entries:
        return reader.error(path, "type is missing: which plugin", node.position)
    kind = reader.decode(str, node.entries["type"][1], f"{path}.type")
    if kind not in PLUGINS:
        return _no_plugin(reader, kind, f"{path}.type")
    _, config = node.entries.get("config", ((0, 0), Scalar(node.position, "", plain=True)))
    options = reader.decode(PLUGINS[kind], config, f"{path}.config")
    return INVALID if options is INVALID else Plugin(type=kind, config=options)


def _no_plugin(reader: Decoder, kind: Any, path: str) -> Any:
    if kind is INVALID:
        return INVALID
    if kind in UNSUPPORTED_PLUGINS:
        message = f"the plugin {kind} is not supported: {UNSUPPORTED_PLUGINS[kind]}"
    else:
        message = f"there is no plugin {kind!r}{near(str(kind), PLUGINS)}"
    _refuse(reader, path, message, reader.position(path))
    return None if reader.lenient else INVALID


def _optional(hint: Any) -> Decode:
    def decode(reader: Decoder, node: Node, path: str, about: Key) -> Any:
        if isinstance(node, Scalar) and node.null:
            return None
        return reader.decode(hint, node, path, about)

    return decode


def _list(hint: Any) -> Decode:
    def decode(reader: Decoder, node: Node, path: str, about: Key) -> Any:
        if isinstance(node, Scalar) and node.null:
            return ()
        if not isinstance(node, Sequence):
            return reader.error(path, "must be a list", node.position)
        found = [
            reader.decode(hint, item, f"{path}[{index}]", about)
            for index, item in enumerate(node.items)
        ]
        if any(item is INVALID for item in found):
            return INVALID
        return tuple(item for item in found if item is not None)

    return decode


def _named(hint: Any) -> Decode:
    def decode(reader: Decoder, node: Node, path: str, about: Key) -> Any:
        if isinstance(node, Scalar) and node.null:
            return {}
        if not isinstance(node, Mapping):
            return reader.error(path, "must be a mapping of names", node.position)
        found = {
            name: reader.decode(hint, value, f"{path}.{name}", about)
            for name, (_, value) in node.entries.items()
        }
        return INVALID if any(value is INVALID for value in found.values()) else found

    return decode


def _literal(allowed: tuple[str, ...]) -> Decode:
    def decode(reader: Decoder, node: Node, path: str, about: Key) -> Any:
        text = _string(reader, node, path, about)
        if text is INVALID:
            return INVALID
        text = about.spellings.get(text, text)
        if text in allowed:
            return text
        words = ", ".join(word or '""' for word in allowed)
        return reader.error(path, f"{text[:60]!r} is none of {words}{near(text, allowed)}")

    return decode


def _string(reader: Decoder, node: Node, path: str, about: Key) -> Any:
    del about
    if not isinstance(node, Scalar) or node.null:
        return reader.error(path, "must be text", node.position)
    return node.text


def _truth(reader: Decoder, node: Node, path: str, about: Key) -> Any:
    del about
    if isinstance(node, Scalar) and node.plain and node.text in _TRUTHS:
        return _TRUTHS[node.text]
    return reader.error(path, "must be true or false", node.position)


def _whole(reader: Decoder, node: Node, path: str, about: Key) -> Any:
    if isinstance(node, Scalar) and node.plain and _INT.match(node.text):
        return _bounded(reader, int(node.text.replace("_", "")), path, about)
    return reader.error(path, "must be a whole number", node.position)


def _number(reader: Decoder, node: Node, path: str, about: Key) -> Any:
    if isinstance(node, Scalar) and node.plain and _FLOAT.match(node.text):
        return _bounded(reader, float(node.text), path, about)
    return reader.error(path, "must be a number", node.position)


def _seconds(reader: Decoder, node: Node, path: str, about: Key) -> Any:
    if isinstance(node, Scalar):
        if _FLOAT.match(node.text):
            return _bounded(reader, float(node.text) * about.unit, path, about)
        parts = _DURATION.findall(node.text)
        if parts and "".join(number + unit for number, unit in parts) == node.text:
            total = math.fsum(float(number) * _UNITS[unit] for number, unit in parts)
            return _bounded(reader, total, path, about)
    return reader.error(path, "must be a duration such as 24h, 90s or 500ms", node.position)


def _bounded(reader: Decoder, value: float, path: str, about: Key) -> Any:
    too_low = about.low is not None and value < about.low
    too_high = about.high is not None and value > about.high
    if too_low or too_high or not math.isfinite(value):
        bounds = [f"at least {about.low:g}"] if about.low is not None else []
        bounds += [f"at most {about.high:g}"] if about.high is not None else []
        return reader.error(path, f"must be {' and '.join(bounds) or 'a finite number'}")
    return value


def _anything(reader: Decoder, node: Node, path: str, about: Key) -> Any:
    del reader, node, path, about
    return True


_SIMPLE: Final[dict[Any, Decode]] = {
    str: _string,
    bool: _truth,
    int: _whole,
    float: _number,
    Seconds: _seconds,
    object: _anything,
}
