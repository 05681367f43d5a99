"""Every file of docs/agent/examples and deploy/agent is what it says it is."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from tests.agent.stores.gateway import BUCKET, Gateway, gateway
from tests.real import require_real
from wire.config import parse_config

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "docs" / "agent" / "examples"
DEPLOY = ROOT / "deploy" / "agent"
FILES = sorted(path for path in EXAMPLES.rglob("*") if path.is_file())


def named(path: Path) -> str:
    return str(path.relative_to(EXAMPLES))


def load(name: str) -> Any:
    return json.loads((EXAMPLES / name).read_text())


@pytest.mark.parametrize(
    "path", [one for one in FILES if one.name == "qtap.yaml"], ids=named
)  # fmt: skip
def test_configurations_are_taken_without_a_warning(path: Path) -> None:
    parsed = parse_config(path.read_bytes(), strict=True)
    assert parsed.warnings == ()
    for store in parsed.config.services.object_stores:
        assert not store.insecure
        for credential in (store.access_key, store.secret_key):
            assert credential is None or credential.type == "env"


@pytest.mark.parametrize("path", [one for one in FILES if one.suffix == ".json"], ids=named)
def test_json_is_json(path: Path) -> None:
    assert isinstance(json.loads(path.read_text()), dict)


@pytest.mark.parametrize("path", [one for one in FILES if one.suffix == ".yaml"], ids=named)
def test_yaml_is_yaml(path: Path) -> None:
    assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_every_kind_of_file_is_read_by_a_test() -> None:
    assert {path.suffix for path in FILES} == {".json", ".yaml", ".xml", ".conf"}


def test_policies_let_the_agent_write_and_not_read() -> None:
    for name in ("aws/agent-policy.json", "minio/agent-policy.json"):
        document = load(name)
        assert document["Version"] == "2012-10-17"
        actions = {one for statement in document["Statement"] for one in statement["Action"]}
        assert {one for one in actions if one.startswith("s3:")} == {
            "s3:PutObject", "s3:AbortMultipartUpload",
        }  # fmt: skip
        assert all(one["Effect"] == "Allow" for one in document["Statement"])


def test_the_bucket_denies_what_is_in_the_clear_or_under_another_key() -> None:
    statements = load("aws/bucket-policy.json")["Statement"]
    assert [one["Effect"] for one in statements] == ["Deny", "Deny"]
    config = parse_config((EXAMPLES / "aws/qtap.yaml").read_bytes()).config
    store = config.services.object_stores[0]
    wanted = statements[1]["Condition"]["StringNotEquals"]["s3:x-amz-server-side-encryption"]
    assert store.encryption == wanted
    (rule,) = load("aws/encryption.json")["Rules"]
    key = rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"]
    assert store.kms_key_id == key
    assert load("aws/agent-policy.json")["Statement"][1]["Resource"] == key
    for statement in statements:
        resources = statement["Resource"]
        assert f"arn:aws:s3:::{store.bucket}/*" in resources


def test_payloads_leave_and_half_uploads_sooner() -> None:
    (rule,) = load("aws/lifecycle.json")["Rules"]
    assert (rule["Status"], rule["Expiration"]) == ("Enabled", {"Days": 30})
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    actions = {rule["action"]["type"] for rule in load("gcp/lifecycle.json")["rule"]}
    assert actions == {"Delete", "AbortIncompleteMultipartUpload"}
    tree = ET.fromstring((EXAMPLES / "on-premises/lifecycle.xml").read_text())  # noqa: S314  ours
    space = "{http://s3.amazonaws.com/doc/2006-03-01/}"
    assert tree.tag == f"{space}LifecycleConfiguration"
    assert tree.findtext(f"{space}Rule/{space}Expiration/{space}Days") == "30"


@pytest.mark.parametrize("name", ["splunk-inputs.conf", "splunk-props.conf", "to-file.conf"])
def test_files_of_sections(name: str) -> None:
    parser = configparser.RawConfigParser(strict=True)
    parser.read_string((EXAMPLES / "logs" / name).read_text())
    assert parser.sections()
    assert all(parser.options(section) for section in parser.sections())


def test_splunk_finds_the_time_of_a_line() -> None:
    text = (EXAMPLES / "logs/splunk-props.conf").read_text()
    prefix = re.search(r"^TIME_PREFIX = (.*)$", text, re.MULTILINE)
    assert prefix is not None
    line = '{"type":"Request","item":{"timestamp":"2026-11-21T15:00:00.123456Z"}}'
    assert re.search(prefix[1], line)


@pytest.mark.parametrize("name", ["fluentd.conf", "logstash.conf"])
def test_blocks_are_closed(name: str) -> None:
    text = (EXAMPLES / "logs" / name).read_text()
    if name == "logstash.conf":
        plain = re.sub(r'"[^"]*"', '""', text)
        assert plain.count("{") == plain.count("}") > 0
        return
    open_blocks: list[str] = []
    for line in map(str.strip, text.splitlines()):
        if line.startswith("</"):
            assert open_blocks.pop() == line[2:-1]
        elif line.startswith("<"):
            open_blocks.append(re.split(r"[ >]", line[1:])[0])
    assert open_blocks == []


def test_every_shipper_reads_the_file_that_the_unit_writes() -> None:
    written = re.search(r"append:(\S+)", (EXAMPLES / "logs/to-file.conf").read_text())
    assert written is not None
    for name in ("fluentd.conf", "logstash.conf", "cloudwatch-agent.json", "cloud-logging.yaml",
                 "splunk-inputs.conf"):  # fmt: skip
        assert written[1] in (EXAMPLES / "logs" / name).read_text(), name


def test_a_policy_that_only_writes_is_enough(tmp_path: Path) -> None:
    """The bucket policy of a real S3 takes the statement; the agent's user can put, not read."""
    with gateway(tmp_path) as server:
        server.admin("create-user", "-a", "agent", "-s", "agent-secret", "-r", "user")
        _allow_writing(server)
        from agent.counters import Counters
        from agent.stores.base import StoreError
        from tests.agent.stores.s3 import DATA, DIGEST, store, text

        opened = store(server.endpoint, Counters(), access_key=text("agent"),
                       secret_key=text("agent-secret"))  # fmt: skip
        opened.put(DIGEST, DATA)
        assert (server.files / BUCKET / DIGEST).read_bytes() == DATA
        with pytest.raises(StoreError) as refused:
            opened.get(DIGEST)
        assert refused.value.reason == "access-denied"


