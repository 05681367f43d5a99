"""What is wrong is said with line and column, and with what to do."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from wire.config import ConfigError, Problem, parse_config
from wire.config.nodes import MAX_BYTES, MAX_DEPTH


def errors(text: str | bytes, *, strict: bool = False) -> list[Problem]:
    with pytest.raises(ConfigError) as refused:
        parse_config(text, strict=strict)
    return [one for one in refused.value.problems if one.severity == "error"]


def only_error(text: str | bytes) -> tuple[int, int, str]:
    (found,) = errors(text)
    return found.line, found.column, found.message


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", (1, 1), "must begin with version: 2"),
        ("- 1", (1, 1), "must be a mapping"),
        ("tap: {}", (1, 1), "version is missing"),
        ("version: 3", (1, 10), "version must be 2, not '3'"),
        ("version: [2]", (1, 10), "version must be 2"),
        ("version: 2\n\ttap: {}", (2, 1), "a tab cannot indent YAML"),
        ("version: 2\nversion: 2", (2, 1), "stands twice; first in line 1"),
        ("version: 2\ntap:\n  direction: all\n  direction: all", (4, 3), "stands twice"),
        ("version: 2\n---\nversion: 2", (2, 1), "one document only"),
        ("version: 2\nx: *gone", (2, 4), "no such anchor"),
        ("version: 2\nx: &a [*a]", (2, 8), "inside what it refers to"),
        ("version: 2\n? [1, 2]\n: 3", (2, 3), "a key must be a plain word"),
        ("version: 2\nx: !!python/name:os.system ''", (2, 4), "has no meaning"),
        ("version: 2\nx: !evil {}", (2, 4), "the tag !evil has no meaning"),
        ("version: 2\nx: {<<: 3}", (2, 9), "<< takes a mapping"),
        ("version: 2\nx: [", (3, 1), "this is not YAML"),
        ("version: 2\nx: \x01", (2, 4), "does not allow"),
        (b"version: 2\nx: \xff", (2, 4), "not UTF-8"),
        ("version: 2\ntap: 3", (2, 6), "must be a mapping of keys"),
        ("version: 2\ntap: {ignore_loopback: 3}", (2, 24), "must be true or false"),
        ("version: 2\ntap: {ignore_loopback: 'true'}", (2, 24), "must be true or false"),
        ("version: 2\ntap: {direction: egres}", (2, 18), "did you mean egress?"),
        ("version: 2\ntags: 3", (2, 7), "must be a list"),
        ("version: 2\ntags: [{key: a, source: env}]", (2, 8), "location is missing"),
        ("version: 2\nstacks: [a]", (2, 9), "must be a mapping of names"),
        ("version: 2\ntap: {http: {stack: defualt}}\nstacks: {default: {}}", (2, 21),
         "which stacks does not define; did you mean default?"),
    ],
)  # fmt: skip
def test_one_thing_wrong(text: str | bytes, place: tuple[int, int], words: str) -> None:
    line, column, message = only_error(text)
    assert (line, column) == place
    assert words in message


@pytest.mark.parametrize("key", ["redis", "mysql", "kafka", "postgres"])
def test_a_tap_that_we_do_not_have(key: str) -> None:
    line, column, message = only_error(f"version: 2\ntap:\n  {key}: {{stack: x}}\n")
    assert (line, column) == (3, 3)
    assert message == "not supported: only HTTP is captured; remove it"


@pytest.mark.parametrize(
    ("where", "kind", "instead"),
    [
        ("event_stores", "axiom", "use pulse, or stdout with a log shipper"),
        ("event_stores", "otel", "use stdout with a log shipper, or pulse"),
        ("object_stores", "qpoint", "use s3 or directory"),
        ("object_stores", "otel", "use stdout with a log shipper, or pulse"),
    ],
)
def test_a_store_that_we_do_not_have(where: str, kind: str, instead: str) -> None:
    text = f"version: 2\nservices:\n  {where}:\n    - id: x\n      type: {kind}\n"
    line, column, message = only_error(text)
    assert (line, column) == (5, 13)
    assert f"stores of type {kind} are not supported" in message
    assert instead in message


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("data_loss_protection", "use qscan with monitors"),
        ("debug", "use access_logs"),
        ("http_captrue", "did you mean http_capture?"),
    ],
)
def test_a_plugin_that_we_do_not_have(kind: str, words: str) -> None:
    text = f"version: 2\nstacks:\n  s:\n    plugins:\n      - type: {kind}\n"
    line, column, message = only_error(text)
    assert (line, column) == (5, 15)
    assert words in message


def test_an_unknown_key_is_a_warning_and_strictly_an_error() -> None:
    text = "version: 2\ntap:\n  directon: all\n  frob: 1\n"
    parsed = parse_config(text)
    assert [(one.line, one.column, one.path) for one in parsed.warnings] == [
        (3, 3, "tap.directon"), (4, 3, "tap.frob"),
    ]  # fmt: skip
    assert parsed.warnings[0].message == "unknown key; did you mean direction?"
    assert parsed.warnings[1].message == "unknown key"
    assert [one.path for one in errors(text, strict=True)] == ["tap.directon", "tap.frob"]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    text = (
        "version: 2\ntap:\n  direction: up\n  redis: {}\nservices:\n  event_stores:\n"
        "    - {id: a, type: stdout}\n    - {id: a, type: axiom}\n  object_stores: [{}]\n"
    )
    assert [(one.line, one.path) for one in errors(text)] == [
        (3, "tap.direction"), (4, "tap.redis"), (9, "services.object_stores[0]"),
    ]  # fmt: skip


STORES = """\
version: 2
services:
  event_stores:
    - {id: a, type: pulse, url: "http://p", allow_insecure: true, token: {type: text, value: t}}
  object_stores:
    - id: b
      type: s3
      endpoint: https://s3.example/
      bucket: ""
      insecure: true
      access_url: https://x/{{KEY}}
      access_key: {type: env, value: "my key"}
    - {id: b, type: directory, path: relative}
