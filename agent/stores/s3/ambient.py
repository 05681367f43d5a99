"""The node's own credentials, in the order in which AWS's libraries look for them.

Environment; web identity (IRSA: a projected token exchanged at STS); the container's
endpoint (EKS Pod Identity, ECS); the instance's profile (IMDSv2). Nothing is asked unless a
store of type ``s3`` has no keys of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

import msgspec
import urllib3

from agent.proxies import Pools
from agent.reading import read_body
from agent.stores.base import StoreError
from agent.stores.s3.answers import Answer, field, trouble
from agent.stores.s3.credentials import Found
from wire.s3.signing import Keys

CONNECT_SECONDS: Final = 1.0
READ_SECONDS: Final = 5.0
MAX_ANSWER_BYTES: Final = 256 * 1024
SESSION_NAME: Final = "qcloud-agent"
METADATA: Final = "http://169.254.169.254"
CONTAINERS: Final = "http://169.254.170.2"
_HOLDS_SECONDS: Final = "21600"
_PLAIN_HOSTS: Final = frozenset(
    {"localhost", "127.0.0.1", "::1", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"}
)
"""Where a container's credentials may be fetched from in the clear: AWS's own rule."""


class Ambient:
    """A ``Provider``. ``environment`` is the process's."""

    def __init__(self, environment: Mapping[str, str], region: str) -> None:
        self._environment = environment
        self._region = region
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        self._pool = Pools(environment, timeout=timeout, num_pools=2)

    def __call__(self) -> Found:
        """Raises ``StoreError``: what was tried, and why each gave nothing."""
        ways: list[tuple[bool, Callable[[], Found]]] = [
            (self._has("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), self._from_environment),
            (self._has("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"), self._web_identity),
            (self._container_url() != "", self._container),
        ]
        for given, way in ways:
            if given:
                return way()
        if self._get("AWS_EC2_METADATA_DISABLED").lower() == "true":
            raise trouble("credentials", "the configuration names no keys and the environment "
                          "has none")  # fmt: skip
        return self._instance()

    def _get(self, name: str) -> str:
        return self._environment.get(name, "")

    def _has(self, *names: str) -> bool:
        return all(self._get(name) for name in names)

    # -- the ways ------------------------------------------------------------------

    def _from_environment(self) -> Found:
        keys = Keys(
            self._get("AWS_ACCESS_KEY_ID"),
            self._get("AWS_SECRET_ACCESS_KEY"),
            self._get("AWS_SESSION_TOKEN"),
        )
        return Found(keys, None, "environment")

    def _web_identity(self) -> Found:
        """https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html"""
        query = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": self._get("AWS_ROLE_ARN"),
            "RoleSessionName": self._get("AWS_ROLE_SESSION_NAME") or SESSION_NAME,
            "WebIdentityToken": self._file("AWS_WEB_IDENTITY_TOKEN_FILE"),
        }
        sts = self._get("AWS_ENDPOINT_URL_STS") or f"https://sts.{self._region}.amazonaws.com"
        answer = self._ask(
            "POST",
            f"{sts.rstrip('/')}/",
            {"Content-Type": "application/x-www-form-urlencoded"},
            urlencode(query).encode(),
        )
        if not answer.ok:
            raise trouble("credentials", f"{sts} refused {query['RoleArn']}: {answer.code}: "
                          f"{answer.message}")  # fmt: skip
        keys = Keys(*(field(answer.body, name) for name in
                      ("AccessKeyId", "SecretAccessKey", "SessionToken")))  # fmt: skip
        return _checked(keys, field(answer.body, "Expiration"), f"web identity at {sts}")

    def _container(self) -> Found:
        """https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html"""
        url = self._container_url()
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in _PLAIN_HOSTS:
            raise trouble("credentials", f"{url} would give keys away in the clear")
        token = self._get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
        if self._get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
            token = self._file("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        answer = self._ask("GET", url, {"Authorization": token} if token else {})
        return _from_json(answer, url, "container's endpoint")

    def _container_url(self) -> str:
        relative = self._get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        if relative:
            return f"{CONTAINERS}/{relative.lstrip('/')}"
        return self._get("AWS_CONTAINER_CREDENTIALS_FULL_URI")

    def _instance(self) -> Found:
        """IMDSv2 alone: version 1 can be reached through any forwarding proxy.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-v2-how-it-works.html
        """
        base = (self._get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or METADATA).rstrip("/")
        seconds = {"X-aws-ec2-metadata-token-ttl-seconds": _HOLDS_SECONDS}
        try:
            token = self._ask("PUT", f"{base}/latest/api/token", seconds)
        except StoreError as error:
            why = "neither configuration nor environment has keys, nor this node a profile"
            raise trouble("credentials", f"{why} ({error})") from error
        if not token.ok:
            raise trouble("credentials", f"{base} gives no token: {token.code}")
        headers = {"X-aws-ec2-metadata-token": token.body.decode("ascii", "replace").strip()}
        profiles = f"{base}/latest/meta-data/iam/security-credentials/"
        role = self._ask("GET", profiles, headers)
        name = role.body.decode("utf-8", "replace").strip().partition("\n")[0]
        if not role.ok or not name:
            raise trouble("credentials", "this instance has no profile: attach a role to it")
        return _from_json(self._ask("GET", profiles + name, headers), profiles + name,
                          f"instance profile {name}")  # fmt: skip

    # -- asking --------------------------------------------------------------------

    def _file(self, variable: str) -> str:
        path = Path(self._get(variable))
        try:
            return path.read_text().strip()
        except OSError as error:
            raise trouble("credentials", f"{variable}: {path}: {error.strerror}") from error

    def _ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Answer:
        try:
            response = self._pool.request(
                method, url, headers=headers, body=body, preload_content=False
            )
            try:
                data = read_body(response, MAX_ANSWER_BYTES, READ_SECONDS)
            finally:
                response.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise trouble(
                "credentials", f"{url} does not answer: {self._pool.why(url, error)}"
            ) from error
        return Answer(response.status, {}, data)


class _Document(msgspec.Struct):
    AccessKeyId: str = ""
    SecretAccessKey: str = ""
    Token: str = ""
    Expiration: str = ""


def _from_json(answer: Answer, url: str, source: str) -> Found:
    if not answer.ok:
        raise trouble("credentials", f"{url} answered {answer.code}: {answer.message}")
    try:
        document = msgspec.json.decode(answer.body, type=_Document)
    except msgspec.DecodeError as error:
        raise trouble("credentials", f"{url} gives no credentials: {error}") from error
    keys = Keys(document.AccessKeyId, document.SecretAccessKey, document.Token)
    return _checked(keys, document.Expiration, source)


def _checked(keys: Keys, expiration: str, source: str) -> Found:
    if not keys.access_key or not keys.secret_key:
        raise trouble("credentials", f"{source} gives no keys")
    expires = None
    if expiration:
        try:
            expires = datetime.fromisoformat(expiration).timestamp()
        except ValueError as error:
            raise trouble("credentials", f"{source}: {expiration!r} is no time") from error
    return Found(keys, expires, source)
