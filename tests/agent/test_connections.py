"""``Connection`` events, field for field, first, meanwhile and last."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import agent.connections as module
from agent.connections import ConnectionReporter
from agent.who import Who
from tests.agent.config.inside import Inside, Through, answer, ask, stack
from tests.agent.traffic import client, server

WHO = Who(container_name="web", container_image="shop:1", pod_name="shop-1", pod_namespace="prod")


def watched(folder: Path, **facts: Any) -> tuple[Inside, Through, ConnectionReporter]:
    role = facts.pop("role", "client")
    connection = (server if role == "server" else client)(container_id="c" * 64, **facts)
    inside = Inside(folder, stack("{type: report_usage}"), connection=connection, who=WHO)
    reporter = ConnectionReporter(inside.policy.emit, agent="1.2", instance="boot")
    reporter.active = inside.policy.reports_connections
    inside.listener.linker._observer = reporter
    return inside, inside.listener, reporter


def test_field_for_field(tmp_path: Path) -> None:
    inside, listener, _ = watched(tmp_path)
    inside.play((ask("/x"), answer(200, b"fine")))
    listener.close()
    first, last = inside.done().events("Connection")
    (event,) = inside.reported
    times = {name: last.pop(name) for name in ("timestamp", "createdAt", "closedAt")}
    assert all(datetime.fromisoformat(moment).tzinfo for moment in times.values())
    assert last == {
        "meta": {
            "connectionId": str(event.connection_id), "endpointId": "shop.example",
            "tlsProbeTypesDetected": ["openssl"], "tlsProbeIntrospected": True,
        },
        "tags": {"bin": ["curl"], "host": ["node-1"], "ip": ["10.0.0.1"], "protocol": ["http1"],
                 "strategy": ["observe"]},
        "finalized": True, "direction": "egress-external", "vendorId": "", "part": 1,
        "socketProtocol": "tcp", "l7Protocol": "http1", "tlsVersion": 0,
        "system": {"hostname": "node-1", "agent": "1.2", "agentInstance": "boot"},
        "source": {
            "address": {"family": "ipv4", "ip": "10.0.0.1", "port": 40_000},
            "hostname": "node-1", "exe": "/usr/bin/curl", "user": "ana", "userId": 1000,
            "container": {"id": "c" * 64, "name": "web", "image": "shop:1",
                          "pod": {"name": "shop-1", "namespace": "prod"}},
        },
        "destination": {"address": {"family": "ipv4", "ip": "93.184.216.34", "port": 443}},
        "bytesReceived": len(answer(200, b"fine")), "bytesSent": len(ask("/x")), "labels": [],
    }  # fmt: skip
    assert (first["part"], first["finalized"], first["closedAt"]) == (0, False, None)
    assert first["createdAt"] == times["createdAt"]


def test_of_a_server_the_local_side_is_the_destination(tmp_path: Path) -> None:
    inside, listener, _ = watched(tmp_path, role="server", remote_ip="2001:db8::9")
    inside.play((ask("/x"), answer(200, b"fine")))
    listener.close()
    last = inside.done().events("Connection")[-1]
    assert last["direction"] == "ingress"
    assert last["source"] == {"address": {"family": "ipv6", "ip": "2001:db8::9", "port": 443}}
    assert last["destination"]["exe"] == "/usr/bin/curl"
    assert (last["bytesReceived"], last["bytesSent"]) == (
        len(ask("/x")), len(answer(200, b"fine")),
    )  # fmt: skip


def test_every_ten_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_SECONDS", 0.0)
    inside, _, reporter = watched(tmp_path)
    inside.play((ask("/x"), answer(200, b"fine")))
    reporter.tick()
    reporter.tick()
    inside.listener.close()
    reporter.tick()
    parts = [one["part"] for one in inside.done().events("Connection")]
    assert parts == [0, 1, 2, 3]


def test_nobody_who_wants_them(tmp_path: Path) -> None:
    inside, listener, reporter = watched(tmp_path)
    reporter.active = False
    inside.play((ask("/x"), answer()))
    reporter.tick()
    listener.close()
    assert inside.done().events("Connection") == []


def test_the_line_is_what_readers_of_the_format_expect(tmp_path: Path) -> None:
    inside, _, _ = watched(tmp_path)
    line: dict[str, Any] = json.loads(inside.play((ask("/x"), answer())).done().lines[0])
    assert list(line) == ["type", "item"]
    assert line["type"].endswith("Connection")
