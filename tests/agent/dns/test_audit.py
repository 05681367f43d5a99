"""From messages to events: who, what is told to whom, and what is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import agent.dns.audit as module
from agent.capture.source import Connection, DnsMessage, Flow
from agent.dns.audit import DnsAudit
from agent.who import Who
from tests.agent.config.inside import STORES, Inside
from tests.agent.dns.packets import Answer, a, cname, query, response
from tests.agent.traffic import Facts, client
from wire.events import Direction, DnsEvent

WHO = Who(container_name="web", container_image="shop:1", pod_name="shop-1", pod_namespace="prod")
ANSWERS = [cname("shop.example", "lb.example"), a("lb.example"), Answer("shop.example", 16, b"\1s")]


class DnsFacts(Facts):
    """A source of DNS messages made by hand."""

    def __init__(self) -> None:
        super().__init__([])
        self.wanted: list[bool] = []
        self.waiting: list[DnsMessage] = []
        self.gone: list[int] = []

    def audit_dns(self, *, wanted: bool) -> None:
        self.wanted.append(wanted)

    def dns(self) -> list[DnsMessage]:
        waiting, self.waiting = self.waiting, []
        return waiting

    def forget_dns(self, socket: int) -> None:
        self.gone.append(socket)


class Node:
    def __init__(self, folder: Path, text: str = "", **facts: Any) -> None:
        self.now = 1_000_000_000_000
        self.inside = Inside(folder, _with(text), who=WHO)
        self.source = DnsFacts()
        self.connection = resolver(**facts)
        self.audit = DnsAudit(counters=self.inside.counters, in_scope=lambda _: True,
                              agent="1.2", instance="boot")  # fmt: skip
        self.audit.use(self.inside.policy, self.source)

    def say(self, flow: Flow, data: bytes, socket: int = 1) -> None:
        self.now += 2_000_000
        self.source.waiting.append(
            DnsMessage(socket, self.connection, True, flow, self.now, len(data), data)
        )
        self.audit.poll()

    def look_up(self, name: str = "shop.example", socket: int = 1) -> None:
        asked, told = query(name), response(name, answers=ANSWERS if name == "shop.example" else ())
        flows = (Flow.RECEIVED, Flow.SENT) if self.connection.local_port == 53 else (
            Flow.SENT, Flow.RECEIVED)  # fmt: skip
        self.say(flows[0], asked, socket)
        self.say(flows[1], told, socket)

    @property
    def told(self) -> list[DnsEvent]:
        return [event for event in self.inside.told.events if isinstance(event, DnsEvent)]

    def printed(self) -> list[dict[str, Any]]:
        self.audit.shutdown()
        return self.inside.done().events("Connection")


def _with(text: str) -> str:
    tap = f"audit_include_dns: true{', ' + text if text else ''}, http:"
    return STORES.replace("http:", tap) + "stacks: {s: {plugins: []}}\n"


def resolver(**facts: Any) -> Connection:
    known: dict[str, Any] = {"remote_ip": "10.0.0.2", "remote_port": 53, "tls": False}
    return client(**known | {"container_id": "c" * 64} | facts)


def test_one_lookup_field_for_field(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.look_up()
    (event,) = node.told
    (only,) = node.printed()
    assert (event.name, event.query_type, event.outcome, event.rcode) == (
        "shop.example", "A", "answered", "NOERROR")  # fmt: skip
    assert (event.addresses, event.aliases, event.answer_count) == (
        "10.1.2.3", "lb.example", 3)  # fmt: skip
    assert (event.exe, event.user, event.container_name, event.pod_name) == (
        "/usr/bin/curl", "ana", "web", "shop-1")  # fmt: skip
    assert (event.destination_ip, event.destination_port, event.direction, event.duration_us) == (
        "10.0.0.2", 53, Direction.EGRESS_INTERNAL, 2_000)  # fmt: skip
    times = [only.pop(name) for name in ("timestamp", "createdAt", "closedAt")]
    assert all(times)
    lookups = only.pop("qcloud.dns")
    assert only == {
        "meta": {"connectionId": str(event.connection_id), "endpointId": "10.0.0.2"},
        "tags": {"bin": ["curl"], "host": ["node-1"], "ip": ["10.0.0.1"], "protocol": ["dns"],
                 "strategy": ["observe"]},
        "finalized": True, "direction": "egress-internal", "vendorId": "", "part": 0,
        "socketProtocol": "udp", "l7Protocol": "dns", "tlsVersion": 0,
        "system": {"hostname": "node-1", "agent": "1.2", "agentInstance": "boot"},
        "source": {
            "address": {"family": "ipv4", "ip": "10.0.0.1", "port": 40_000}, "hostname": "node-1",
            "exe": "/usr/bin/curl", "user": "ana", "userId": 1000,
            "container": {"id": "c" * 64, "name": "web", "image": "shop:1",
                          "pod": {"name": "shop-1", "namespace": "prod"}},
        },
        "destination": {"address": {"family": "ipv4", "ip": "10.0.0.2", "port": 53}},
        "bytesReceived": 77, "bytesSent": 30, "labels": [],
    }  # fmt: skip
    (lookup,) = lookups
    assert lookup.pop("timestamp")
    assert lookup == {
        "lookupId": str(event.lookup_id), "name": "shop.example", "queryType": "A",
        "outcome": "answered", "rcode": "NOERROR", "transport": "udp", "resolverIp": "10.0.0.2",
        "resolverPort": 53, "durationUs": 2_000, "attempts": 1, "addresses": ["10.1.2.3"],
        "aliases": ["lb.example"], "answerCount": 3, "authoritative": False,
        "authenticated": False, "edns": False,
        "answers": [
            {"name": "shop.example", "type": "CNAME", "ttl": 60, "value": "lb.example"},
            {"name": "lb.example", "type": "A", "ttl": 60, "value": "10.1.2.3"},
            {"name": "shop.example", "type": "TXT", "ttl": 60, "value": ""},
        ],
    }  # fmt: skip


def test_one_that_is_asked_is_ingress(tmp_path: Path) -> None:
    node = Node(tmp_path, local_port=53, local_ip="10.0.0.2", remote_ip="10.0.0.9",
                remote_port=4000)  # fmt: skip
    node.look_up()
    (event,) = node.told
    assert (event.direction, event.source_ip, event.destination_ip) == (
        Direction.INGRESS, "10.0.0.9", "10.0.0.2")  # fmt: skip
    assert node.printed()[0]["destination"]["exe"] == "/usr/bin/curl"


def test_what_comes_within_the_first_moments_is_one_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.0)
    node = Node(tmp_path)
    node.look_up()
    monkeypatch.setattr(module, "FIRST_SECONDS", 60.0)
    for name in ("a.example", "b.example"):
        node.look_up(name)
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.0)
    node.audit.tick()
    reports = node.printed()
    assert [(it["part"], it["finalized"], [one["name"] for one in it["qcloud.dns"]])
            for it in reports] == [
        (0, False, ["shop.example"]), (1, True, ["a.example", "b.example"])]  # fmt: skip
    assert node.source.gone == [1]
    assert len({it["meta"]["connectionId"] for it in reports}) == 1


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("direction: ingress", {}), ("direction: egress-external", {}),
        ("ignore_loopback: true", {"remote_ip": "127.0.0.53"}),
        ("filters: {custom: [{exe: curl, strategy: suffix, only: [dns]}]}", {}),
        ("filters: {custom: [{exe: curl, strategy: suffix}]}", {}),
        ("filters: {groups: [kubernetes]}", {"exe": "/coredns"}),
    ],
)  # fmt: skip
def test_what_is_left_alone(tmp_path: Path, text: str, facts: dict[str, Any]) -> None:
    node = Node(tmp_path, text, **facts)
    node.look_up()
    assert node.told == []
    assert node.printed() == []
    assert node.inside.counters.counts() == {}


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("direction: egress", {}), ("direction: egress-internal", {}),
        ("direction: egress-external", {"remote_ip": "9.9.9.9"}),
        ("ignore_loopback: false", {"remote_ip": "127.0.0.53"}),
        ("filters: {custom: [{exe: curl, strategy: suffix, only: [http, tls, data]}]}", {}),
    ],
)  # fmt: skip
def test_what_is_not(tmp_path: Path, text: str, facts: dict[str, Any]) -> None:
    node = Node(tmp_path, text, **facts)
    node.look_up()
    assert len(node.told) == len(node.printed()) == 1


def test_rules_decide_on_lookups_and_fields_of_http_are_missing(tmp_path: Path) -> None:
    node = Node(tmp_path)
    text = (
        _with("")
        + """
