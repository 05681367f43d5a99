"""report_usage, access_logs, http_metrics, qscan; and a plugin that fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.metrics import MAX_SERIES, Registry
from agent.plugins.base import Emit
from agent.plugins.qscan import Sampler
from agent.plugins.report_usage import ReportUsagePlugin
from agent.plugins.subject import Subject
from tests.agent.config.inside import Inside, answer, ask, stack
from tests.agent.told import capture_logs
from wire.config.keys import Seconds
from wire.config.plugins import Qscan

CALL = (ask("/pay?card=4111", User_Agent="curl/8"), answer(201, b'{"ok":1}'))


def test_report_usage_field_for_field(tmp_path: Path) -> None:
    inside = Inside(tmp_path, stack("{type: report_usage}")).play(CALL).done()
    (request,) = inside.events("Request")
    (event,) = inside.reported
    assert request == {
        "connectionId": str(event.connection_id),
        "endpointId": "shop.example",
        "requestId": str(event.request_id),
        "tlsProbeTypesDetected": ["openssl"],
        "tlsProbeIntrospected": True,
        "timestamp": event.timestamp.isoformat().replace("+00:00", "Z"),
        "direction": "egress-external",
        "url": "https://shop.example/pay",
        "path": "/pay",
        "method": "GET",
        "status": 201,
        "duration": 1,
        "contentType": "application/json",
        "category": "json",
        "agent": "curl/8",
        "bytesSent": len(CALL[0]),
        "bytesReceived": len(CALL[1]),
        "authTokenMask": "",
        "authTokenHash": "",
        "authTokenSource": "",
        "authTokenType": "",
    }


def test_without_report_usage_stdout_hears_of_no_request(tmp_path: Path) -> None:
    inside = Inside(tmp_path, stack("{type: http_metrics}")).play(CALL).done()
    assert inside.events("Request") == []
    assert len(inside.reported) == 1


@pytest.mark.parametrize(
    ("mode", "there", "absent"),
    [
        ("none", [], ["shop.example"]),
        ("summary", ['"GET https://shop.example/pay http1" 201'], ["4111", '{"ok":1}']),
        (
            "details",
            ["URL: https://shop.example/pay?card=4111", "User-Agent: curl/8"],
            ['{"ok":1}'],
        ),
        ("full", ["URL: https://shop.example/pay?card=4111", '{"ok":1}'], []),
    ],
)
def test_access_logs(tmp_path: Path, mode: str, there: list[str], absent: list[str]) -> None:
    text = stack(f"{{type: access_logs, config: {{mode: {mode}}}}}")
    printed = "\n".join(Inside(tmp_path, text).play(CALL).done().lines)
    assert all(part in printed for part in there)
    assert not any(part in printed for part in absent)


def test_access_logs_as_json_with_rules(tmp_path: Path) -> None:
    text = stack('{type: access_logs, config: {mode: none, format: json, rules: ['
                 '{expr: "res.status == 201", mode: summary}, '
                 '{expr: "res.status == 500", mode: full}]}}')  # fmt: skip
    inside = Inside(tmp_path, text)
    inside.play(CALL, (ask("/x"), answer(500, b"no")), (ask("/y"), answer(200))).done()
    first, second = (json.loads(line) for line in inside.lines)
    assert (first["url"], first["status"], first["process_exe"]) == (
        "https://shop.example/pay", 201, "/usr/bin/curl",
    )  # fmt: skip
    assert (second["request"]["path"], second["response"]["status"]) == ("/x", 500)


def test_http_metrics(tmp_path: Path) -> None:
    inside = Inside(tmp_path, stack("{type: http_metrics}"))
    inside.play(CALL, CALL, (ask(), answer(500))).done()
    lines = inside.metrics.render().splitlines()
    labels = 'method="GET",host="shop.example",status_code="201",protocol="http1"'
    assert f"qtap_http_requests_total{{{labels}}} 2" in lines
    assert f"qtap_http_requests_duration_ms_count{{{labels}}} 2" in lines
    assert f'qtap_http_requests_duration_ms_bucket{{{labels},le="1"}} 2' in lines
    assert f"qtap_http_responses_size_bytes_sum{{{labels}}} {2 * len(CALL[1])}" in lines
    assert "# TYPE qtap_http_requests_duration_ms histogram" in lines


def test_metrics_hold_in_spite_of_strange_labels() -> None:
    registry = Registry()
    counter = registry.counter("x_total", "X.", ("host",))
    counter.add(('a"b\\c\nd',))
    for number in range(2 * MAX_SERIES):
        counter.add((str(number),))
    lines = registry.render().splitlines()
    assert lines[2] == 'x_total{host="a\\"b\\\\c\\nd"} 1'
    assert len(lines) <= MAX_SERIES + 3
    assert lines[-1] == f'x_total{{host="other"}} {MAX_SERIES + 1}'
    assert registry.counter("x_total", "X.", ("host",)) is counter


QSCAN = stack("{type: qscan, config: {sample_baseline: 2, sample_rate: 0, record_document: true, "
              "monitors: [{type: CREDIT_CARD, record_value: true}, {type: US_SSN}]}}")  # fmt: skip


def test_qscan_samples_whole_exchanges_up_to_its_baseline(tmp_path: Path) -> None:
    inside = Inside(tmp_path, QSCAN)
    inside.play(*[(ask(f"/users/{n}?n={n}"), answer(200, b"body")) for n in range(5)])
    inside.play((ask("/users/7", method="DELETE"), answer(204))).done()
    records = inside.events("ArtifactRecord")
    assert [one["summary"]["request_path"] for one in records] == [
        "/users/0", "/users/1", "/users/7",
    ]  # fmt: skip
    about = records[0]["summary"]
    assert (
        about["qscan"],
        about["qscan_monitors"],
        about["qscan_record_values"],
        about["qscan_record_document"],
    ) == (True, "CREDIT_CARD,US_SSN", "CREDIT_CARD", True)
    assert len(inside.objects()) == 3
    assert inside.counters.get("qscan.sampled") == 3
    assert [one.response.body for one in inside.transactions() if one.response
            and one.request.path == "/users/0"] == [b"body"]  # fmt: skip


def test_qscan_disabled(tmp_path: Path) -> None:
    text = QSCAN.replace("services:", "services:\n  qscan: {type: disabled}")
    inside = Inside(tmp_path, text)
    assert not inside.policy.plan_for("shop.example", True).keep_bodies
    inside.play(CALL).done()
    assert inside.events("ArtifactRecord") == []


def test_the_sampler_remembers_so_many_and_so_long() -> None:
    now, dice = [0.0], [0.5]
    options = Qscan(sample_baseline=1, sample_rate=0.1, cache_ttl=Seconds(60.0), cache_size=2)
    sampler = Sampler(options, clock=lambda: now[0], chance=lambda: dice[0])
    a, b, c = ("a", "GET", "/"), ("b", "GET", "/"), ("c", "GET", "/")
    assert [sampler.wants(a), sampler.wants(a), sampler.wants(b)] == [True, False, True]
    dice[0] = 0.05
    assert sampler.wants(a)
    dice[0] = 0.5
    assert sampler.wants(c)
    assert len(sampler) == 2
    assert not sampler.wants(a)
    assert sampler.wants(b), "it was forgotten for c"
    now[0] = 59.0
    assert not sampler.wants(b)
    now[0] = 120.0
    assert sampler.wants(b)


def test_a_plugin_that_fails_costs_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: ReportUsagePlugin, subject: Subject, emit: Emit) -> None:
        del self, emit
        raise RuntimeError(subject.event.path)

    monkeypatch.setattr(ReportUsagePlugin, "finished", broken)
    inside = Inside(tmp_path, stack("{type: report_usage}", "{type: http_metrics}"))
    with capture_logs() as logs:
        inside.play(CALL).done()
    assert inside.counters.get("plugins.fault") == 1
    assert "qtap_http_requests_total" in inside.metrics.render()
    assert len(inside.reported) == 1
    assert [one["plugin"] for one in logs if one["log_level"] == "error"] == ["ReportUsagePlugin"]
