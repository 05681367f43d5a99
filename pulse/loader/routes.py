"""Templates of paths: ``/users/4711`` and ``/users/4712`` are both ``/users/{id}``."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_SHAPES: Final = (
    ("{id}", re.compile(r"[0-9]+")),
    ("{uuid}", re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")),
    ("{date}", re.compile(r"(?:19|20)[0-9]{2}-[01][0-9](?:-[0-3][0-9])?(?:[T_ ][0-9:.Z+-]+)?")),
    ("{email}", re.compile(r"[^@/\s]+(?:@|%40)[^@/\s]+\.[A-Za-z]{2,}")),
    ("{hex}", re.compile(r"(?=.*[0-9])(?=.*[a-fA-F])[0-9a-fA-F]{8,}|[0-9a-fA-F]{24,}")),
    ("{token}", re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_~.=-]{20,}|.{65,}")),
)
_NUMBERED: Final = re.compile(
    r"(?P<word>[A-Za-z][A-Za-z_]{0,30}[-_.]?)?[0-9]{3,}(?P<end>\.[a-z]{1,5})?"
)
MAX_SEGMENTS: Final = 12
"""What lies deeper is one ``{…}``."""


@lru_cache(maxsize=200_000)
def template_of(path: str) -> str:
    """The path with everything that looks like a value named by its kind.

    By shape alone: the same path always has the same template.
    """
    segments = path.split("/")
    kept = [segment_of(segment) for segment in segments[: MAX_SEGMENTS + 1]]
    return "/".join([*kept, "{…}"] if len(segments) > MAX_SEGMENTS + 1 else kept)


@lru_cache(maxsize=100_000)
def segment_of(segment: str) -> str:
    """One segment, or the name of what it looks like."""
    for name, shape in _SHAPES:
        if shape.fullmatch(segment):
            return name
    numbered = _NUMBERED.fullmatch(segment)
    if numbered:
        return f"{numbered['word'] or ''}{{id}}{numbered['end'] or ''}"
    return segment
