"""The configuration, ``version: 2``: read, checked, written; no file and no socket here.

``parse_config`` reads text and knows lines and columns; ``load_config`` takes what a
platform sent as JSON. Both hand back the same frozen values.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final, NamedTuple

from wire.config.checks import check
from wire.config.decode import INVALID, Decoder
from wire.config.dump import dump_config, to_document
from wire.config.model import Config, Credential, EventStore, ObjectStore
from wire.config.nodes import Mapping, Node, Scalar, compose, from_object
from wire.config.problems import ConfigError, Problem

__all__ = [
    "VERSION",
    "Config",
    "ConfigError",
    "Credential",
    "EventStore",
    "ObjectStore",
    "Parsed",
    "Problem",
    "config_digest",
    "dump_config",
    "load_config",
    "parse_config",
    "read_document",
    "to_document",
]

VERSION: Final = 2


class Parsed(NamedTuple):
    config: Config
    warnings: tuple[Problem, ...]
    """By line and column."""


def parse_config(source: str | bytes, *, strict: bool = False) -> Parsed:
    """The configuration in a YAML document.

    ``strict``: an unknown key is an error too. Raises ``ConfigError`` with every problem.
    """
    return _read(compose(source), Decoder(strict=strict))


def load_config(document: object) -> Config:
    """``read_document`` without its warnings.

    Raises ``ConfigError``.
    """
    return read_document(document).config


def read_document(document: object, *, strict: bool = False) -> Parsed:
    """The configuration in a parsed document, as a platform sends it.

    Raises ``ConfigError``. A plugin or key that this version does not know is left out and
    warned of: a platform may be newer than its agents.
    """
    return _read(from_object(document), Decoder(strict=strict, lenient=True))


def config_digest(document: dict[str, Any]) -> str:
    """SHA-256 of the document in canonical JSON, hexadecimal."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _read(root: Node, reader: Decoder) -> Parsed:
    if not isinstance(root, Mapping):
        reader.error("", "the document must be a mapping that begins with version: 2",
                     root.position)  # fmt: skip
        reader.finish()
    else:
        _version(root, reader)
    config = reader.decode(Config, root, "")
    if config is not INVALID:
        check(config, reader)
    reader.finish()
    warnings = sorted(reader.problems, key=lambda one: (one.line, one.column))
    return Parsed(config, tuple(warnings))


def _version(root: Mapping, reader: Decoder) -> None:
    if "version" not in root.entries:
        reader.error("version", "version is missing: write version: 2", root.position)
        reader.finish()
    _, node = root.entries["version"]
    if not isinstance(node, Scalar) or node.text != str(VERSION):
        said = node.text[:40] if isinstance(node, Scalar) else "something else"
        reader.error("version", f"version must be 2, not {said!r}", node.position)
        reader.finish()
