"""A real Vault on loopback: TLS by a private authority, storage in files, sealed at will."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import hvac

from qcloud.platform.process import Child
from tests.e2e.certificates import write_certificate
from tests.real import require_real
from vaultsvc.vault.connection import VaultConnection
from vaultsvc.vault.settings import AppRole, Login, Token, VaultSettings

_ROOT = Path(__file__).resolve().parents[3]


def binary() -> Path:
    """Skips, or fails in CI, where it was not built."""
    done = subprocess.run(
        [str(_ROOT / "scripts" / "real-services"), "--path", "vault"],
        capture_output=True,
        text=True,
        check=True,
    )
    path = Path(done.stdout.strip())
    require_real("Vault", path.exists(), "scripts/real-services builds it (5–20 minutes)")
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class VaultServer:
    """One server on ``folder``. It can be stopped, started, sealed and unsealed."""

    folder: Path
    program: Path
    port: int = field(default_factory=free_port)
    root_token: str = ""
    _key: str = ""

    @cached_property
    def ca_file(self) -> Path:
        certificate, _key = write_certificate(self.folder, ["localhost"], ["127.0.0.1"])
        return certificate

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @cached_property
    def child(self) -> Child:
        config = self.folder / "vault.json"
        config.write_text(json.dumps(self._config()))
        return Child(
            name="vault",
            command=[str(self.program), "server", f"-config={config}", "-log-level=warn"],
            log=self.folder / "vault.log",
            environment={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
        )

    def start(self) -> None:
        """Unsealed, and initialized at the first start."""
        self.child.start()
        self.child.wait_until(self._answers, 30)
        client = self.client(token="")
        if not client.sys.is_initialized():
            made = client.sys.initialize(secret_shares=1, secret_threshold=1)
            self._key, self.root_token = made["keys"][0], made["root_token"]
        self.unseal()

    def stop(self) -> None:
        self.child.stop()

    def seal(self) -> None:
        self.client().sys.seal()

    def unseal(self) -> None:
        self.client(token="").sys.submit_unseal_key(self._key)
        self.child.wait_until(self._active, 15)

    def client(self, token: str | None = None) -> hvac.Client:
        """A plain client, the root's by default, for what a test arranges or looks up."""
        return hvac.Client(
            url=self.address,
            token=self.root_token if token is None else token,
            verify=str(self.ca_file),
            timeout=10,
        )

    def settings(self, login: Login | None = None, **changes: Any) -> VaultSettings:
        usual = VaultSettings(self.address, login or Token(self.root_token), self.ca_file)
        return replace(usual, **changes)

    def connection(self, login: Login | None = None, **changes: Any) -> VaultConnection:
        return VaultConnection(self.settings(login, **changes))

    def role(self, process: str) -> AppRole:
        """A fresh secret id of a process that bootstrap set up."""
        approle = self.client().auth.approle
        return AppRole(
            role_id=approle.read_role_id(f"qcloud-{process}")["data"]["role_id"],
            secret_id=approle.generate_secret_id(f"qcloud-{process}")["data"]["secret_id"],
        )

    def _config(self) -> dict[str, object]:
        certificate = self.ca_file
        return {
            "storage": {"file": {"path": str(self.folder / "data")}},
            "listener": {
                "tcp": {
                    "address": f"127.0.0.1:{self.port}",
                    "tls_cert_file": str(certificate),
                    "tls_key_file": str(certificate.with_name("server.key")),
                }
            },
            "api_addr": self.address,
            "disable_mlock": True,
            "default_lease_ttl": "1h",
            "max_lease_ttl": "24h",
        }

    def _answers(self) -> bool:
        try:
            self.client(token="").sys.read_seal_status()
        except (OSError, hvac.exceptions.VaultError):
            return False
        return True

    def _active(self) -> bool:
        try:
            status = self.client(token="").sys.read_health_status(method="GET")
        except OSError:
            return False
        return isinstance(status, dict) and not status["sealed"] and not status["standby"]
