"""``qcloud-agent validate``: what is wrong with a configuration, for people and machines."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from wire.config import ConfigError, Problem, parse_config
from wire.config.nodes import MAX_BYTES

VALID: Final = 0
INVALID: Final = 1
UNREADABLE: Final = 2
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Names of keys are somebody's text; a terminal obeys these letters."""


def validate(where: str, *, strict: bool, form: str) -> int:
    """Print every problem; 0: it can be used, 1: it cannot, 2: it cannot be read."""
    try:
        text = _read(where)
    except OSError as error:
        sys.stderr.write(f"{where}: {error.strerror}\n")
        return UNREADABLE
    try:
        problems, valid = list(parse_config(text, strict=strict).warnings), True
    except ConfigError as error:
        problems, valid = list(error.problems), False
    report = _as_json if form == "json" else _as_text
    sys.stdout.write(report(where, problems, valid=valid))
    return VALID if valid else INVALID


def _read(where: str) -> bytes:
    if where == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    with Path(where).open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _as_text(where: str, problems: list[Problem], *, valid: bool) -> str:
    name = "<stdin>" if where == "-" else where
    lines = []
    for one in problems:
        place = f"{name}:{one.line}:{one.column}" if one.line else name
        path = f"{one.path}: " if one.path else ""
        lines.append(f"{place}: {one.severity}: {path}{one.message}")
    lines.append(f"{name}: {'can be used' if valid else 'cannot be used'}")
    return "".join(f"{_CONTROL.sub(_escaped, line)}\n" for line in lines)


def _escaped(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):02x}"


def _as_json(where: str, problems: list[Problem], *, valid: bool) -> str:
    found: list[dict[str, Any]] = [
        {
            "severity": one.severity,
            "line": one.line,
            "column": one.column,
            "path": one.path,
            "message": one.message,
        }
        for one in problems
    ]
    document = {"file": where, "valid": valid, "problems": found}
    return msgspec.json.encode(document).decode() + "\n"
