"""What the operator's configuration adds to events: tags, and headers to search by."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.tags import tag_lines
from agent.who import NOBODY, Who
from tests.agent.config.inside import Inside, answer, ask
from wire.config import ConfigError, dump_config, parse_config
from wire.config.model import Tag
from wire.events import MAX_TEXT_BYTES, encode_line

_TAGS = """
tags:
  - {key: team, source: k8s.label, location: app.kubernetes.io/part-of}
  - {key: note, source: container.label, location: note}
  - {key: deploy, source: env, location: DEPLOYMENT}
  - {key: missing, source: env, location: NOWHERE}
"""
WHO = Who(
    environment={"DEPLOYMENT": "blue"},
    pod_labels={"app.kubernetes.io/part-of": "shop"},
    container_labels={"note": "two\nlines " + "ä" * 200},
)


def test_tags_reach_the_event_bounded(tmp_path: Path) -> None:
    inside = Inside(tmp_path, _TAGS, who=WHO, given={"region": ["eu", "eu-1"], "team": ["shop"]})
    (event,) = inside.play((ask("/x"), answer())).reported
    lines = event.tags.split("\n")
    assert lines == sorted(set(lines))
    assert {"deploy:blue", "region:eu", "region:eu-1", "team:shop"} < set(lines)
    (note,) = [line for line in lines if line.startswith("note:")]
    assert note.startswith("note:two lines ä")
    assert len(note.removeprefix("note:").encode()) in {127, 128}
    assert len(lines) == 5
    assert inside.counters.get("tags.left-out") == 0


def test_tags_that_find_no_room_are_counted(tmp_path: Path) -> None:
    given = {f"k{number:02}" + "x" * 100: ["v" * 300] for number in range(25)}
    inside = Inside(tmp_path, "", given=given)
    (event,) = inside.play((ask("/x"), answer())).reported
    assert len(event.tags.split("\n")) == 20
    assert len(event.tags.encode()) <= MAX_TEXT_BYTES
    assert inside.counters.get("tags.left-out") == 5


def test_every_connection_has_tags_that_are_not_sent() -> None:
    assert tag_lines(NOBODY, [], {}) == ("", 0)
    assert tag_lines(NOBODY, [Tag(key="a", source="env", location="B")], {}) == ("", 0)


SECRET = "Bearer never-to-be-seen"


def test_no_header_value_is_sent_unless_it_is_listed(tmp_path: Path) -> None:
    headers = {"X_Request_Id": "r-1", "Traceparent": "00-abc", "Authorization": SECRET}
    (event,) = Inside(tmp_path, "").play((ask("/x", body=b"", **headers), answer())).reported
    assert event.headers == ""
    assert b"r-1" not in encode_line(event)


def test_listed_headers_are_sent_bounded_and_printable(tmp_path: Path) -> None:
    text = "qcloud: {search_headers: [X-Request-Id, traceparent, content-type, x-odd]}"
    headers = {"X_Request_Id": "r-1", "Authorization": SECRET, "X_Odd": "a\x01\xff" + "b" * 500}
    asked = ask("/x?q=1", body=b"", **headers)
    inside = Inside(tmp_path, text)
    (event,) = inside.play((asked, answer(200, b"secret body"))).reported
    lines = event.headers.split("\n")
    assert lines[:2] == ["content-type: application/json", lines[1]]
    assert lines[1].startswith("x-odd: a%01%")
    assert len(lines[1]) == len("x-odd: ") + 200
    assert lines[2] == "x-request-id: r-1"
    assert len(lines) == 3
    for word in (b"never-to-be-seen", b"secret body", b"q=1"):
        assert word not in encode_line(event)


def test_programs_whose_payload_may_not_be_kept_send_none(tmp_path: Path) -> None:
    text = """
qcloud: {search_headers: [x-request-id]}
tap: {filters: {custom: [{exe: /, strategy: prefix, only: [data]}]}}
"""
    inside = Inside(tmp_path, text).play((ask("/x", X_Request_Id="r-1"), answer()))
    assert [event.headers for event in inside.reported] == [""]


@pytest.mark.parametrize(
    "name",
    ["authorization", "Cookie", "set-cookie", "x-api-key", "X-Auth-Token", "x-session-id",
     "proxy-authorization", "x-amz-signature", "x-user-password", "two words", "", "a:b"],
)  # fmt: skip
def test_what_holds_credentials_or_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="search_headers"):
        parse_config(f'version: 2\nqcloud: {{search_headers: ["{name}"]}}\n')


def test_the_list_is_bounded_and_survives_being_written() -> None:
    names = ", ".join(f"x-{number}" for number in range(16))
    with pytest.raises(ConfigError, match="at most 15"):
        parse_config(f"version: 2\nqcloud: {{search_headers: [{names}]}}\n")
    config = parse_config("version: 2\nqcloud: {search_headers: [idempotency-key]}\n").config
    assert config.qcloud.search_headers == ("idempotency-key",)
    assert parse_config(dump_config(config)).config == config
