"""What one segment of a path looks like: ``4711`` is an ``{id}``, ``me`` is a word."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_SHAPES: Final = (
    ("{id}", re.compile(r"[0-9]+")),
    ("{uuid}", re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")),
    ("{date}", re.compile(r"(?:19|20)[0-9]{2}-[01][0-9](?:-[0-3][0-9])?(?:[T_ ][0-9:.Z+-]+)?")),
    # Also where it is encoded, or its domain is not in ASCII: an address is a person.
    ("{email}", re.compile(r"[^@/]+(?:@|%(?:25)*40)[^@/]+(?:\.|%2E)[^@/]{2,}", re.IGNORECASE)),
    ("{hex}", re.compile(r"(?=.*[0-9])(?=.*[a-fA-F])[0-9a-fA-F]{8,}|[0-9a-fA-F]{24,}")),
    ("{token}", re.compile(
        r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_~.=-]{20,}|.{65,}"
        # Short ones change between letters and digits more often than words do.
        r"|(?=[A-Za-z0-9_-]{8,}$)[A-Za-z_-]*(?:[0-9]+[A-Za-z_-]+){2}[0-9]+[A-Za-z0-9_-]*", re.DOTALL
    )),
)  # fmt: skip
_NUMBERED: Final = re.compile(
    r"(?P<word>[A-Za-z][A-Za-z_]{0,30}[-_.]?)?[0-9]{3,}(?P<end>\.[a-z]{1,5})?"
)
_VERSION: Final = re.compile(r"v[0-9]{1,2}(?:\.[0-9]{1,2}){0,2}(?:(?:alpha|beta|rc)[0-9]{0,2})?")
_SHORT: Final = 24
"""Letters alone have no shape below this."""
LONGEST_SEGMENT: Final = 254
"""Characters, as many as an address of mail has at most; what is longer is a ``{token}``."""
MAX_SEGMENTS: Final = 12
"""What lies deeper is one ``{…}``."""
REST: Final = "{…}"
NAME: Final = "{name}"
"""A value that no shape tells from a word."""
WORDS: Final = frozenset(
    """
    about accept account accounts activate active activity add address admin all api app approve
    apps archive assets auth authorize avatar balance batch billing callback cancel cart category
    check checkout clear close comments config confirm copy count create css current dashboard
    default delete details disable download edit enable error events exists export favicon.ico
    feed file files filter find first followers following forgot graphql health healthz help
    history home images img import inbox index index.html info invite items jobs js last latest
    like list live livez lock login logout me media members merge messages meta metrics move my
    new next notifications oauth oauth2 open order orders password pay payments ping popular posts
    preferences preview previous private profile profiles public publish query random read ready
    readyz recent refresh register reject release remove rename reports reset restore revoke
    robots.txt rpc save search self send session sessions settings share sign-in sign-out sign-up
    signin signout signup start static stats status stop submit summary sync tags test today token
    tokens top transfer trash trending undo unlock update upload user users validate verify
    version versions view watch webhooks whoami
    """.split()  # noqa: SIM905  a list of two hundred lines otherwise
)
"""What programs call their own places, on any host: never taken for a value."""


def segment_of(segment: str) -> str:
    """One segment, or the name of what it looks like."""
    # Looking at shapes takes time in the square of the length, and what was seen is remembered.
    return _segment_of(segment) if len(segment) <= LONGEST_SEGMENT else "{token}"


@lru_cache(maxsize=100_000)
def _segment_of(segment: str) -> str:
    if segment in WORDS or (len(segment) < _SHORT and segment.isascii() and segment.isalpha()):
        return segment
    if "{" in segment or "}" in segment:
        # It may not pass for the name of a value.
        return "{token}"
    if ";" in segment:
        # Parameters behind a semicolon carry sessions.
        return f"{segment_of(segment.partition(';')[0])};{REST}"
    for name, shape in _SHAPES:
        if shape.fullmatch(segment):
            return name
    numbered = _NUMBERED.fullmatch(segment)
    if numbered:
        return f"{numbered['word'] or ''}{{id}}{numbered['end'] or ''}"
    return segment


@lru_cache(maxsize=100_000)
def fixed(segment: str) -> bool:
    """Whether this segment of a template is no value: a shape's name, a version, a known word."""
    is_shape = segment.startswith("{") and segment.endswith("}") and segment[1:-1].isalpha()
    return (
        is_shape
        or segment == REST
        or not segment
        or segment in WORDS
        or bool(_VERSION.fullmatch(segment))
    )


def segments_of(path: str) -> list[str]:
    """The path's segments with everything that looks like a value named by its kind; at most
    ``MAX_SEGMENTS`` and a ``REST``. Joined by ``/`` they are the path's template by shape.
    """
    parts = path.split("/", MAX_SEGMENTS + 1)
    # As segment_of, without a call for each: this is most of what a new path costs.
    kept = [
        _segment_of(part) if len(part) <= LONGEST_SEGMENT else "{token}"
        for part in parts[: MAX_SEGMENTS + 1]
    ]
    return [*kept, REST] if len(parts) > MAX_SEGMENTS + 1 else kept
