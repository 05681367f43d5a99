"""Templates made by hand: read, checked and matched. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from pulse.routes.shapes import MAX_SEGMENTS, REST
from qcloud.kernel.errors import Invalid

LONGEST: Final = 512
_PARAMETER: Final = re.compile(r"\{[a-z][a-z0-9_-]{0,30}\}")
_HELP: Final = (
    "Begin with /; a value is a name in braces, as in /shops/{name}/orders; {…} at the end"
    f" stands for whatever follows; at most {MAX_SEGMENTS} segments and {LONGEST} characters."
)


def checked(text: str) -> str:
    """The template as it is kept. Raises ``Invalid``."""
    wanted = text.strip().replace("{...}", REST)
    segments = wanted.split("/")
    good = (
        wanted.startswith("/")
        and len(wanted) <= LONGEST
        and len(segments) <= MAX_SEGMENTS + 1
        and wanted.isprintable()
        and REST not in segments[:-1]
        and all(map(_segment, segments))
    )
    if not good:
        raise Invalid("That is no template of paths.", fields={"template": _HELP})
    return wanted


def _segment(text: str) -> bool:
    if "{" in text or "}" in text:
        return text == REST or bool(_PARAMETER.fullmatch(text))
    return not any(character in text for character in "?# ")


@dataclass
class _Step:
    words: dict[str, _Step] = field(default_factory=dict)
    value: _Step | None = None
    rest: str = ""
    template: str = ""


class Patterns:
    """Some templates; where several match, words win over values, from the left."""

    def __init__(self, templates: Iterable[str]) -> None:
        self._root = _Step()
        for template in sorted(templates):
            self._add(template)

    def _add(self, template: str) -> None:
        step = self._root
        for segment in template.split("/"):
            if segment == REST:
                step.rest = template
                return
            if segment.startswith("{"):
                step.value = step.value or _Step()
                step = step.value
            else:
                step = step.words.setdefault(segment, _Step())
        step.template = template

    def match(self, path: str) -> str:
        """The template that the path is an instance of, or empty."""
        if not self._root.words and self._root.value is None:
            return ""
        return _match(self._root, path.split("/", MAX_SEGMENTS + 1), 0)


def _match(step: _Step, segments: Sequence[str], place: int) -> str:
    if place == len(segments):
        return step.template
    segment = segments[place]
    word = step.words.get(segment)
    found = _match(word, segments, place + 1) if word else ""
    if not found and step.value and segment:
        found = _match(step.value, segments, place + 1)
    return found or step.rest