"""


def test_stores_are_checked_whole() -> None:
    found = {(one.path, one.message.partition(":")[0]) for one in errors(STORES)}
    assert found == {
        ("services.object_stores[0]", "bucket is missing"),
        ("services.object_stores[0]", "access_key and secret_key belong together"),
        ("services.object_stores[0].endpoint",
         "must be host and port alone, without scheme and path"),
        ("services.object_stores[0].access_url",
         "{{KEY}} is none of {{SCHEME}}, {{ENDPOINT}}, {{BUCKET}}, {{DIGEST}}"),
        ("services.object_stores[0].access_key",
         "value must be the name of an environment variable"),
        ("services.object_stores[1]", "path is missing"),
        ("services.object_stores[1]", "the id 'b' is that of entry 1 as well"),
    }  # fmt: skip


DANGERS = """\
version: 2
services:
  event_stores:
    - {id: a, type: stdout, token: {type: text, value: hush}}
  object_stores:
    - id: b
      type: s3
      endpoint: s3.example
      bucket: b
      insecure: true
      access_url: https://x/
      access_key: {type: text, value: AKIA}
      secret_key: {type: text, value: hush}
stacks:
  s: {plugins: [{type: http_capture}, {type: qscan}]}
  t: {plugins: [{type: http_capture, config: {level: full}}, {type: qscan}]}
