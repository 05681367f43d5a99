"""Tags of a connection: what every one has, what the operator gave, what is looked up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agent.capture.source import Connection
from agent.who import Who
from wire.config.model import Tag

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


def _value(tag: Tag, who: Who) -> str:
    sources: dict[str, Mapping[str, str]] = {
        "env": who.environment,
        "k8s.label": who.pod_labels,
        "k8s.annotation": who.pod_annotations,
        "container.label": who.container_labels,
    }
    return sources[tag.source].get(tag.location, "")
