"""One host's paths as a tree that learns which positions are values. Pure.

A node is what stands before a position; its children are the values seen there, words kept as
keyed hashes, so that what a path says is never stored here. A position with more than
``DISTINCT`` words becomes a parameter: its children are merged into one, ``{name}``, for good.
Shapes, versions and the words of ``shapes`` stand beside it and are never merged.

A path that nobody answers (404) teaches nothing: whoever tries addresses at random would
otherwise turn every position into a parameter.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, Self

from pulse.routes.shapes import NAME, REST, fixed, segments_of

DISTINCT: Final = 50
"""Words at one position; with one more it is a parameter."""
MOST_AT_REFUSED: Final = 500
"""Words at a position that people said is no parameter; what comes on top is ``{…}``."""
MOST_VALUES: Final = 2_000
"""Values in one tree; what is new then is ``{…}``."""
_LOUD: Final = 100
"""A word with this many times the requests of the rarer half stays a word …"""
_MOST_LOUD: Final = 20
"""… so many of them at one position."""

Key = str | bytes


@dataclass(slots=True)
class Node:
    count: int = 0
    """Requests, as far as they were counted."""
    refused: bool = False
    """People said that what follows is no parameter."""
    children: dict[Key, Node] = field(default_factory=dict)

    def words(self) -> int:
        # Shapes are few, so that counting all first spares counting most nodes twice.
        if len(self.children) <= DISTINCT:
            return len(self.children)
        return sum(isinstance(key, bytes) for key in self.children)

    def size(self) -> int:
        return 1 + sum(child.size() for child in self.children.values())


class Tree:
    """Not for two threads at once."""

    def __init__(self, salt: bytes, root: Node | None = None) -> None:
        self._salt = salt
        self._root = root or Node()
        self._root.children.setdefault("", Node())
        self._size = self._root.size() - 1
        self._hashes: dict[str, Key] = {}

    def route(self, path: str, *, missing: bool) -> str | None:
        """The path's template as known; ``None``: it should be learned from first.

        ``missing``: it was answered 404.
        """
        node, out = self._root, list[str]()
        for segment in segments_of(path):
            key = self._key(segment)
            child = node.children.get(key)
            if child is None and isinstance(key, bytes):
                child, segment = node.children.get(NAME), NAME  # noqa: PLW2901  becomes its name
            if child is None:
                if not missing and self._has_room(node):
                    return None
                return "/".join([*out, REST])
            out.append(segment)
            node = child
        return "/".join(out)

    def learn(self, seen: Iterable[tuple[str, int]]) -> list[tuple[str, ...]]:
        """Take up paths and how often each was asked for; returns the positions that became
        parameters, as templates that end with ``{name}``.
        """
        learned: list[tuple[str, ...]] = []
        # What differs in values that shapes name is one to the tree, however many paths it is.
        alike: dict[tuple[str, ...], int] = {}
        for path, count in seen:
            segments = tuple(segments_of(path))
            alike[segments] = alike.get(segments, 0) + count
        for segments, count in sorted(alike.items(), key=lambda pair: -pair[1]):
            self._take(segments, count, learned)
        return learned

    def _take(self, segments: tuple[str, ...], count: int, learned: list[tuple[str, ...]]) -> None:
        node, out = self._root, list[str]()
        for segment in segments:
            key = self._key(segment)
            if NAME in node.children and key not in node.children and isinstance(key, bytes):
                key, segment = NAME, NAME  # noqa: PLW2901  becomes its name
            if key not in node.children:
                if not self._has_room(node):
                    return
                node.children[key] = Node()
                self._size += 1
            if not node.refused and node.words() > DISTINCT:
                self._merge(node)
                learned.append((*out, NAME))
                if key not in node.children:
                    key, segment = NAME, NAME  # noqa: PLW2901
            out.append(segment)
            node = node.children[key]
            node.count += count

    def _has_room(self, node: Node) -> bool:
        if node.refused and node.words() >= MOST_AT_REFUSED:
            return False
        return self._size < MOST_VALUES

    def _merge(self, node: Node) -> None:
        words = {key: child for key, child in node.children.items() if isinstance(key, bytes)}
        kept = _loud(words)
        target = node.children.setdefault(NAME, Node())
        for key in words.keys() - kept:
            _pour(node.children.pop(key), target)
        self._size = self._root.size() - 1

    def at(self, template: tuple[str, ...]) -> Node | None:
        """The node before the last segment of a template."""
        node: Node | None = self._root
        for segment in template[:-1]:
            node = node.children.get(self._key(segment)) if node else None
        return node

    def refuse(self, template: tuple[str, ...]) -> None:
        """The template's last position is no parameter, now and later."""
        node = self._made(template)
        node.refused = True
        node.children.pop(NAME, None)
        self._size = self._root.size() - 1

    def allow(self, template: tuple[str, ...]) -> None:
        """Take ``refuse`` back: it is a parameter."""
        node = self._made(template)
        node.refused = False
        self._merge(node)

    def _made(self, template: tuple[str, ...]) -> Node:
        node = self._root
        for segment in template[:-1]:
            node = node.children.setdefault(self._key(segment), Node())
        return node

    def keeps(self, template: tuple[str, ...]) -> bool:
        """Whether the last segment, a word, stands for itself there."""
        node = self.at(template)
        return node is not None and self._key(template[-1]) in node.children

    @property
    def full(self) -> bool:
        return self._size >= MOST_VALUES

    @property
    def size(self) -> int:
        return self._size

    def age(self) -> None:
        """Halve all counts and leave out words that were hardly ever asked for."""
        _age(self._root)
        self._size = self._root.size() - 1

    def _key(self, segment: str) -> Key:
        key = self._hashes.get(segment)
        if key is None:
            key = segment if fixed(segment) else self._hash(segment)
            if len(self._hashes) > 4 * MOST_VALUES:
                self._hashes.clear()
            self._hashes[segment] = key
        return key

    def _hash(self, segment: str) -> bytes:
        text = segment.encode("utf-8", "surrogatepass")
        return blake2b(text, digest_size=8, key=self._salt).digest()

    def dump(self) -> bytes:
        return zlib.compress(json.dumps(_plain(self._root), separators=(",", ":")).encode(), 1)

    @classmethod
    def load(cls, salt: bytes, kept: bytes) -> Self:
        """What ``dump`` gave; empty bytes: a tree that has seen nothing."""
        return cls(salt, _node(json.loads(zlib.decompress(kept))) if kept else None)


