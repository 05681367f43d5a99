"""Ambient credentials, asked of servers that answer as STS, IMDSv2 and EKS do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from agent.stores.base import StoreError
from agent.stores.s3.ambient import Ambient
from agent.stores.s3.credentials import Credentials, Found
from tests.agent.stores.between import Between, Passing, between, s3_error
from wire.s3.signing import Keys

ROLE = "arn:aws:iam::123456789012:role/qcloud-agent"
IN_AN_HOUR = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
STAMP = IN_AN_HOUR.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def service() -> Iterator[Between]:
    with between() as running:
        yield running


def ok(body: str) -> Passing:
    return Passing("", "", {}, body.encode(), 200)


def document(key: str = "ASIA", expiration: str = STAMP) -> str:
    return json.dumps({"Code": "Success", "AccessKeyId": key, "SecretAccessKey": "secret",
                       "Token": "token", "Expiration": expiration})  # fmt: skip


def test_keys_of_the_environment_come_first() -> None:
    found = Ambient(
        {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t",
         "AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere", "AWS_ROLE_ARN": ROLE}, "eu-west-1",
    )()  # fmt: skip
    assert found == Found(Keys("a", "s", "t"), None, "environment")


def test_a_projected_token_is_exchanged_at_sts(service: Between, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a.projected.token\n")
    service.request = lambda _: ok(
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
        "<AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>s/+&amp;</SecretAccessKey>"
        f"<SessionToken>t==</SessionToken><Expiration>{STAMP}</Expiration></Credentials>"
        "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    )
    sts = f"http://{service.endpoint}"
    found = Ambient(
        {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": ROLE,
         "AWS_ENDPOINT_URL_STS": sts}, "eu-west-1",
    )()  # fmt: skip
    assert found == Found(
        Keys("ASIA1", "s/+&", "t=="), IN_AN_HOUR.timestamp(), f"web identity at {sts}"
    )
    (asked,) = service.seen
    assert asked.method == "POST"
    assert parse_qs(asked.body.decode()) == {
        "Action": ["AssumeRoleWithWebIdentity"], "Version": ["2011-06-15"], "RoleArn": [ROLE],
        "RoleSessionName": ["qcloud-agent"], "WebIdentityToken": ["a.projected.token"],
    }  # fmt: skip


def test_sts_that_refuses_is_quoted_without_the_token(service: Between, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a.projected.token")
    service.request = lambda _: s3_error(403, "AccessDenied")
    ambient = Ambient({"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": ROLE,
                       "AWS_ENDPOINT_URL_STS": f"http://{service.endpoint}"}, "")  # fmt: skip
    with pytest.raises(StoreError, match=r"refused arn:aws:iam.*AccessDenied") as error:
        ambient()
    assert error.value.reason == "credentials"
    assert "projected" not in str(error.value)


def test_an_instance_profile_by_version_two(service: Between) -> None:
    def imds(passing: Passing) -> Passing:
        if passing.method == "PUT" and passing.path == "/latest/api/token":
            assert passing.headers["x-aws-ec2-metadata-token-ttl-seconds"] == "21600"
            return ok("the-session")
        if passing.headers.get("x-aws-ec2-metadata-token") != "the-session":
            return s3_error(401, "Unauthorized")
        path = "/latest/meta-data/iam/security-credentials/"
        return ok({path: "node-role", f"{path}node-role": document()}[passing.path])

    service.request = imds
    found = Ambient({"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{service.endpoint}/"}, "")()
    assert found == Found(
        Keys("ASIA", "secret", "token"), IN_AN_HOUR.timestamp(), "instance profile node-role"
    )


def test_an_instance_without_a_profile(service: Between) -> None:
    service.request = lambda passing: (
        ok("session") if passing.method == "PUT" else Passing("", "", {}, b"", 404)
    )
    with pytest.raises(StoreError, match="attach a role"):
        Ambient({"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{service.endpoint}"}, "")()


def test_a_pod_identity_endpoint_with_its_token_file(service: Between, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("pod-token")
    service.request = lambda _: ok(document("POD"))
    environment = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{service.endpoint}/v1/c",
                   "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token)}  # fmt: skip
    assert Ambient(environment, "")().keys.access_key == "POD"
    assert service.seen[0].headers["authorization"] == "pod-token"
    assert service.seen[0].path == "/v1/c"


def test_keys_are_not_fetched_from_strangers_in_the_clear() -> None:
    environment = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://strangers.example/v1"}
    with pytest.raises(StoreError, match="in the clear"):
        Ambient(environment, "")()


def test_no_metadata_service_is_asked_where_that_is_forbidden() -> None:
    with pytest.raises(StoreError, match="the environment has none") as error:
        Ambient({"AWS_EC2_METADATA_DISABLED": "true"}, "")()
    assert error.value.reason == "credentials"


@pytest.mark.parametrize("body", ["", "{", "[]", '{"AccessKeyId":1}', document("")])
def test_nonsense_is_no_credentials(service: Between, body: str) -> None:
    service.request = lambda _: ok(body)
    ambient = Ambient({"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{service.endpoint}/v1/c"}, "")
    with pytest.raises(StoreError) as error:
        ambient()
    assert error.value.reason == "credentials"


# -- renewal ---------------------------------------------------------------------------


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Source:
    """Gives numbered keys that hold for ``seconds``; or fails."""

    def __init__(self, clock: Clock, seconds: float | None) -> None:
        self.clock = clock
        self.seconds = seconds
        self.asked = 0
        self.failing = False

    def __call__(self) -> Found:
        self.asked += 1
        if self.failing:
            raise StoreError("credentials", "away")
        ends = None if self.seconds is None else self.clock.now + self.seconds
        return Found(Keys(f"key-{self.asked}", "s"), ends)


def test_temporary_keys_are_renewed_before_they_end() -> None:
    clock = Clock()
    source = Source(clock, 3600)
    credentials = Credentials(source, clock)
    assert [credentials.keys().access_key for _ in range(3)] == ["key-1"] * 3
    clock.now += 3299
    assert credentials.keys().access_key == "key-1"
    clock.now += 1
    assert credentials.keys().access_key == "key-2"
    assert source.asked == 2


def test_keys_hold_to_their_end_while_the_source_is_away() -> None:
    clock = Clock()
    source = Source(clock, 3600)
    credentials = Credentials(source, clock)
    credentials.keys()
    source.failing = True
    clock.now += 3400
    assert credentials.keys().access_key == "key-1"
    assert credentials.keys().access_key == "key-1"
    assert source.asked == 2, "not asked for each object"
    clock.now += 200
    with pytest.raises(StoreError):
        credentials.keys()
    source.failing = False
    clock.now += 10
    assert credentials.keys().access_key == "key-4"


def test_a_source_that_gives_nothing_is_not_asked_for_each_object() -> None:
    clock = Clock()
    source = Source(clock, None)
    source.failing = True
    credentials = Credentials(source, clock)
    for _ in range(100):
        with pytest.raises(StoreError, match="away"):
            credentials.keys()
    assert source.asked == 1
    clock.now += 10
    source.failing = False
    assert credentials.keys().access_key == "key-2"


def test_keys_without_an_end_are_read_again_once_a_minute() -> None:
    clock = Clock()
    source = Source(clock, None)
    credentials = Credentials(source, clock)
    credentials.keys()
    clock.now += 59
    assert credentials.keys().access_key == "key-1"
    clock.now += 1
    assert credentials.keys().access_key == "key-2"
