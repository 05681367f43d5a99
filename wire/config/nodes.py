"""A YAML document as nodes that know their line and column, within bounds.

The parser's events are taken one by one and put together here, with a stack of our own:
depth, number of nodes (aliases expanded) and size are bounded before anything is built,
and no document can exhaust the interpreter's stack.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from wire.config.problems import ConfigError, Problem

MAX_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 64
MAX_NODES: Final = 100_000

_MERGE: Final = "<<"
_STRING_TAG: Final = "tag:yaml.org,2002:str"
_TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")
) | {"!"}
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})

Position = tuple[int, int]


@dataclass(slots=True)
class Scalar:
    """One value, not yet typed: what it should be is known to whoever asks."""

    position: Position
    text: str
    plain: bool
    """Written without quotes, so that it may be a number, a truth value or nothing."""
    inner: Position | None = None
    """Where its first character stands, when it is written on one line without escapes."""
    weight: int = 1
    height: int = 1

    @property
    def null(self) -> bool:
        return self.plain and self.text in _NULLS


@dataclass(slots=True)
class Sequence:
    position: Position
    items: list[Node] = field(default_factory=list)
    weight: int = 1
    height: int = 1


@dataclass(slots=True)
class Mapping:
    position: Position
    entries: dict[str, tuple[Position, Node]] = field(default_factory=dict)
    """Key → where the key stands, value."""
    weight: int = 1
    height: int = 1


Node = Scalar | Sequence | Mapping


def compose(source: str | bytes) -> Node:
    """The nodes of one YAML document.

    Raises ``ConfigError`` for anything that is not one bounded, well-formed document.
    """
    text = _text(source)
    try:
        return _Composer().run(yaml.parse(text, Loader=_LOADER))
    except yaml.reader.ReaderError as error:
        before = text[: error.position] if isinstance(error.position, int) else ""
        at = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise _error(at, "a character that YAML does not allow; is this a text file?") from error
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, text) from error


def from_object(document: object) -> Node:
    """The nodes of a document that was parsed already, from JSON; no positions.

    Raises ``ConfigError``.
    """
    return _Objects().node(document, 1)


def _text(source: str | bytes) -> str:
    size = len(source) if isinstance(source, bytes) else len(source.encode("utf-8", "replace"))
    if size > MAX_BYTES:
        raise _error((1, 1), f"the document has {size:,} bytes; {MAX_BYTES:,} are allowed")
    if isinstance(source, str):
        return source.removeprefix("\ufeff")
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = source[: error.start]
        at = (before.count(b"\n") + 1, len(before) - before.rfind(b"\n"))
        raise _error(at, "this is not UTF-8 text") from error


def _error(position: Position, message: str) -> ConfigError:
    return ConfigError([Problem("error", *position, "", message)])


def _syntax(error: yaml.MarkedYAMLError, text: str) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    position = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = text.splitlines()
    line = lines[position[0] - 1] if position[0] <= len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return _error(position, "a tab cannot indent YAML; use blanks")
    reason = str(error.problem or error.context or "it cannot be read")
    return _error(position, f"this is not YAML: {reason}")


class _Composer:
    """Events in, one root node out."""

    def __init__(self) -> None:
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}
        """``None``: the node is still open, so that an alias to it would never end."""
        self._root: Node | None = None
        self._documents = 0

    def run(self, events: Iterator[Any]) -> Node:
        for event in events:
            self._take(event)
        if self._root is None:
            raise _error((1, 1), "the document is empty; it must begin with version: 2")
        return self._root

    def _take(self, event: Any) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _error(_start(event), "one document only; this is where a second begins")
        elif isinstance(event, yaml.ScalarEvent):
            self._add(_scalar(event), event.anchor)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.MappingStartEvent):
            self._open(Mapping(_start(event)), event)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._open(Sequence(_start(event)), event)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._close()

    def _open(self, node: Mapping | Sequence, event: Any) -> None:
        _plain_tag(event)
        if len(self._stack) >= MAX_DEPTH:
            raise _error(node.position, f"nested more than {MAX_DEPTH} deep")
        if event.anchor:
            self._anchors[event.anchor] = None
        self._stack.append(_Open(node, event.anchor))

    def _close(self) -> None:
        done = self._stack.pop()
        if isinstance(done.node, Mapping):
            _merge(done.node)
        self._add(done.node, done.anchor)

    def _alias(self, event: Any) -> None:
        position = _start(event)
        if event.anchor not in self._anchors:
            raise _error(position, f"*{event.anchor} refers to nothing: there is no such anchor")
        node = self._anchors[event.anchor]
        if node is None:
            raise _error(position, f"*{event.anchor} stands inside what it refers to")
        if len(self._stack) + node.height > MAX_DEPTH:
            raise _error(position, f"nested more than {MAX_DEPTH} deep")
        self._add(node, None)

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = node
        if not self._stack:
            self._root = node
            return
        self._stack[-1].add(node)


@dataclass(slots=True)
class _Open:
    node: Mapping | Sequence
    anchor: str | None
    key: Scalar | None = None

    def add(self, child: Node) -> None:
        node = self.node
        node.weight += child.weight
        node.height = max(node.height, child.height + 1)
        if node.weight > MAX_NODES:
            raise _error(node.position, f"more than {MAX_NODES:,} values, aliases expanded")
        if isinstance(node, Sequence):
            node.items.append(child)
        elif self.key is None:
            self._key(node, child)
        else:
            node.entries[self.key.text] = (self.key.position, child)
            self.key = None

    def _key(self, node: Mapping, child: Node) -> None:
        if not isinstance(child, Scalar):
            raise _error(child.position, "a key must be a plain word")
        if child.text in node.entries:
            first = node.entries[child.text][0]
            raise _error(
                child.position, f"the key {child.text!r} stands twice; first in line {first[0]}"
            )
        self.key = child


def _start(event: Any) -> Position:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _plain_tag(event: Any) -> None:
    if event.tag is not None and event.tag not in _TAGS:
        raise _error(_start(event), f"the tag {event.tag} has no meaning here; remove it")


def _scalar(event: Any) -> Scalar:
    _plain_tag(event)
    position = _start(event)
    width = event.end_mark.column - event.start_mark.column
    quotes = 2 if event.style in {"'", '"'} else 0
    inner = None
    if event.start_mark.line == event.end_mark.line and width == len(event.value) + quotes:
        inner = (position[0], position[1] + quotes // 2)
    plain = not event.style and event.tag != _STRING_TAG
    return Scalar(position, event.value, plain, inner)


def _merge(node: Mapping) -> None:
    """``<<`` gives keys that the mapping lacks (YAML 1.1, merge keys)."""
    if _MERGE not in node.entries:
        return
    _, value = node.entries.pop(_MERGE)
    for source in value.items if isinstance(value, Sequence) else [value]:
        if not isinstance(source, Mapping):
            raise _error(source.position, "<< takes a mapping, or a list of them")
        for key, entry in source.entries.items():
            node.entries.setdefault(key, entry)


class _Objects:
    """A parsed document, made into nodes. Its parser bounded its size and depth."""

    def __init__(self) -> None:
        self._nodes = 0

    def node(self, value: object, depth: int) -> Node:
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise _error((0, 0), "the document is too large, or nested too deeply")
        if isinstance(value, dict):
            entries = {
                str(key): ((0, 0), self.node(item, depth + 1)) for key, item in value.items()
            }
            return Mapping((0, 0), entries)
        if isinstance(value, list | tuple):
            return Sequence((0, 0), [self.node(item, depth + 1) for item in value])
        if isinstance(value, str):
            return Scalar((0, 0), value, plain=False)
        if isinstance(value, bool):
            return Scalar((0, 0), "true" if value else "false", plain=True)
        return Scalar((0, 0), "null" if value is None else str(value), plain=True)
