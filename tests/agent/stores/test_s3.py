"""The S3 store against a real S3, with a man in the middle where a test needs a bad day."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from agent.counters import Counters
from agent.stores.base import PLAIN, ObjectMeta, StoreError
from agent.stores.queue import ObjectQueue
from agent.stores.s3.store import TEST_OBJECT, S3Store
from tests.agent.stores.between import Between, Passing, between, s3_error
from tests.agent.stores.gateway import BUCKET, REGION, ROOT, Gateway, gateway
from tests.agent.told import capture_logs
from tests.e2e.certificates import write_certificate
from tests.real import require_real
from wire.config import Credential
from wire.config import ObjectStore as ObjectStoreConfig
from wire.objects import object_digest

DATA = b'{"request":{"method":"GET"}}'
DIGEST = object_digest(DATA)
BIG = bytes(range(256)) * 4096 * 12  # 12 MiB


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture
def middle(server: Gateway) -> Iterator[Between]:
    with between(server.endpoint) as running:
        yield running


@pytest.fixture
def counters() -> Counters:
    return Counters()


def text(value: str) -> Credential:
    return Credential(type="text", value=value)


def store(endpoint: str, counters: Counters, environment: dict[str, str] | None = None,
          patience: float = 3.0, **over: Any) -> S3Store:  # fmt: skip
    options = {
        key: over.pop(key)
        for key in ("part_bytes", "multipart_bytes", "read_seconds")
        if key in over
    }
    known: dict[str, Any] = {
        "id": "s3", "type": "s3", "endpoint": endpoint, "bucket": BUCKET, "region": REGION,
        "insecure": True, "access_key": text(ROOT.access_key), "secret_key": text(ROOT.secret_key),
        "access_url": "{{SCHEME}}://{{ENDPOINT}}/{{BUCKET}}/{{DIGEST}}",
    } | over  # fmt: skip
    return S3Store(ObjectStoreConfig(**known), environment or {}, counters, patience=patience,
                   **options)  # fmt: skip


def lying(server: Gateway, digest: str = DIGEST) -> bytes | None:
    path = server.files / BUCKET / digest
    return path.read_bytes() if path.exists() else None


def refused(opened: S3Store, data: bytes = DATA) -> StoreError:
    with pytest.raises(StoreError) as error:
        opened.put(object_digest(data), data)
    return error.value


# -- right -----------------------------------------------------------------------------


def test_what_is_put_lies_there_and_comes_back(server: Gateway, counters: Counters) -> None:
    opened = store(server.endpoint, counters)
    url = opened.put(DIGEST, DATA)
    assert url == f"http://{server.endpoint}/{BUCKET}/{DIGEST}" == opened.url(DIGEST)
    assert lying(server) == DATA
    assert opened.get(DIGEST) == DATA
    assert opened.put(DIGEST, DATA) == url
    assert counters.counts() == {"s3.requests": 3}


def test_the_test_object_is_stored_under_its_digest(server: Gateway, counters: Counters) -> None:
    store(server.endpoint, counters).check()
    assert lying(server, object_digest(TEST_OBJECT)) == TEST_OBJECT


def test_a_large_object_goes_in_parts(middle: Between, server: Gateway, counters: Counters) -> None:
    digest = object_digest(BIG)
    opened = store(middle.endpoint, counters, part_bytes=5 << 20, multipart_bytes=5 << 20)
    opened.put(digest, BIG)
    assert lying(server, digest) == BIG
    calls = [(one.method, one.path.partition("?")[2].partition("&")[0]) for one in middle.seen]
    assert calls[0] == ("POST", "uploads=")
    assert calls[1:4] == [("PUT", f"partNumber={number}") for number in (1, 2, 3)]
    assert calls[4][0] == "POST"
    assert len(calls) == 5


def test_an_upload_that_fails_is_aborted(middle: Between, counters: Counters) -> None:
    def third(passing: Passing) -> Passing | None:
        wanted = "partNumber=3" in passing.path
        return s3_error(403, "AccessDenied") if wanted else None

    middle.request = third
    opened = store(middle.endpoint, counters, part_bytes=5 << 20, multipart_bytes=5 << 20)
    assert refused(opened, BIG).reason == "access-denied"
    assert middle.seen[-1].method == "DELETE"
    assert "uploadId=" in middle.seen[-1].path


def test_the_bucket_in_the_name(
    tmp_path: Path, counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    ordinary = socket.getaddrinfo

    def resolve(host: str, *arguments: Any, **named: Any) -> Any:
        asked.append(host)
        ours = host.endswith("s3.invalid")
        return ordinary("127.0.0.1" if ours else host, *arguments, **named)

    with gateway(tmp_path, "--virtual-domain", "s3.invalid") as server:
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        opened = store(f"s3.invalid:{server.port}", counters, addressing="virtual")
        opened.put(DIGEST, DATA)
        assert lying(server) == DATA
    assert set(asked) == {f"{BUCKET}.s3.invalid"}


def test_encryption_is_asked_for(middle: Between, counters: Counters) -> None:
    middle.request = lambda _: Passing("", "", {}, b"", 200)
    kms = store(middle.endpoint, counters, encryption="aws:kms", kms_key_id="arn:aws:kms:k")
    kms.put(DIGEST, DATA)
    own = store(middle.endpoint, counters, encryption="AES256")
    own.put(DIGEST, DATA)
    named = "x-amz-server-side-encryption"
    first, second = (one.headers for one in middle.seen)
    assert (first[named], first[f"{named}-aws-kms-key-id"]) == ("aws:kms", "arn:aws:kms:k")
    assert f";{named};{named}-aws-kms-key-id" in first["authorization"]
    assert second[named] == "AES256"
    assert f"{named}-aws-kms-key-id" not in second


# -- credentials -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "over", [{"secret_key": text("wrong")}, {"access_key": text("nobody")}], ids=["secret", "key"]
)
def test_wrong_credentials(server: Gateway, counters: Counters, over: dict[str, Any]) -> None:
    opened = store(server.endpoint, counters, **over)
    before = time.monotonic()
    error = refused(opened)
    assert error.reason == "credentials"
    assert "check access_key and secret_key" in str(error)
    assert refused(opened).reason == "credentials"
    assert counters.counts() == {"s3.requests": 1}, "the second was not even asked"
    assert time.monotonic() - before < 2


def test_missing_credentials_name_the_variable(server: Gateway, counters: Counters) -> None:
    opened = store(server.endpoint, counters, access_key=Credential(type="env", value="S3_KEY"))
    error = refused(opened)
    assert error.reason == "credentials"
    assert "S3_KEY is not set" in str(error)
    assert counters.counts() == {}


def test_rotated_credentials_are_read_again(
    server: Gateway, counters: Counters, tmp_path: Path
) -> None:
    server.admin("create-user", "-a", "rotating", "-s", "first-secret", "-r", "admin")
    file = tmp_path / "secret"
    file.write_text("first-secret\n")
    opened = store(
        server.endpoint, counters, {"S3_SECRET_FILE": str(file)},
        access_key=text("rotating"), secret_key=Credential(type="env", value="S3_SECRET"),
    )  # fmt: skip
    opened.put(DIGEST, DATA)
    server.admin("update-user", "-a", "rotating", "-s", "second-secret")
    file.write_text("second-secret\n")
    data = b"after the rotation"
    opened.put(object_digest(data), data)
    assert lying(server, object_digest(data)) == data
    assert counters.get("s3.credentials-renewed") == 1


def test_an_expired_session_is_renewed_from_its_file(
    middle: Between, server: Gateway, counters: Counters, tmp_path: Path
) -> None:
    def expired(passing: Passing) -> Passing | None:
        old = passing.headers["x-amz-security-token"] == "old"
        return s3_error(400, "ExpiredToken") if old else Passing("", "", {}, b"", 200)

    middle.request = expired
    file = tmp_path / "token"
    file.write_text("old")
    token = Credential(type="env", value="S3_TOKEN")
    opened = store(middle.endpoint, counters, {"S3_TOKEN_FILE": str(file)}, session_token=token)
    error = refused(opened)
    assert error.reason == "expired"
    assert "renew the session token" in str(error)
    file.write_text("new")
    another = store(middle.endpoint, counters, {"S3_TOKEN_FILE": str(file)}, session_token=token)
    another.put(DIGEST, DATA)
    assert [one.headers["x-amz-security-token"] for one in middle.seen] == ["old", "new"]
    del server


# -- elsewhere -------------------------------------------------------------------------


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


# -- behind the queue ------------------------------------------------------------------


def test_a_slow_store_fills_the_queue_and_what_is_dropped_is_counted(
    middle: Between, server: Gateway, counters: Counters
) -> None:
    def slow(_: Passing) -> None:
        time.sleep(0.05)

    middle.request = slow
    queue = ObjectQueue(store(middle.endpoint, counters), counters, queue_bytes=20_000)
    queue.start()
    objects = [b"%05d" % number + b"x" * 995 for number in range(100)]
    taken = [queue.offer(object_digest(data), data) for data in objects]
    assert queue.close(10)
    stored = [data for data in objects if lying(server, object_digest(data)) == data]
    assert taken[:20] == [True] * 20
    assert len(stored) == sum(taken) == counters.get("objects_stored")
    assert counters.drops() == {"object.queue-full": 100 - sum(taken)}


def test_leaving_does_not_wait_for_a_store_that_is_away(counters: Counters) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        opened = store(f"127.0.0.1:{closed.getsockname()[1]}", counters, patience=60)
        queue = ObjectQueue(opened, counters)
        queue.start()
        for number in range(20):
            queue.offer(object_digest(b"%d" % number), b"%d" % number)
        began = time.monotonic()
        assert not queue.close(0.5)
        for thread in queue.threads:
            thread.join(2)
    assert time.monotonic() - began < 3
    assert counters.drops() == {"object.shutdown": 20}
    assert not [one for one in threading.enumerate() if one.name.startswith("objects-s3")]
