"""Every use of system mode stands in the allow-list, and the list holds nothing else."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture.source import ROOT, modules

ALLOWED = ROOT / "tests" / "architecture" / "unscoped.txt"


def uses() -> Iterator[str]:
    """``path: reason`` for each call; a formatted reason by its fixed part."""
    for path, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "unscoped":
                yield f"{path}: {_reason(node)}"


def _reason(call: ast.Call) -> str:
    (reason, *_rest) = call.args
    if isinstance(reason, ast.JoinedStr):
        reason = reason.values[0]
    assert isinstance(reason, ast.Constant), "say why in place: unscoped(…) takes a literal"
    return str(reason.value)


def test_every_use_of_system_mode_is_on_the_list() -> None:
    lines = ALLOWED.read_text(encoding="utf-8").splitlines()
    allowed = [line for line in lines if line and not line.startswith("#")]
    assert sorted(set(uses())) == sorted(allowed)
