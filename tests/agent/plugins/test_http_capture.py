"""``http_capture``: which level, which store, which bytes, and what is told of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.config.inside import Inside, answer, ask, stack
from wire.objects import object_digest

CALL = (ask("/pay?card=4111", body=b"card=4111", method="POST", Cookie="sid=1"),
        answer(200, b'{"ok":1}'))  # fmt: skip


@pytest.mark.parametrize(
    ("level", "headers", "bodies"),
    [("summary", False, False), ("headers", True, False), ("details", True, False),
     ("full", True, True)],
)  # fmt: skip
def test_levels(tmp_path: Path, level: str, headers: bool, bodies: bool) -> None:  # noqa: FBT001
    inside = Inside(tmp_path, stack(f"{{type: http_capture, config: {{level: {level}}}}}"))
    inside.play(CALL).done()
    (one,) = inside.transactions()
    assert one.response is not None
    assert ("Cookie", "sid=1") in one.request.headers if headers else one.request.headers == []
    assert bool(one.response.headers) is headers
    assert one.request.body == (b"card=4111" if bodies else b"")
    assert one.response.body == (b'{"ok":1}' if bodies else b"")
    assert ("card=4111" in one.request.url) is headers
    assert one.request.url.startswith("https://shop.example/pay")
    assert (one.response.status, one.request.method, one.metadata.endpoint_id) == (
        200, "POST", "shop.example",
    )  # fmt: skip


def test_level_none_keeps_nothing_and_needs_nothing(tmp_path: Path) -> None:
    inside = Inside(tmp_path, stack("{type: http_capture, config: {level: none}}"))
    assert not inside.policy.plan_for("shop.example", True).keep_headers
    inside.play(CALL).done()
    assert inside.objects() == {}
    assert [event.object_digest for event in inside.reported] == [""]
    assert inside.events("ArtifactRecord") == []


RULES = stack("""{type: http_capture, config: {level: summary, rules: [
  {name: health, expr: 'http.req.path == "/healthz"', level: none},
  {name: errors, expr: "http.res.status >= 500", level: full},
  {name: debug, expr: 'http.req.headers.x-debug == "1"', level: headers}]}}""")


def test_the_first_rule_that_passes_decides(tmp_path: Path) -> None:
    inside = Inside(tmp_path, RULES)
    inside.play(
        (ask("/healthz"), answer(503, b"down")),
        (ask("/a", X_Debug="1"), answer(500, b"boom")),
        (ask("/b", X_Debug="1"), answer(200, b"fine")),
        (ask("/c", X_Debug="0"), answer(200, b"fine")),
        (ask("/d"), answer(200, b"fine")),
    ).done()
    found = {one.request.path: one for one in inside.transactions()}
    assert set(found) == {"/a", "/b", "/c", "/d"}
    kept = {path: (bool(one.request.headers), one.response.body if one.response else None)
            for path, one in found.items()}  # fmt: skip
    assert kept == {"/a": (True, b"boom"), "/b": (True, b""), "/c": (False, b""),
                    "/d": (False, b"")}  # fmt: skip
    assert inside.counters.get("rules.missing-field") == 1
    assert inside.counters.get("rules.failed") == 0


def test_a_rule_that_cannot_be_evaluated_does_not_pass_and_is_counted(tmp_path: Path) -> None:
    rule = "{expr: 'not (http.res.status == \"200\")', level: full}"
    inside = Inside(
        tmp_path, stack(f"{{type: http_capture, config: {{level: none, rules: [{rule}]}}}}")
    )
    inside.play(CALL, CALL).done()
    assert inside.objects() == {}
    assert inside.counters.get("rules.failed") == 2


def test_what_is_told_of_an_object(tmp_path: Path) -> None:
    inside = Inside(tmp_path, stack("{type: http_capture, config: {level: full}}"))
    inside.play(CALL).done()
    ((digest, data),) = inside.objects().items()
    assert object_digest(data) == digest
    (event,) = inside.reported
    assert event.object_digest == digest
    (record,) = inside.events("ArtifactRecord")
    assert (record["type"], record["digest"], record["url"], record["requestId"]) == (
        "http_transaction", digest, f"https://store.example/objects/{digest}",
        str(event.request_id),
    )  # fmt: skip
    assert record["summary"]["request_path"] == "/pay"
    printed = "\n".join(inside.lines)
    assert "4111" not in printed
    assert "sid=1" not in printed


def test_another_store_for_one_plugin(tmp_path: Path) -> None:
    text = "{type: http_capture, config: {level: full, object_store_id: other}}"
    inside = Inside(tmp_path, stack(text)).play(CALL).done()
    assert len(inside.objects("other")) == 1
    assert inside.objects() == {}


def test_without_an_object_store_nothing_is_kept_in_memory(tmp_path: Path) -> None:
    text = stack("{type: http_capture, config: {level: full}}").replace(
        "object_stores", "x_object_stores"
    )
    inside = Inside(tmp_path, text)
    plan = inside.policy.plan_for("shop.example", True)
    assert not plan.keep_headers
    inside.play(CALL).done()
    assert inside.events("ArtifactRecord") == []
    assert len(inside.reported) == 1
