from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from portal.kit.payload import HEX_WINDOW, MAX_NODES, WINDOW, Node, payload_view


def _count(node: Node) -> int:
    return 1 + sum(_count(child) for child in node.children)


def test_json_becomes_a_tree_of_its_values() -> None:
    payload = payload_view(b'{"a": [1, null], "b": "<x>"}', "tree", 0)
    assert payload.view == "tree"
    assert payload.tree is not None
    assert [child.key for child in payload.tree.children] == ["a", "b"]
    assert payload.tree.children[1].text == '"<x>"'


def test_what_is_not_json_shows_as_text() -> None:
    payload = payload_view(b"hello", "tree", 0)
    assert (payload.view, payload.text, payload.next_start) == ("raw", "hello", None)


def test_what_is_no_text_shows_as_bytes() -> None:
    payload = payload_view(b"\x00\x01AB", "raw", 0)
    assert payload.view == "hex"
    assert payload.text.endswith("..AB")


def test_a_long_text_is_cut_into_windows() -> None:
    body = b"x" * (WINDOW + 10)
    first = payload_view(body, "raw", 0)
    second = payload_view(body, "raw", first.next_start or 0)
    assert (len(first.text), len(second.text)) == (WINDOW, 10)
    assert (second.next_start, second.previous_start) == (None, 0)


def test_a_wide_document_does_not_make_an_endless_tree() -> None:
    payload = payload_view(json.dumps(list(range(50_000))).encode()[: WINDOW - 1] + b"", "tree", 0)
    assert payload.view == "raw"
    tree = payload_view(json.dumps(list(range(20_000))).encode(), "tree", 0).tree
    assert tree is not None
    assert _count(tree) <= MAX_NODES + 2


def test_a_deep_document_is_shown_as_far_as_it_goes() -> None:
    payload = payload_view(b"[" * 3_000 + b"]" * 3_000, "tree", 0)
    assert payload.view in {"tree", "raw"}


@given(st.binary(max_size=4_000), st.sampled_from(["tree", "raw", "hex", "x"]), st.integers())
def test_any_bytes_can_be_looked_at(body: bytes, view: str, start: int) -> None:
    payload = payload_view(body, view, start)
    assert payload.total == len(body)
    assert 0 <= payload.start <= payload.end <= len(body)
    assert payload.end - payload.start <= max(WINDOW, HEX_WINDOW)