def _loud(words: dict[bytes, Node]) -> set[bytes]:
    """Words that are asked for so much more than the rest that they are places, not values."""
    counts = sorted(child.count for child in words.values())
    rare = counts[: len(counts) // 2]
    usual = max(1.0, sum(rare) / len(rare)) if rare else 1.0
    loud = sorted((k for k, c in words.items() if c.count >= _LOUD * usual),
                  key=lambda k: -words[k].count)  # fmt: skip
    return set(loud) if len(loud) <= _MOST_LOUD else set()


def _pour(source: Node, target: Node) -> None:
    target.count += source.count
    target.refused |= source.refused
    for key, child in source.children.items():
        _pour(child, target.children.setdefault(key, Node()))


def _age(node: Node) -> None:
    for key, child in list(node.children.items()):
        child.count //= 2
        _age(child)
        if not child.count and isinstance(key, bytes) and not _holds(child):
            del node.children[key]


def _holds(node: Node) -> bool:
    """Whether something below was learned or said by people."""
    return node.refused or NAME in node.children or any(map(_holds, node.children.values()))


def _plain(node: Node) -> list[Any]:
    children = {k if isinstance(k, str) else f"#{k.hex()}": _plain(c)
                for k, c in node.children.items()}  # fmt: skip
    return [node.count, int(node.refused), children]


def _node(kept: list[Any]) -> Node:
    count, refused, children = kept
    return Node(count, bool(refused), {
        bytes.fromhex(k[1:]) if k.startswith("#") else k: _node(c) for k, c in children.items()
    })  # fmt: skip


__all__ = ["DISTINCT", "MOST_VALUES", "Tree"]
