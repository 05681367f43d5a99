"""Which traffic counts, whose it is, and which stack it goes through."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.config.filters import GROUPS, ProcessFilters
from agent.config.tags import TagsError, deployment_tags
from agent.containers.lookup import Containers
from agent.counters import Counters
from agent.who import OnNode, Who
from tests.agent.config.inside import STORES, Inside, answer, ask, stack
from tests.agent.traffic import client, server
from wire.config.model import CustomFilter, Filters

CALL = (ask("/x"), answer(200, b"fine"))
FULL = "{plugins: [{type: http_capture, config: {level: full}}]}"
USAGE = stack("{type: report_usage}")


def tapped(tap: str, rest: str = "") -> str:
    text = USAGE.replace("tap: {http: {stack: s}}", f"tap: {{http: {{stack: s}}, {tap}}}")
    return text + rest


# -- direction -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("direction", "seen"),
    [
        ("all", {"in", "internal", "external"}), ("ingress", {"in"}),
        ("egress", {"internal", "external"}), ("egress-internal", {"internal"}),
        ("egress-external", {"external"}),
    ],
)  # fmt: skip
def test_direction(tmp_path: Path, direction: str, seen: set[str]) -> None:
    found = set()
    for name, who in {
        "in": server(), "internal": client(remote_ip="10.9.9.9"), "external": client(),
    }.items():  # fmt: skip
        folder = tmp_path / name
        folder.mkdir()
        inside = Inside(folder, tapped(f"direction: {direction}"), connection=who)
        if inside.play(CALL).reported:
            found.add(name)
    assert found == seen


@pytest.mark.parametrize(("ignored", "events"), [("true", 0), ("false", 1)])
def test_loopback(tmp_path: Path, ignored: str, events: int) -> None:
    inside = Inside(tmp_path, tapped(f"ignore_loopback: {ignored}"),
                    connection=client(remote_ip="127.0.0.1"))  # fmt: skip
    assert len(inside.play(CALL).reported) == events


@pytest.mark.parametrize(("audited", "events"), [("true", 1), ("false", 0)])
def test_dns(tmp_path: Path, audited: str, events: int) -> None:
    inside = Inside(tmp_path, tapped(f"audit_include_dns: {audited}"),
                    connection=client(remote_port=53))  # fmt: skip
    assert len(inside.play(CALL).reported) == events


# -- filters ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "exe"),
    [
        ("kubernetes", "/usr/bin/kubelet"), ("container", "/usr/bin/containerd-shim-runc-v2"),
        ("container-runtimes", "/usr/bin/dockerd"), ("gke", "/opt/gke-metadata-server"),
        ("eks", "/usr/bin/amazon-ssm-agent"), ("qpoint", "/opt/qtap"),
        ("qpoint", "/usr/bin/qcloud-agent"),
    ],
)  # fmt: skip
def test_groups(tmp_path: Path, group: str, exe: str) -> None:
    inside = Inside(tmp_path, tapped(f"filters: {{groups: [{group}]}}"), connection=client(exe=exe))
    assert inside.play(CALL).reported == []
    other = ProcessFilters(Filters(groups=(group,)))  # type: ignore[arg-type]
    assert other.verdict("/usr/bin/curl").follow
    assert set(GROUPS) >= {group}


@pytest.mark.parametrize(
    ("strategy", "exe", "left_alone"),
    [
        ("exact", "/usr/bin/curl", True), ("exact", "/usr/bin/cur", False),
        ("prefix", "/usr/", True), ("prefix", "/opt/", False), ("suffix", "/curl", True),
        ("suffix", "/wget", False), ("contains", "bin", True), ("contains", "sbin", False),
        ("regex", "cu.l$", True), ("regex", "^curl", False),
    ],
)  # fmt: skip
def test_strategies(tmp_path: Path, strategy: str, exe: str, left_alone: bool) -> None:  # noqa: FBT001
    custom = f"filters: {{custom: [{{exe: '{exe}', strategy: {strategy}}}]}}"
    inside = Inside(tmp_path, tapped(custom))
    assert len(inside.play(CALL).reported) == (0 if left_alone else 1)


@pytest.mark.parametrize(
    ("only", "tls", "plain", "payload"),
    [((), False, False, False), (("http",), False, False, True), (("tls",), False, True, True),
     (("data",), True, True, False), (("dns",), True, True, True),
     (("tls", "data"), False, True, False)],
)  # fmt: skip
def test_only(only: tuple[str, ...], tls: bool, plain: bool, payload: bool) -> None:  # noqa: FBT001
    custom = CustomFilter(exe="/usr/bin/curl", only=only)  # type: ignore[arg-type]
    verdict = ProcessFilters(Filters(custom=(custom,))).verdict("/usr/bin/curl")
    assert (verdict.tls, verdict.follow, verdict.payload) == (tls, plain, payload)


def test_only_data_is_left_out_of_memory_and_store(tmp_path: Path) -> None:
    text = stack("{type: http_capture, config: {level: full}}", "{type: report_usage}")
    text = text.replace("http: {stack: s}", "http: {stack: s}, filters: {custom: ["
                        "{exe: /usr/bin/curl, only: [data]}]}")  # fmt: skip
    inside = Inside(tmp_path, text).play(CALL).done()
    assert inside.objects() == {}
    assert len(inside.events("Request")) == len(inside.reported) == 1


# -- endpoints -------------------------------------------------------------------------

ENDPOINTS = STORES.replace("tap: {http: {stack: s}}", """
stacks: {s: {}, exact: FULL, below: FULL, deep: {}}
tap:
  http: {stack: s}
  endpoints:
    - {domain: API.example.com, http: {stack: exact}}
    - {domain: "*.example.org", http: {stack: below}}
    - {domain: "*.deep.example.org", http: {stack: deep}}
    - {domain: silent.example.org}
