"""``detect_errors``: every trigger, every filter, what is recorded, what is reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.agent.config.inside import Inside, answer, ask, stack


def rules(*texts: str) -> str:
    return stack("{type: detect_errors, config: {rules: [" + ", ".join(texts) + "]}}")


def issues(tmp_path: Path, rule: str, call: tuple[bytes, bytes],
           given: dict[str, list[str]] | None = None) -> list[dict[str, Any]]:  # fmt: skip
    text = rules(f"{{name: Wrong, report_as_issue: true, {rule}}}")
    return Inside(tmp_path, text, given=given).play(call).done().events("Issue")


@pytest.mark.parametrize(
    ("rule", "call", "condition"),
    [
        ("trigger_status_codes: ['500']", (ask(), answer(500)), "status_code"),
        ("trigger_status_codes: [500]", (ask(), answer(500)), "status_code"),
        ("trigger_status_codes: [404, 5xx]", (ask(), answer(503)), "status_code"),
        ("trigger_status_codes: [500-504]", (ask(), answer(504)), "status_code"),
        ("trigger_status_codes: [5xx]", (ask(), answer(404)), ""),
        ("trigger_status_codes: [500-504]", (ask(), answer(505)), ""),
        ("trigger_empty_body: true", (ask(), answer(200)), "empty_body"),
        ("trigger_empty_body: true", (ask(), answer(200, b"x")), ""),
        ("trigger_duration: 1", (ask(), answer(200)), "duration"),
        ("trigger_duration: 1ms", (ask(), answer(200)), "duration"),
        ("trigger_duration: 1s", (ask(), answer(200)), ""),
        ("trigger_contains: [boom, crash]", (ask(), answer(200, b"it went crash")), "contains"),
        ("trigger_contains: [boom]", (ask(), answer(200, b"fine")), ""),
        ("report_as_issue: true", (ask(), answer(500)), ""),
    ],
)
def test_triggers(tmp_path: Path, rule: str, call: tuple[bytes, bytes], condition: str) -> None:
    if rule == "report_as_issue: true":
        rule = "continue: false"
    found = issues(tmp_path, rule, call)
    assert [one["triggerConditions"] for one in found] == (
        [[f"detect_errors:{condition}"]] if condition else []
    )


@pytest.mark.parametrize(
    ("narrow", "passes"),
    [
        ("only_categories: [json]", True), ("only_categories: [HTML]", False),
        ("only_urls: [/v1/]", True), ("only_urls: [/v2/]", False),
        ("only_urls: ['/v[0-9]+\\/pay$/']", True), ("only_urls: ['/^ftp/']", False),
        ("exclude_urls: [/v1/]", False), ("exclude_urls: [/v2/]", True),
        ("with_tags: [team]", True), ("with_tags: ['team:shop']", True),
        ("with_tags: ['team:other']", False), ("with_tags: [none]", False),
        ("with_tags: [team, 'region:eu']", True), ("with_tags: [team, 'region:us']", False),
    ],
)  # fmt: skip
def test_filters(tmp_path: Path, narrow: str, passes: bool) -> None:  # noqa: FBT001
    call = (ask("/v1/pay"), answer(500))
    tags = {"team": ["shop"], "region": ["eu"]}
    found = issues(tmp_path, f"trigger_status_codes: [5xx], {narrow}", call, tags)
    assert len(found) == int(passes)


def test_an_issue_field_for_field(tmp_path: Path) -> None:
    text = rules("{name: App Error, trigger_status_codes: [5xx], trigger_contains: [boom], "
                 "report_as_issue: true}")  # fmt: skip
    inside = Inside(tmp_path, text).play((ask("/pay?card=1"), answer(500, b"boom"))).done()
    (issue,) = inside.events("Issue")
    (event,) = inside.reported
    assert issue == {
        "connectionId": str(event.connection_id),
        "endpointId": "shop.example",
        "requestId": str(event.request_id),
        "tlsProbeTypesDetected": ["openssl"],
        "tlsProbeIntrospected": True,
        "timestamp": event.timestamp.isoformat().replace("+00:00", "Z"),
        "direction": "egress-external",
        "error": "App Error",
        "url": "https://shop.example/pay",
        "path": "/pay",
        "method": "GET",
        "status": 500,
        "triggerConditions": ["detect_errors:status_code", "detect_errors:contains"],
        "triggerReasons": ["the status is 500", "the response contains 'boom'"],
    }


def test_the_first_rule_ends_it_unless_it_says_continue(tmp_path: Path) -> None:
    each = "trigger_status_codes: [5xx], report_as_issue: true"
    text = rules(f"{{name: one, {each}, continue: true}}", f"{{name: two, {each}}}",
                 f"{{name: three, {each}}}")  # fmt: skip
    inside = Inside(tmp_path, text).play((ask(), answer(500))).done()
    assert [issue["error"] for issue in inside.events("Issue")] == ["one", "two"]


def test_what_is_recorded(tmp_path: Path) -> None:
    everything = ", ".join(
        f"record_{side}_{part}: true" for side in ("req", "res") for part in ("headers", "body")
    )
    text = rules(f"{{name: x, trigger_status_codes: [5xx], {everything}}}")
    call = (ask(method="POST", body=b"question", X_One="1"), answer(500, b"reply"))
    inside = Inside(tmp_path, text).play(call, (ask(), answer(200, b"fine"))).done()
    records = inside.events("ArtifactRecord")
    assert inside.events("Issue") == []
    stored = {one["type"]: inside.objects()[one["digest"]] for one in records}
    assert set(stored) == {"req-headers", "req-body", "res-headers", "res-body"}
    assert json.loads(stored["req-headers"]) == {
        "host": "shop.example", "x-one": "1", "content-length": "8",
    }  # fmt: skip
    assert stored["req-body"] == b"question"
    assert json.loads(stored["res-headers"])["content-type"] == "application/json"
    assert stored["res-body"] == b"reply"
    assert len(inside.objects()) == 4


def test_only_what_is_asked_for_is_kept(tmp_path: Path) -> None:
    text = rules("{name: x, trigger_status_codes: [5xx], record_res_body: true}")
    call = (ask(method="POST", body=b"question"), answer(500, b"reply"))
    inside = Inside(tmp_path, text).play(call).done()
    assert list(inside.objects().values()) == [b"reply"]
    text = rules("{name: x, trigger_status_codes: [5xx], report_as_issue: true}")
    bare = Inside(tmp_path / "..", text)
    assert not bare.policy.plan_for("shop.example", True).keep_headers
    bare.done()
