"""What an account takes with it: every room names the files that hold the account's own data.

A room registers its parts in ``<room>/takeout.py`` at start-up; who packs them into one
archive is ``identity``. Parts hold no secrets: no tokens, no credentials, no passwords.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

from qcloud.kernel.scope import Scope
from qcloud.kernel.spreadsheet import csv_lines, iso

File = tuple[str, Iterable[bytes]]
"""A name within the archive, with ``/`` between folders, and the contents in pieces."""


@dataclass(frozen=True)
class Part:
    name: str
    """For people: “Staff”."""
    files: Callable[[Scope], Iterator[File]]
    """Reads the account's own rows, nobody's below it."""


_parts: Final[dict[tuple[int, str], Part]] = {}


def offer(name: str, files: Callable[[Scope], Iterator[File]], *, order: int) -> None:
    """Declare a part; the archive holds them in this order."""
    _parts[order, name] = Part(name, files)


def parts() -> tuple[Part, ...]:
    return tuple(_parts[key] for key in sorted(_parts))


def table(name: str, heads: Sequence[str], rows: Iterable[object]) -> File:
    """A CSV file with these attributes of each row."""
    values = (tuple(_cell(attrgetter(head)(row)) for head in heads) for row in rows)
    return name, (line.encode() for line in csv_lines(heads, values))


def document(name: str, value: object) -> File:
    """A JSON file; dataclasses become objects, sets lists, times ISO 8601 in UTC."""
    text = json.dumps(value, default=_plain, indent=2, ensure_ascii=False)
    return name, [f"{text}\n".encode()]


def _cell(value: object) -> object:
    if isinstance(value, dict | list | tuple | set | frozenset):
        return json.dumps(value, default=_plain, ensure_ascii=False)
    return value


def _plain(value: Any) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, set | frozenset):
        return sorted(str(one) for one in value)
    return iso(value) if isinstance(value, datetime) else str(value)