def _allow_writing(server: Gateway) -> None:
    (statement,) = load("minio/agent-policy.json")["Statement"]
    # A bucket's policy names whom it allows; a user's does not.
    policy = {"Version": "2012-10-17",
              "Statement": [statement | {"Principal": {"AWS": ["agent"]}}]}  # fmt: skip
    status, body = server.call("PUT", f"/{BUCKET}", {"policy": ""}, json.dumps(policy).encode())
    assert status in {200, 204}, body


# -- deploy/agent ----------------------------------------------------------------------


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    require_real("systemd-analyze", analyze, "Debian's package systemd has it")
    unit = (DEPLOY / "qcloud-agent.service").read_text()
    copy = tmp_path / "qcloud-agent.service"
    # The program is not installed here; everything else is judged as it stands.
    copy.write_text(unit.replace("/usr/local/bin/qcloud-agent", "/bin/true"))
    done = subprocess.run([str(analyze), "verify", "--man=no", str(copy)], capture_output=True,
                          text=True, check=False)  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if "qcloud-agent" in line]
    assert ours == []
    rated = subprocess.run(
        [str(analyze), "security", "--offline=true", "--threshold=45", str(copy)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert rated.returncode == 0, rated.stdout[-300:]


def test_requirements_of_the_wheel_are_those_of_the_whole() -> None:
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    agent = tomllib.loads((DEPLOY / "pyproject.toml").read_text())["project"]
    assert set(agent["dependencies"]) < set(whole["dependencies"])
    (optional,) = agent["optional-dependencies"]["columns"]
    assert optional in whole["dependencies"]
    assert agent["requires-python"] == whole["requires-python"]
    imported = set()
    for folder in ("agent", "wire"):
        for path in (ROOT / folder).rglob("*.py"):
            imported |= set(
                re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(), re.MULTILINE)
            )
    known = {"google-re2": "re2", "pyyaml": "yaml", "uuid-utils": "uuid_utils"}
    required = {re.split(r"[>=<]", one)[0] for one in agent["dependencies"]}
    assert {known.get(name, name) for name in required} <= imported
    foreign = {"django", "psutil", "redis", "starlette", "psycopg"}
    assert not imported & foreign


def test_the_container_recipe_copies_the_wheel_and_probes_the_status_server() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    assert "COPY dist/qcloud_agent-*.whl" in text
    assert "127.0.0.1:10001/healthz" in text
    assert 'ENTRYPOINT ["qcloud-agent"]' in text
    assert not re.search(r"^FROM .*:latest", text, re.MULTILINE)
