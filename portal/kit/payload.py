"""Bodies for the eye: as a tree, as text, as bytes. Everything ends up as text nodes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

WINDOW: Final = 256 * 1024
"""Bytes of a body on one page."""
HEX_WINDOW: Final = 8 * 1024
MAX_NODES: Final = 2_000
VIEWS: Final = ("tree", "raw", "hex")


@dataclass(frozen=True)
class Node:
    """One value of a JSON document; ``children`` of an object or a list."""

    key: str
    kind: str
    """``object``, ``list``, ``string``, ``number``, ``word``."""
    text: str
    children: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Payload:
    view: str
    total: int
    start: int
    end: int
    text: str = ""
    tree: Node | None = None
    note: str = ""

    @property
    def next_start(self) -> int | None:
        return self.end if self.end < self.total else None

    @property
    def previous_start(self) -> int | None:
        if not self.start:
            return None
        return max(0, self.start - (HEX_WINDOW if self.view == "hex" else WINDOW))


def payload_view(body: bytes, view: str, start: int) -> Payload:
    """The part of ``body`` from ``start`` on in the wanted form.

    What is not JSON, or longer than a window, has no tree and shows as text; what is no
    text shows as bytes.
    """
    start = min(max(0, start), len(body))
    if view == "tree":
        tree = _tree(body)
        if tree:
            return Payload("tree", len(body), 0, len(body), tree=tree)
        view = "raw"
    if view == "raw" and _is_text(body[start : start + WINDOW]):
        end = min(len(body), start + WINDOW)
        return Payload("raw", len(body), start, end, body[start:end].decode("utf-8", "replace"))
    end = min(len(body), start + HEX_WINDOW)
    return Payload("hex", len(body), start, end, _hex(body[start:end], start))


def _is_text(body: bytes) -> bool:
    """UTF-8 but for a character cut at the end, and no control characters."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(body) - 3:
            return False
        text = body[: error.start].decode("utf-8")
    return not any(ord(c) < 32 and c not in "\t\r\n" for c in text)


def _hex(body: bytes, start: int) -> str:
    lines = []
    for at in range(0, len(body), 16):
        row = body[at : at + 16]
        left = " ".join(f"{byte:02x}" for byte in row)
        right = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{start + at:08x}  {left:<47}  {right}")
    return "\n".join(lines)


def _tree(body: bytes) -> Node | None:
    if not body or len(body) > WINDOW:
        return None
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    budget = [MAX_NODES]
    return _node("", document, budget, 0) if isinstance(document, dict | list) else None


def _node(key: str, value: Any, budget: list[int], depth: int) -> Node:
    budget[0] -= 1
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        kind = "object" if isinstance(value, dict) else "list"
        text = f"{len(value):,} {'fields' if kind == 'object' else 'items'}"
        if budget[0] <= 0 or depth > 32:
            return Node(key, kind, f"{text}, not shown: see the text")
        children = []
        for name, inner in pairs:
            if budget[0] <= 0:
                children.append(Node("…", "word", "more, see the text"))
                break
            children.append(_node(_encodable(str(name)), inner, budget, depth + 1))
        return Node(key, kind, text, tuple(children))
    return _leaf(key, value)


def _encodable(text: str) -> str:
    """JSON may spell half a surrogate pair, which no page can hold: shown as it was spelled."""
    return text.encode("utf-8", "backslashreplace").decode()


def _leaf(key: str, value: Any) -> Node:
    if isinstance(value, str):
        return Node(key, "string", _encodable(json.dumps(value, ensure_ascii=False)))
    kind = "word" if value is None or isinstance(value, bool) else "number"
    return Node(key, kind, json.dumps(value))
