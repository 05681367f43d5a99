"""The rooms' source as the architecture tests walk it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
ROOMS: Final = (
    "qcloud", "wire", "audit", "vaultsvc", "notify", "identity", "fleet", "pulse", "billing",
    "portal", "agent",
)  # fmt: skip


def modules(*rooms: str) -> Iterator[tuple[str, ast.Module]]:
    """(path below the root, syntax tree) of every module, migrations left out."""
    for room in rooms or ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            relative = path.relative_to(ROOT)
            if "migrations" not in relative.parts and "node_modules" not in relative.parts:
                yield str(relative), ast.parse(path.read_text(encoding="utf-8"))
