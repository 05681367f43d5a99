"""The S3 store on bad days: elsewhere, lying, busy, away; one in the middle sees to it."""

from __future__ import annotations

import socket
import subprocess
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from agent.counters import Counters
from agent.stores.base import PLAIN, ObjectMeta, StoreError
from agent.stores.queue import ObjectQueue
from tests.agent.stores.between import Between, Passing, between, s3_error
from tests.agent.stores.gateway import BUCKET, REGION, Gateway, gateway
from tests.agent.stores.s3 import DATA, DIGEST, lying, refused, store, text
from tests.agent.told import capture_logs
from tests.e2e.certificates import write_certificate
from tests.real import require_real
from wire.config import Credential
from wire.objects import object_digest


def test_a_region_that_is_wrong_is_learnt_and_reported(
    middle: Between, server: Gateway, counters: Counters
) -> None:
    def malformed(passing: Passing) -> Passing | None:
        if f"/{REGION}/s3/" in passing.headers["authorization"]:
            return None
        return s3_error(400, "AuthorizationHeaderMalformed", f"<Region>{REGION}</Region>")

    middle.request = malformed
    opened = store(middle.endpoint, counters, region="us-east-1")
    with capture_logs() as said:
        opened.put(DIGEST, DATA)
        opened.put(DIGEST, DATA)
    assert lying(server) == DATA
    assert len(middle.seen) == 3, "learnt once"
    assert counters.get("s3.redirects") == 1
    assert opened.url(DIGEST) == f"http://{middle.endpoint}/{BUCKET}/{DIGEST}"
    (line,) = said
    assert line["event"] == "the bucket is elsewhere; set this in the configuration"
    assert (line["region"], line["endpoint"]) == (REGION, middle.endpoint)


def test_a_307_is_followed(middle: Between, server: Gateway, counters: Counters) -> None:
    with between() as door:
        door.request = lambda passing: s3_error(
            307, "TemporaryRedirect", location=f"http://{middle.endpoint}{passing.path}"
        )
        opened = store(door.endpoint, counters)
        opened.put(DIGEST, DATA)
        assert lying(server) == DATA
        assert (len(door.seen), len(middle.seen)) == (1, 1)


def test_a_301_is_followed_and_reported(
    middle: Between, server: Gateway, counters: Counters
) -> None:
    """A bucket that has moved for good: endpoint and region are learnt, and told of once."""
    with between() as door:
        door.request = lambda _: s3_error(
            301, "PermanentRedirect", f"<Endpoint>{middle.endpoint}</Endpoint>",
            x_amz_bucket_region=REGION,
        )  # fmt: skip
        opened = store(door.endpoint, counters, region="us-east-1")
        with capture_logs() as said:
            opened.put(DIGEST, DATA)
            opened.put(DIGEST, DATA)
        assert (len(door.seen), len(middle.seen)) == (1, 2)
        assert opened.url(DIGEST) == f"http://{door.endpoint}/{BUCKET}/{DIGEST}", "as configured"
    assert lying(server) == DATA
    assert counters.get("s3.redirects") == 1
    (line,) = said
    assert (line["endpoint"], line["region"]) == (middle.endpoint, REGION)
    assert line["log_level"] == "warning"


def test_redirects_in_a_circle_end(middle: Between, counters: Counters) -> None:
    regions = iter(f"eu-circle-{number}" for number in range(1, 100))
    middle.request = lambda _: s3_error(301, "PermanentRedirect",
                                        x_amz_bucket_region=next(regions))  # fmt: skip
    assert refused(store(middle.endpoint, counters)).reason == "redirect"
    assert len(middle.seen) == 5


@pytest.mark.parametrize(
    "headers",
    [
        {"location": "http://127.0.0.1:99999/b"},
        {"location": "http://127.0.0.1:x/b"},
        {"location": "http://127.0.0.1:80 x/b"},
        {"x_amz_bucket_region": "eu west/1"},
    ],
)
def test_redirects_to_what_is_no_place(
    middle: Between, counters: Counters, headers: dict[str, str]
) -> None:
    middle.request = lambda _: s3_error(301, "PermanentRedirect", **headers)
    assert refused(store(middle.endpoint, counters)).reason == "redirect"
    assert len(middle.seen) == 1


@pytest.mark.parametrize(
    "extra",
    [
        "<Endpoint>127.0.0.1:80&#13;&#10;x-evil: 1</Endpoint>",
        "<Endpoint>user@127.0.0.1</Endpoint>",
        "<Region>eu&#10;x-evil: 1</Region>",
    ],
)
def test_documents_that_redirect_into_a_header(
    middle: Between, counters: Counters, extra: str
) -> None:
    middle.request = lambda _: s3_error(301, "PermanentRedirect", extra)
    assert refused(store(middle.endpoint, counters)).reason == "redirect"
    assert len(middle.seen) == 1


