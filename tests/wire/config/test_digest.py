"""One configuration, one digest, however it is written."""

from __future__ import annotations

import json

import pytest

from wire.config import config_digest, parse_config, to_document

PLAIN = """
version: 2
services:
  event_stores:
    - id: console
      type: stdout
  object_stores:
    - {type: s3, endpoint: s3.example, bucket: b, access_key: {type: env, value: A},
       secret_key: {type: env, value: B}}
stacks:
  all:
    plugins:
      - type: qscan
        config: {cache_ttl: 36h, sample_rate: 0.5}
      - type: http_capture
        config: {level: headers, rules: [{name: x, expr: http.res.status >= 500, level: full}]}
tap: {http: {stack: all}}
"""
OTHERWISE = """\
# formatted by somebody else, defaults spelt out
tap:
    http: &http {stack: "all"}
    direction: all
    ignore_loopback: false
stacks: {all: {plugins: [
  {config: {sample_rate: .5, cache_ttl: 2160m, cache_size: 4096}, type: qscan},
  {type: http_capture,
   config: {rules: [{level: full, name: 'x', expr: "http.res.status >= 500"}], level: details}}]}}
services:
  object_stores:
  - bucket: b
    type: s3
    insecure: no
    addressing: auto
    endpoint: "s3.example"
    secret_key: {value: B, type: env}
    access_key: {value: A, type: env}
  event_stores: [{type: stdout, id: console}]
version: 2
"""


def digest(text: str) -> str:
    return config_digest(to_document(parse_config(text.encode()).config))


def test_formatting_order_aliases_and_defaults_do_not_count() -> None:
    assert digest(OTHERWISE) == digest(PLAIN)
    assert digest(OTHERWISE.replace("\n", "\r\n")) == digest(PLAIN)
    document = to_document(parse_config(PLAIN.encode()).config)
    assert digest(json.dumps(document)) == config_digest(document) == digest(PLAIN)


@pytest.mark.parametrize(("old", "new"), [
    ("sample_rate: 0.5", "sample_rate: 0.6"), ("cache_ttl: 36h", "cache_ttl: 35h"),
    ("value: A", "value: C"), ("level: headers", "level: full"), (">= 500", ">= 501"),
    ("id: console", "id: other"), ("http: {stack: all}", "http: {stack: all}, direction: egress"),
])  # fmt: skip
def test_what_is_different_counts(old: str, new: str) -> None:
    assert old in PLAIN
    assert digest(PLAIN.replace(old, new)) != digest(PLAIN)


def test_the_order_of_lists_counts() -> None:
    """The first store is the default, and plugins run in their order."""
    document = to_document(parse_config(PLAIN.encode()).config)
    document["stacks"]["all"]["plugins"].reverse()
    assert config_digest(document) != digest(PLAIN)
