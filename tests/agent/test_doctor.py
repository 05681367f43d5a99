"""``qcloud-agent doctor`` with real stores, a platform, runtimes; good and bad."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.doctor import clock, disk
from agent.stores.s3.store import TEST_OBJECT
from tests.agent.containers.test_runtimes import cri_at, docker_at
from tests.agent.platform_server import Platform
from tests.agent.stores.gateway import BUCKET, REGION, ROOT, Gateway, free_port, gateway
from tests.e2e.certificates import write_certificate
from wire.objects import object_digest


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


class Doctor:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "qtap.yaml"
        self.words = ["--docker-socket-endpoint", "none", "--cri-runtime-socket-endpoint", "none"]

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        words = ["doctor", "--no-probes", "--format", "json", "--data-dir", str(self.folder / "d")]
        if self.config.exists():
            words += ["--config", str(self.config)]
        return subprocess.run([sys.executable, "-m", "agent.cli", *words, *self.words],
                              capture_output=True, text=True, check=False, timeout=60,
                              env={"PATH": "/usr/bin:/bin", **environment})  # fmt: skip

    def checks(self, **environment: str) -> dict[str, dict[str, Any]]:
        """All but those of the kernel, which differ by machine."""
        done = self.run(**environment)
        assert done.stdout, done.stderr
        return {one["what"]: one for one in json.loads(done.stdout)["checks"]}


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    return Doctor(tmp_path)


def s3_config(server: str) -> str:
    return f"""
version: 2
services:
  object_stores:
    - {{id: shop, type: s3, endpoint: "{server}", bucket: {BUCKET}, region: {REGION},
       insecure: true, access_url: "{{{{SCHEME}}}}://{{{{ENDPOINT}}}}/{{{{DIGEST}}}}",
       access_key: {{type: env, value: S3_KEY}}, secret_key: {{type: env, value: S3_SECRET}}}}