@pytest.mark.parametrize(
    "date", ["Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 1900 00:00:00 GMT", "never"]
)
def test_a_store_in_another_age_does_not_set_the_clock(
    middle: Between, counters: Counters, date: str
) -> None:
    """Signing for the year 10000 would raise, for each object, on the threads that store."""
    middle.request = lambda _: s3_error(403, "RequestTimeTooSkewed", date=date)
    assert refused(store(middle.endpoint, counters)).reason == "clock"
    assert counters.get("s3.clock-corrected") == 0


@pytest.mark.parametrize("over", [{"access_key": text("AK\nx: y")},
                                  {"session_token": text("HUNTER2\r\nx-evil: 1")}])  # fmt: skip
def test_keys_that_no_header_can_hold(
    middle: Between, counters: Counters, over: dict[str, Any]
) -> None:
    """The library's own words repeat the token."""
    middle.request = lambda _: Passing("", "", {}, b"", 200)
    found = refused(store(middle.endpoint, counters, **over))
    assert found.reason == "unsendable"
    assert "HUNTER2" not in str(found)
    assert found.__cause__ is None
    assert middle.seen == []


def test_a_file_of_keys_that_is_no_text(tmp_path: Path, counters: Counters) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"\xff\xfe")
    opened = store(
        "127.0.0.1:9", counters, {"K_FILE": str(key)},
        access_key=Credential(type="env", value="K"), secret_key=Credential(type="env", value="K"),
    )  # fmt: skip
    assert refused(opened).reason == "credentials"


class _Faulty:
    """What nobody thought of."""

    id, kind, threads = "faulty", "s3", 1

    def __init__(self) -> None:
        self.asked = 0

    def url(self, digest: str) -> str:
        return digest

    def put(self, digest: str, data: bytes, meta: ObjectMeta = PLAIN) -> str:
        del data, meta
        self.asked += 1
        if self.asked == 1:
            raise KeyError("HUNTER2")
        return digest

    def get(self, digest: str) -> bytes:
        raise StoreError("not-found", digest)

    def check(self) -> None:
        """It is there."""

    def close(self) -> None:
        """Nothing is open."""


def test_a_fault_costs_one_object_and_not_the_thread(counters: Counters) -> None:
    faulty = _Faulty()
    queue = ObjectQueue(faulty, counters)
    with capture_logs() as said:
        queue.start()
        queue.offer("a" * 40, b"x")
        queue.offer("b" * 40, b"x")
        assert queue.close(5)
    assert (faulty.asked, queue.held) == (2, 0)
    assert counters.drops() == {"object.fault": 1}
    assert counters.get("objects_stored") == 1
    assert [(line["log_level"], line["fault"]) for line in said] == [("error", "KeyError")]
    assert "HUNTER2" not in str(said)


def test_a_clock_that_is_off_is_corrected(middle: Between, counters: Counters) -> None:
    ahead = time.time() + 7200
    stamps = []

    def skewed(passing: Passing) -> Passing:
        stamps.append(passing.headers["x-amz-date"])
        if stamps[-1] < time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(ahead - 900)):
            return s3_error(403, "RequestTimeTooSkewed", date=formatdate(ahead, usegmt=True))
        return Passing("", "", {}, b"", 200)

    middle.request = skewed
    opened = store(middle.endpoint, counters)
    opened.put(DIGEST, DATA)
    opened.put(DIGEST, DATA)
    assert len(stamps) == 3
    assert counters.get("s3.clock-corrected") == 1


# -- bad days --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (403, "AccessDenied", "access-denied"), (404, "NoSuchBucket", "no-bucket"),
        (507, "XMinioStorageFull", "full"), (403, "QuotaExceeded", "full"),
        (400, "EntityTooLarge", "too-large"), (400, "KMS.NotFoundException", "encryption"),
        (418, "Teapot", "refused"),
    ],
)  # fmt: skip
def test_a_store_that_refuses(
    middle: Between, server: Gateway, counters: Counters, status: int, code: str, reason: str
) -> None:
    middle.request = lambda _: s3_error(status, code)
    data = f"refused {code}".encode()
    error = refused(store(middle.endpoint, counters), data)
    assert error.reason == reason
    assert f"{status} {code}" in str(error)
    assert len(middle.seen) == 1, "not tried again"
    assert lying(server, object_digest(data)) is None


def test_a_bucket_that_is_not_there(server: Gateway, counters: Counters) -> None:
    error = refused(store(server.endpoint, counters, bucket="not-there"))
    assert error.reason == "no-bucket"
    assert "create the bucket" in str(error)