""".replace("FULL", FULL))  # fmt: skip


@pytest.mark.parametrize(
    ("host", "kept"),
    [
        ("api.example.com", True), ("API.EXAMPLE.COM", True), ("x.api.example.com", False),
        ("a.example.org", True), ("a.b.example.org", True), ("example.org", False),
        ("a.deep.example.org", False), ("silent.example.org", False), ("other", False),
    ],
)  # fmt: skip
def test_endpoints(tmp_path: Path, host: str, kept: bool) -> None:  # noqa: FBT001
    inside = Inside(tmp_path, ENDPOINTS).play((ask("/x", host), answer())).done()
    assert len(inside.objects()) == int(kept)
    assert len(inside.reported) == 1


# -- tags ------------------------------------------------------------------------------

TAGS = """
tags:
  - {key: team, source: env, location: TEAM}
  - {key: app, source: k8s.label, location: app.kubernetes.io/name}
  - {key: owner, source: k8s.annotation, location: owner}
  - {key: tier, source: container.label, location: com.example.tier}
  - {key: none, source: env, location: NOT_THERE}
"""
WHO = Who(
    environment={"TEAM": "shop"},
    pod_name="shop-1", pod_namespace="prod",
    pod_labels={"app.kubernetes.io/name": "shop"},
    pod_annotations={"owner": "ana"},
    container_name="web", container_image="shop:1",
    container_labels={"com.example.tier": "gold"},
)  # fmt: skip


def test_tags_and_attribution(tmp_path: Path) -> None:
    inside = Inside(tmp_path, USAGE + TAGS, who=WHO, given={"region": ["eu", "eu-1"]},
                    connection=client(container_id="c" * 64))  # fmt: skip
    about = inside.policy.describe(inside.connection)
    assert about is not None
    assert about.tags == {
        "region": ["eu", "eu-1"], "bin": ["curl"], "host": ["node-1"], "ip": ["10.0.0.1"],
        "team": ["shop"], "app": ["shop"], "owner": ["ana"], "tier": ["gold"],
    }  # fmt: skip
    (event,) = inside.play(CALL).reported
    assert (event.container_name, event.container_image, event.pod_name, event.pod_namespace) == (
        "web", "shop:1", "shop-1", "prod",
    )  # fmt: skip
    assert inside.asked[0] == {"TEAM", "NOT_THERE"}


def test_rules_see_tags_labels_and_the_environment(tmp_path: Path) -> None:
    expr = ('tags.team == "shop" and src.pod.labels["app.kubernetes.io/name"] == "shop" and '
            'src.process.env.MODE == "canary" and src.container.name == "web" and '
            'src.pod.annotations.owner == "ana" and src.container.labels["com.example.tier"] '
            'matches /^go/')  # fmt: skip
    rules = f"rules: [{{level: full, expr: '{expr}'}}]"
    text = stack(f"{{type: http_capture, config: {{level: none, {rules}}}}}") + TAGS
    who = Who(**{name: getattr(WHO, name) for name in WHO.__struct_fields__}
              | {"environment": {"TEAM": "shop", "MODE": "canary"}})  # fmt: skip
    inside = Inside(tmp_path, text, who=who)
    inside.play(CALL).done()
    assert len(inside.objects()) == 1
    assert inside.asked[0] == {"TEAM", "NOT_THERE", "MODE"}


def test_the_environment_of_a_process_is_read_for_what_is_named_only() -> None:
    os.environ.setdefault("PATH", "/bin")
    mine = client(pid=os.getpid())
    from_proc = OnNode(Containers([], Counters()))
    found = from_proc(mine, frozenset({"PATH", "NOT_THERE"})).environment
    assert set(found) == {"PATH"}
    assert from_proc(mine, frozenset()).environment == {}
    assert from_proc(client(pid=2**22 + 1), frozenset({"PATH"})).environment == {}


def test_deployment_tags() -> None:
    assert deployment_tags("") == {}
    assert deployment_tags("a:1, b:x:y,a:2,") == {"a": ["1", "2"], "b": ["x:y"]}
    with pytest.raises(TagsError, match="write key:value"):
        deployment_tags("a")


# -- control ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("control", "seen"),
    [
        ("{}", {"/a", "/b"}),
        ("{default: deny}", set()),
        ("{rules: [{expr: 'req.path == \"/a\"', actions: [deny]}]}", {"/b"}),
        ("{default: deny, rules: [{expr: 'req.path == \"/a\"', actions: [allow]}]}", {"/a"}),
        ("{rules: [{expr: tls, actions: [allow]}, {expr: tls, actions: [deny]}]}", {"/a", "/b"}),
        ("{rules: [{expr: nothing == 1, actions: [deny]}]}", {"/a", "/b"}),
        ("{default: deny, rules: [{expr: slow(), actions: [allow]}]}", {"/a", "/b"}),
    ],
)
def test_control(tmp_path: Path, control: str, seen: set[str]) -> None:
    macro = "\nrulekit: {macros: [{name: slow, expr: res.status < 500}]}\n"
    inside = Inside(tmp_path, USAGE + f"\ncontrol: {control}" + macro)
    inside.play((ask("/a"), answer()), (ask("/b"), answer())).done()
    assert {event.path for event in inside.reported} == seen
    assert {one["path"] for one in inside.events("Request")} == seen
    assert inside.counters.get("exchanges_denied") == 2 - len(seen)
