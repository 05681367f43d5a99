"""The S3 store against a real S3: what is put, who may, and what waits behind the queue."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from agent.counters import Counters
from agent.stores.queue import ObjectQueue
from agent.stores.s3.store import TEST_OBJECT
from tests.agent.stores.between import Between, Passing, s3_error
from tests.agent.stores.gateway import BUCKET, Gateway, gateway
from tests.agent.stores.s3 import BIG, DATA, DIGEST, lying, refused, store, text
from wire.config import Credential
from wire.objects import object_digest


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