def test_a_refusal_is_not_asked_for_again_until_it_may_have_passed(
    middle: Between, counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.stores.s3.requests.PAUSE_SECONDS", 0.3)
    middle.request = lambda _: s3_error(403, "AccessDenied")
    opened = store(middle.endpoint, counters)
    for _ in range(50):
        assert refused(opened).reason == "access-denied"
    assert len(middle.seen) == 1
    middle.request = lambda _: None
    time.sleep(0.35)
    opened.put(DIGEST, DATA)
    opened.put(DIGEST, DATA)


def test_a_busy_store_is_tried_again(middle: Between, server: Gateway, counters: Counters) -> None:
    answers = iter([s3_error(503, "SlowDown"), s3_error(500, "InternalError"), None])
    middle.request = lambda _: next(answers)
    data = b"tried three times"
    store(middle.endpoint, counters).put(object_digest(data), data)
    assert lying(server, object_digest(data)) == data
    assert counters.get("s3.retries") == 2


def test_patience_ends(counters: Counters) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        opened = store(f"127.0.0.1:{closed.getsockname()[1]}", counters, patience=0.5)
        began = time.monotonic()
        error = refused(opened)
    assert error.reason == "unreachable"
    assert "check endpoint, name resolution, firewall" in str(error)
    assert 0.1 < time.monotonic() - began < 2
    assert counters.get("s3.retries") >= 1


def test_a_store_that_never_answers(counters: Counters) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        opened = store(f"127.0.0.1:{silent.getsockname()[1]}", counters, patience=0.5,
                       read_seconds=0.2)  # fmt: skip
        assert refused(opened).reason == "unreachable"


def test_bytes_changed_on_the_way_are_refused_by_the_store(
    middle: Between, server: Gateway, counters: Counters
) -> None:
    data = b"these are the bytes that were seen"

    def change(passing: Passing) -> None:
        passing.body = passing.body.replace(b"seen", b"sown")

    middle.request = change
    error = refused(store(middle.endpoint, counters), data)
    assert error.reason == "bad-digest"
    assert "look at proxies" in str(error)
    assert lying(server, object_digest(data)) is None


def test_a_store_that_lies_about_a_digest(middle: Between, counters: Counters) -> None:
    def lie(passing: Passing) -> None:
        passing.headers["x-amz-checksum-sha256"] = "A" * 43 + "="
        if passing.method == "GET":
            passing.body = b"something else"

    middle.answer = lie
    opened = store(middle.endpoint, counters)
    assert refused(opened).reason == "bad-digest"
    with pytest.raises(StoreError, match="gives other bytes") as corrupt:
        opened.get(DIGEST)
    assert corrupt.value.reason == "corrupt"


def test_what_is_not_there(server: Gateway, counters: Counters) -> None:
    with pytest.raises(StoreError) as error:
        store(server.endpoint, counters).get("0" * 40)
    assert error.value.reason == "not-found"


def test_a_disk_that_is_full(tmp_path: Path, counters: Counters) -> None:
    files = tmp_path / "small"
    files.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(files)],
        capture_output=True, check=False,
    )  # fmt: skip
    require_real("a small file system", mounted.returncode == 0, "mounting needs root")
    try:
        with gateway(tmp_path, files=files) as server:
            opened = store(server.endpoint, counters, patience=0.5)
            opened.put(DIGEST, DATA)
            data = bytes(2 << 20)
            error = refused(opened, data)
            assert error.reason == "full"
            assert "free space in the store" in str(error)
            assert lying(server, object_digest(data)) is None
            opened.put(DIGEST, DATA)
    finally:
        subprocess.run(["umount", "-l", str(files)], check=True)


def test_a_private_authority(tmp_path: Path, counters: Counters) -> None:
    certificate, key = write_certificate(tmp_path, ["localhost"], ["127.0.0.1"])
    options = ("--cert", str(certificate), "--key", str(key))
    server = Gateway(tmp_path / "tls", tmp_path / "files", *options)
    try:
        server.wait()
        (server.files / BUCKET).mkdir()
        with_ca = store(server.endpoint, counters, insecure=False, ca_file=str(certificate))
        with_ca.put(DIGEST, DATA)
        assert lying(server) == DATA
        error = refused(store(server.endpoint, counters, patience=0.3, insecure=False))
        assert error.reason == "unreachable"
        assert "certificate verify failed" in str(error)
    finally:
        server.close()
    with pytest.raises(StoreError, match="name a PEM file") as unreadable:
        store(server.endpoint, counters, insecure=False, ca_file=str(tmp_path / "none"))
    assert unreadable.value.reason == "ca-file"