control:
  default: allow
  rules:
    - {name: not-told, expr: 'dns.name matches /^secret/ or http.req.url == "x"', actions: [deny]}
    - {name: old, expr: 'protocol == "dns" and dns.type == "A" and dns.rcode == "NXDOMAIN"',
       actions: [deny]}
    - {name: not-http, expr: 'not (http.req.url contains "x")', actions: [deny]}
"""
    )
    assert node.inside.reload(text)
    node.audit.use(node.inside.policy, node.source)
    node.look_up("secret.example")
    node.look_up("plain.example")
    node.say(Flow.SENT, query("gone.example"))
    node.say(Flow.RECEIVED, response("gone.example", code="NXDOMAIN"))
    assert [event.name for event in node.told] == ["plain.example"]
    assert node.inside.counters.get("lookups_denied") == 2
    assert [one["name"] for one in node.printed()[0]["qcloud.dns"]] == ["plain.example"]


def test_switched_off_and_on_by_a_reload(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.look_up()
    assert node.inside.reload(_with("").replace("audit_include_dns: true", "direction: all"))
    node.audit.use(node.inside.policy, node.source)
    assert (node.source.wanted, node.audit.active, node.source.gone) == ([True, False], False, [1])
    node.look_up("unseen.example")
    assert node.inside.reload(_with("direction: all"))
    node.audit.use(node.inside.policy, node.source)
    node.source.waiting.clear()
    node.look_up("again.example")
    assert [event.name for event in node.told] == ["shop.example", "again.example"]
    assert node.source.wanted == [True, False, True]


def test_without_a_store_nothing_is_captured(tmp_path: Path) -> None:
    inside = Inside(tmp_path, "tap: {audit_include_dns: true}")
    inside.around = inside.around._replace(uplink=None)
    inside.configuration._around = inside.around
    inside.reload("tap: {audit_include_dns: true, direction: egress}")
    assert not inside.policy.audits_dns


def test_time_outs_are_told_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(tmp_path)
    node.say(Flow.SENT, query("slow.example"))
    monkeypatch.setattr("agent.dns.pairs.TIMEOUT_NS", 0)
    node.audit.tick()
    assert [(event.name, event.outcome, event.rcode) for event in node.told] == [
        ("slow.example", "timeout", "")]  # fmt: skip
    assert node.inside.counters.counts() == {"dns.timeout": 1, "dns_lookups": 1}


def test_as_many_connections_as_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 5)
    node = Node(tmp_path)
    for socket in range(12):
        node.look_up(f"n{socket}.example", socket)
    assert node.source.gone == list(range(7))
    assert len(node.told) == 12
    assert len(node.printed()) == 12
