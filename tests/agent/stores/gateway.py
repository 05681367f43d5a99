"""A real S3 (versitygw) on loopback, over a folder."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from agent.stores.s3.transport import Transport
from tests.real import require_real
from wire.s3.signing import Call, Keys, sign, target

ROOT: Final = Keys("root-of-tests", "secret-of-root-of-tests")
BUCKET: Final = "payloads"
REGION: Final = "eu-test-1"
_SCRIPT: Final = Path(__file__).resolve().parents[3] / "scripts" / "real-services"


@cache
def binary() -> Path:
    told = subprocess.run(
        [str(_SCRIPT), "--path", "versitygw"], capture_output=True, text=True, check=True
    )
    return Path(told.stdout.strip())


def require_gateway() -> Path:
    require_real("S3 (versitygw)", binary().exists(), "scripts/real-services builds it once")
    return binary()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Gateway:
    """One server. ``files`` is what lies in it: ``files / BUCKET / key``."""

    def __init__(self, folder: Path, files: Path, *options: str) -> None:
        self.files = files
        self._users = folder / "users"
        self._users.mkdir(parents=True)
        files.mkdir(exist_ok=True)
        self.port = free_port()
        self._log = (folder / "gateway.log").open("wb")
        self._process = subprocess.Popen(
            [
                str(require_gateway()), "--access", ROOT.access_key, "--secret", ROOT.secret_key,
                "--region", REGION, "--port", f"127.0.0.1:{self.port}",
                "--iam-dir", str(self._users), *options, "posix", str(files),
            ],
            stdout=self._log, stderr=self._log,
        )  # fmt: skip
        self.transport = Transport()

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def wait(self) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            assert self._process.poll() is None, "versitygw ended"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        pytest.fail("versitygw does not listen")

    def call(
        self, method: str, path: str, query: dict[str, str] | None = None, body: bytes = b""
    ) -> tuple[int, bytes]:
        digest = hashlib.sha256(body).hexdigest()
        call = Call(method, self.endpoint, path, query or {}, {}, digest)
        headers = sign(call, ROOT, REGION, time.time())
        url = f"http://{self.endpoint}{target(path, call.query)}"
        answer = self.transport.send(method, url, headers, body)
        return answer.status, answer.body

    def admin(self, *words: str) -> None:
        subprocess.run(
            [
                str(binary()), "admin", "--access", ROOT.access_key, "--secret", ROOT.secret_key,
                "--endpoint-url", f"http://{self.endpoint}", "--region", REGION, *words,
            ],
            check=True, capture_output=True, timeout=20,
        )  # fmt: skip

    def close(self) -> None:
        self.transport.close()
        self._process.terminate()
        self._process.wait(10)
        self._log.close()


@contextmanager
def gateway(folder: Path, *options: str, files: Path | None = None) -> Iterator[Gateway]:
    """With an empty bucket ``BUCKET``."""
    server = Gateway(folder, files or folder / "files", *options)
    try:
        server.wait()
        status, body = server.call("PUT", f"/{BUCKET}")
        assert status == 200, body
        yield server
    finally:
        server.close()