"""


KEYS = {"S3_KEY": ROOT.access_key, "S3_SECRET": ROOT.secret_key}


def test_a_store_that_works_is_written_and_read(doctor: Doctor, s3: Gateway) -> None:
    doctor.config.write_text(s3_config(s3.endpoint))
    checks = doctor.checks(**KEYS)
    digest = object_digest(TEST_OBJECT)
    assert checks["configuration"]["outcome"] == "good"
    store = checks["object store shop"]
    assert store["outcome"] == "good"
    address = f"http://{s3.endpoint}/{digest}"
    assert store["found"] == f"the test object is stored and read back, {address}"
    assert store["milliseconds"] > 0
    assert (s3.files / BUCKET / digest).read_bytes() == TEST_OBJECT
    assert checks["clock"]["outcome"] == "good"
    assert checks["disk"]["outcome"] == "good"


def test_a_store_that_refuses_is_bad_and_the_exit_code_says_so(doctor: Doctor, s3: Gateway) -> None:
    doctor.config.write_text(s3_config(s3.endpoint))
    done = doctor.run(**KEYS | {"S3_SECRET": "wrong"})
    assert done.returncode == 3
    report = json.loads(done.stdout)
    assert report["ok"] is False
    (store,) = [one for one in report["checks"] if one["what"] == "object store shop"]
    assert store["outcome"] == "bad"
    assert "check access_key and secret_key" in store["found"]
    assert "wrong" not in done.stdout


def test_a_store_that_is_away(doctor: Doctor) -> None:
    doctor.config.write_text(s3_config(f"127.0.0.1:{free_port()}"))
    store = doctor.checks(**KEYS)["object store shop"]
    assert store["outcome"] == "bad"
    assert "check endpoint, name resolution, firewall" in store["found"]


def test_keys_that_are_not_set(doctor: Doctor, s3: Gateway) -> None:
    doctor.config.write_text(s3_config(s3.endpoint))
    assert "S3_KEY and S3_SECRET is not set" in doctor.checks()["object store shop"]["found"]


def test_a_directory(doctor: Doctor, tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    doctor.config.write_text(
        f"version: 2\nservices: {{object_stores: [{{type: directory, path: {folder}}}]}}\n"
    )
    assert doctor.checks()["object store directory"]["outcome"] == "good"
    assert (folder / object_digest(TEST_OBJECT)).read_bytes() == TEST_OBJECT


def test_a_platform_is_reached_and_nothing_is_registered(doctor: Doctor) -> None:
    with Platform() as platform:
        doctor.config.write_text(
            "version: 2\nservices: {event_stores: [{type: pulse, url: "
            f"'{platform.url}', token: {{type: env, value: TOKEN}}}}]}}\n"
        )
        checks = doctor.checks()
        assert checks["event store pulse"]["found"] == f"{platform.url} answers"
        assert checks["event store pulse"]["outcome"] == "good"
        assert checks["token"]["outcome"] == "warning"
        assert "token" not in doctor.checks(TOKEN="secret")
        assert platform.registrations == []


def test_a_platform_with_an_authority_of_its_own(doctor: Doctor, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, ["localhost"], ["127.0.0.1"])
    with Platform((certificate, key)) as platform:
        store = f"type: pulse, url: '{platform.url}', token: {{type: text, value: t}}"
        document = f"version: 2\nservices: {{event_stores: [{{{store}}}]}}\n"
        doctor.config.write_text(document)
        found = doctor.checks()["event store pulse"]
        assert found["outcome"] == "bad"
        assert "certificate verify failed" in found["found"]
        variable = {"REGISTRATION_CA_FILE": str(certificate)}
        assert doctor.checks(**variable)["event store pulse"]["outcome"] == "good"
        doctor.config.write_text(document.replace("url:", f"ca_file: {certificate}, url:"))
        assert doctor.checks()["event store pulse"]["outcome"] == "good"


def test_a_proxy_that_is_away_is_named(doctor: Doctor) -> None:
    doctor.config.write_text(
        "version: 2\nservices: {event_stores: [{type: pulse, url: 'https://platform.example', "
        "token: {type: text, value: t}}]}\n"
    )
    found = doctor.checks(HTTPS_PROXY="http://user:hidden@127.0.0.1:9")["event store pulse"]
    assert found["outcome"] == "bad"
    assert "through the proxy http://127.0.0.1:9" in found["found"]
    assert "hidden" not in str(found)


def test_a_platform_that_is_none(doctor: Doctor, s3: Gateway) -> None:
    doctor.config.write_text(
        "version: 2\nservices: {event_stores: [{type: pulse, url: "
        f"'http://{s3.endpoint}', token: {{type: text, value: x}}}}]}}\n"
    )
    found = doctor.checks()["event store pulse"]
    assert found["outcome"] == "bad"
    assert "it is no platform" in found["found"]


def test_a_configuration_that_cannot_be_used(doctor: Doctor) -> None:
    doctor.config.write_text("version: 3\n")
    found = doctor.checks()["configuration"]
    assert found["outcome"] == "bad"
    assert found["todo"] == f"Run `qcloud-agent validate {doctor.config}`."


def test_container_runtimes(doctor: Doctor, tmp_path: Path) -> None:
    docker, cri = tmp_path / "docker", tmp_path / "cri"
    doctor.words = ["--docker-socket-endpoint", str(docker), "--containerd-socket-endpoint",
                    str(cri)]  # fmt: skip
    with docker_at(docker, lambda: (500, b"")), cri_at(cri):
        done = doctor.run()
    found = [one for one in json.loads(done.stdout)["checks"] if one["what"] == "container runtime"]
    assert [one["outcome"] for one in found] == ["warning", "good"]
    assert found[1]["found"] == f"{cri} knows 1 containers"


def test_a_clock_that_is_off() -> None:
    (check,) = clock("Tue, 01 Jan 2019 00:00:00 GMT", "s3.example")
    assert check.outcome == "bad"
    assert "chrony" in check.todo
    assert list(clock("", "s3.example")) == []
    assert list(clock("nonsense", "s3.example")) == []


def test_a_disk_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (check,) = disk(tmp_path / "not" / "there" / "yet")
    assert check.outcome == "good"
    monkeypatch.setattr("agent.doctor.FREE_BYTES", 1 << 60)
    (check,) = disk(tmp_path)
    assert check.outcome == "warning"


def test_for_people() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent.cli", "doctor", "--no-probes"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] in {
        "Nothing is missing.", "The agent cannot work here as it is.",
    }  # fmt: skip
    assert (done.returncode == 0) == done.stdout.endswith("Nothing is missing.\n")
