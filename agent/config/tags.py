"""Tags of a connection: what every one has, what the operator gave, what is looked up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agent.capture.source import Connection
from agent.who import Who
from wire.config.model import Tag
from wire.events import MAX_TAG_KEY, MAX_TAG_VALUE, MAX_TAGS

Tags = dict[str, list[str]]


class TagsError(ValueError):
    """``--tags`` cannot be read; the message says how it is written."""


def deployment_tags(text: str) -> Tags:
    """``team:shop,region:eu`` → tags. A key may stand more than once.

    Raises ``TagsError``.
    """
    tags: Tags = {}
    for word in filter(None, (part.strip() for part in text.split(","))):
        key, colon, value = word.partition(":")
        if not colon or not key:
            raise TagsError(f"{word!r} is no tag: write key:value,key:value")
        tags.setdefault(key.strip(), []).append(value.strip())
    return tags


def variables(tags: Iterable[Tag], fields: Iterable[str]) -> frozenset[str]:
    """Names of the environment's variables that tags and rules ask for."""
    prefix = "src.process.env."
    named = {tag.location for tag in tags if tag.source == "env"}
    named |= {field.removeprefix(prefix) for field in fields if field.startswith(prefix)}
    return frozenset(named)


def tags_of(
    connection: Connection, who: Who, wanted: Iterable[Tag], given: Mapping[str, list[str]],
    hostname: str,
) -> Tags:  # fmt: skip
    """All tags of a connection; what is not there gives no tag."""
    tags: Tags = {key: list(values) for key, values in given.items()}
    tags.setdefault("bin", []).append(connection.exe.rpartition("/")[2] or connection.comm)
    tags.setdefault("host", []).append(hostname)
    tags.setdefault("ip", []).append(connection.local_ip)
    for tag in wanted:
        value = _value(tag, who)
        if value:
            tags.setdefault(tag.key, []).append(value)
    return tags


def tag_lines(who: Who, wanted: Iterable[Tag], given: Mapping[str, list[str]]) -> tuple[str, int]:
    """The operator's tags as an event carries them, and how many there was no room for.

    Without those that every connection has: an event says process, node and address anyway.
    """
    pairs = [(key, value) for key, values in given.items() for value in values]
    pairs += [(tag.key, _value(tag, who)) for tag in wanted]
    lines = sorted({_line(key, value) for key, value in pairs if value})
    return "\n".join(lines[:MAX_TAGS]), max(len(lines) - MAX_TAGS, 0)


def _line(key: str, value: str) -> str:
    return f"{_cut(key, MAX_TAG_KEY)}:{_cut(value, MAX_TAG_VALUE)}"


def _cut(text: str, limit: int) -> str:
    """On one line, and never half a character at its end."""
    whole = " ".join(text.split()).encode("utf-8", "replace")
    return whole[:limit].decode("utf-8", "ignore")


def _value(tag: Tag, who: Who) -> str:
    sources: dict[str, Mapping[str, str]] = {
        "env": who.environment,
        "k8s.label": who.pod_labels,
        "k8s.annotation": who.pod_annotations,
        "container.label": who.container_labels,
    }
    return sources[tag.source].get(tag.location, "")
