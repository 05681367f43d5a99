"""Forgetting the journal is visible: each service's code is read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("vaultsvc", "notify", "identity", "fleet", "pulse", "billing")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def service_files(room: str) -> list[Path]:
    """``services.py``, or the modules of ``services/``, of a room and of its parts."""
    return sorted(
        path
        for path in (ROOT / room).rglob("*.py")
        if path.name == "services.py" or "services" in path.relative_to(ROOT).parts[:-1]
    )


def functions(files: list[Path]) -> Iterator[tuple[str, Function]]:
    for path in files:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, Function):
                yield node.name, node


def calls(node: Function) -> set[str]:
    called = [n.func for n in ast.walk(node) if isinstance(n, ast.Call)]
    names = {f.id for f in called if isinstance(f, ast.Name)}
    return names | {f.attr for f in called if isinstance(f, ast.Attribute)}


def is_service(name: str, node: Function) -> bool:
    """Public, and with a keyword-only ``actor``, as every service has it."""
    return not name.startswith("_") and "actor" in {a.arg for a in node.args.kwonlyargs}


def unjournalled(files: list[Path]) -> list[str]:
    """Services that do not reach ``record`` through the functions of their room."""
    reach = {name: calls(node) for name, node in functions(files)}
    services = [name for name, node in functions(files) if is_service(name, node)]

    def journals(name: str, seen: set[str]) -> bool:
        if "record" in reach.get(name, set()):
            return True
        onward = (reach.get(name, set()) & reach.keys()) - seen
        return any(journals(called, seen | onward) for called in onward)

    return [name for name in services if not journals(name, {name})]


@pytest.mark.parametrize("room", ROOMS)
def test_every_service_of_the_room_reaches_the_journal(room: str) -> None:
    assert unjournalled(service_files(room)) == []


def test_the_rooms_have_services_to_walk() -> None:
    found = {
        name
        for room in ("identity", "fleet")
        for name, node in functions(service_files(room))
        if is_service(name, node)
    }
    assert {"account_create", "staff_remove", "object_open", "registration_token_revoke"} <= found


def test_a_forgotten_entry_is_found(tmp_path: Path) -> None:
    path = tmp_path / "services.py"
    path.write_text(
        "def good(*, actor): _deep(actor)\n"
        "def _deep(actor): _deeper(actor)\n"
        "def _deeper(actor): record(actor=actor)\n"
        "def bad(*, actor): _loop(actor)\n"
        "def _loop(actor): bad(actor=actor)\n"
        "def unasked(actor): ...\n"
    )
    assert unjournalled([path]) == ["bad"]