tap: {http: {stack: s}}
"""


def test_dangers_are_warned_of() -> None:
    warnings = parse_config(DANGERS).warnings
    assert [(one.line, one.path.removeprefix("services.")) for one in warnings] == [
        (4, "event_stores[0].token"),
        (4, "event_stores[0].token"),
        (10, "object_stores[0].insecure"),
        (11, "object_stores[0].access_url"),
        (12, "object_stores[0].access_key"),
        (13, "object_stores[0].secret_key"),
        (15, "stacks.s.plugins[1]"),
    ]
    assert not any("hush" in one.message or "AKIA" in one.message for one in warnings)


@pytest.mark.parametrize(
    ("rule", "offset", "words"),
    [
        ("http.req.host = 1", 14, "'=' has no meaning here"),
        ("http.req.host ==", 16, "a field or a value is missing"),
        ("frob()", 0, "there is no function or macro frob()"),
        ("a matches /(/", 10, "not a regular expression"),
        ("", 0, "the rule is empty"),
    ],
)
def test_a_bad_rule_is_found_in_its_line_and_column(rule: str, offset: int, words: str) -> None:
    text = "version: 2\nstacks: {s: {plugins: [{type: http_capture, config: {rules: [\n"
    text += f"          {{name: some rule, level: full, expr: '{rule}'}}]}}}}]}}}}\n"
    line, column, message = only_error(text)
    assert words in message
    assert (line, column) == (3, text.splitlines()[2].index("'") + 2 + offset)


def test_a_field_that_does_not_exist_is_warned_of() -> None:
    text = "version: 2\ncontrol: {rules: [{expr: http.req.hots == 'x', actions: [deny]}]}\n"
    (warning,) = parse_config(text).warnings
    assert "there is no field http.req.hots, so this never passes" in warning.message
    assert "did you mean http.req.host?" in warning.message


def test_macros_that_call_each_other_in_a_circle() -> None:
    text = (
        "version: 2\nrulekit:\n  macros:\n    - {name: a, expr: b()}\n    - {name: b, expr: a()}\n"
    )
    found = errors(text)
    assert [one.line for one in found] == [4, 5]
    assert "macros call each other in a circle" in found[0].message


# -- bounds ----------------------------------------------------------------------------


def bounded(text: str | bytes) -> str:
    """The only error of a hostile document, found quickly and in little memory."""
    tracemalloc.start()
    began = time.process_time()
    message = only_error(text)[2]
    seconds = time.process_time() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 5.0
    assert peak < 100 * 1024 * 1024
    return message


def test_a_huge_document() -> None:
    assert "are allowed" in bounded("version: 2\n#" + "x" * MAX_BYTES)


def test_many_values() -> None:
    assert "more than 100,000 values" in bounded("version: 2\nx: [" + "1," * 200_000 + "]")


@pytest.mark.parametrize("bracket", ["[", "{a: "])
def test_deep_nesting(bracket: str) -> None:
    assert f"more than {MAX_DEPTH} deep" in bounded("version: 2\nx: " + bracket * 5_000)


def test_a_bomb_of_aliases() -> None:
    lines = ["version: 2", "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "aliases expanded" in bounded("\n".join(lines))


def test_a_ladder_of_aliases_is_no_deeper_than_the_bound() -> None:
    lines = ["version: 2", "a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 100)]
    assert "deep" in bounded("\n".join(lines))


def test_anchors_and_merge_keys_are_understood() -> None:
    text = """\
version: 2
x-common: &common {type: s3, endpoint: s3.example, bucket: b, insecure: false}
services:
  object_stores:
    - {<<: *common, id: one}
    - {id: two, bucket: other, <<: [*common]}
"""
    config, warnings = parse_config(text)
    assert [(one.id, one.bucket) for one in config.services.object_stores] == [
        ("one", "b"), ("two", "other"),
    ]  # fmt: skip
    assert [one.path for one in warnings] == ["x-common"]


def test_no_stores_at_all_is_a_configuration() -> None:
    config, warnings = parse_config("version: 2\n")
    assert (config.event_store, config.object_store, warnings) == (None, None, ())


def test_the_first_store_is_the_default_unless_it_is_disabled() -> None:
    text = "version: 2\nservices: {object_stores: [{type: %s}, {type: directory, path: /x}]}\n"
    first = parse_config(text % "stdout").config.object_store
    assert first is not None
    assert first.name == "stdout"
    assert parse_config(text % "disabled").config.object_store is None


def test_stacks_that_nothing_uses() -> None:
    text = "version: 2\nstacks: {s: {plugins: [{type: report_usage}]}}\n"
    (warning,) = parse_config(text).warnings
    assert (warning.line, warning.path) == (2, "stacks")
    assert "tap.http.stack" in warning.message
    assert parse_config(text + "tap: {http: {stack: s}}\n").warnings == ()
