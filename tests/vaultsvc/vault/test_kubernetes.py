"""Log-in by a pod's service account.

No API server runs here: its one answer that Vault asks for, a TokenReview, comes from a small
HTTPS server below, which checks tokens as the API server does – by the keys that it signed
them with. Vault, its roles, its policies and our side are real.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.e2e.certificates import write_certificate
from tests.vaultsvc.vault.server import VaultServer
from vaultsvc.backends.vault import Vault
from vaultsvc.vault.bootstrap import Bootstrap, KubernetesPlan, Plan
from vaultsvc.vault.connection import VaultConnection
from vaultsvc.vault.errors import VaultDenied
from vaultsvc.vault.settings import Kubernetes


class Cluster:
    """Issues service account tokens and reviews them."""

    def __init__(self, folder: Path) -> None:
        self._key = rsa.generate_private_key(65_537, 2048)
        certificate, key = write_certificate(folder, ["localhost"], ["127.0.0.1"])
        self.ca = certificate.read_text()
        self.reviewed = 0
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = json.dumps(cluster._review(body, self.path)).encode()
                self.send_response(201)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def host(self) -> str:
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def token(self, account: str, namespace: str = "qcloud", audience: str = "vault") -> str:
        """As the kubelet writes it into a pod."""
        claims = {
            "aud": [audience],
            "exp": int(time.time()) + 600,
            "iat": int(time.time()),
            "iss": "https://kubernetes.default.svc.cluster.local",
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": {"name": account, "uid": str(uuid4())},
            },
            "sub": f"system:serviceaccount:{namespace}:{account}",
        }
        signed = f"{_part({'alg': 'RS256', 'kid': '1'})}.{_part(claims)}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_text(signature)}"

    def _review(self, body: dict[str, Any], path: str) -> dict[str, Any]:
        assert path == "/apis/authentication.k8s.io/v1/tokenreviews"
        self.reviewed += 1
        spec = body["spec"]
        claims = self._claims(spec["token"])
        wanted = spec.get("audiences") or (claims or {}).get("aud", [])
        status: dict[str, Any] = {"authenticated": False, "error": "not one of ours"}
        if claims and set(wanted) & set(claims["aud"]):
            account = claims["kubernetes.io"]["serviceaccount"]
            user = {"username": claims["sub"], "uid": account["uid"], "groups": []}
            status = {"authenticated": True, "user": user, "audiences": wanted}
        return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}

    def _claims(self, token: str) -> dict[str, Any] | None:
        signed, _, signature = token.rpartition(".")
        try:
            self._key.public_key().verify(
                _bytes(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except InvalidSignature:
            return None
        claims: dict[str, Any] = json.loads(_bytes(signed.partition(".")[2]))
        return claims


@pytest.fixture
def cluster(tmp_path: Path, vault_server: VaultServer) -> Iterator[Cluster]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    made = Cluster(folder)
    plan = Plan(kubernetes=KubernetesPlan(made.host, made.ca, audience="vault"))
    tuple(Bootstrap(vault_server.connection(), plan).run())
    yield made
    made.close()


def pod(server: VaultServer, folder: Path, token: str, role: str = "qcloud-web") -> VaultConnection:
    file = folder / "token"
    file.write_text(token)
    return server.connection(Kubernetes(role, token_file=file))


def test_a_pod_logs_in_with_its_service_account(
    vault_server: VaultServer, cluster: Cluster, tmp_path: Path
) -> None:
    connection = pod(vault_server, tmp_path, cluster.token("qcloud-web"))
    keeper, owner = Vault(connection), uuid4()
    made = keeper.new_data_key(owner)
    assert keeper.unwrap(owner, made.wrapped.blob) == made.plaintext
    found = connection.ask("look", lambda client: client.auth.token.lookup_self())["data"]
    assert found["policies"] == ["qcloud-web"]
    assert found["ttl"] <= 3600
    assert cluster.reviewed == 1
    connection.close()


def test_the_token_that_the_kubelet_renewed_is_used_at_the_next_log_in(
    vault_server: VaultServer, cluster: Cluster, tmp_path: Path
) -> None:
    connection = pod(vault_server, tmp_path, cluster.token("qcloud-web"))
    Vault(connection).new_data_key(uuid4())
    (tmp_path / "token").write_text(cluster.token("qcloud-web"))
    vault_server.client().auth.token.revoke(connection._logged_in().client.token)
    Vault(connection).new_data_key(uuid4())
    assert (connection.generation, cluster.reviewed) == (2, 2)
    connection.close()


@pytest.mark.parametrize(
    ("account", "namespace", "audience", "role"),
    [
        ("qcloud-beat", "qcloud", "vault", "qcloud-web"),
        ("qcloud-web", "elsewhere", "vault", "qcloud-web"),
        ("qcloud-web", "qcloud", "other", "qcloud-web"),
        ("qcloud-web", "qcloud", "vault", "qcloud-worker"),
    ],
)
def test_another_account_namespace_audience_or_role_is_refused(
    vault_server: VaultServer,
    cluster: Cluster,
    tmp_path: Path,
    account: str,
    namespace: str,
    audience: str,
    role: str,
) -> None:
    token = cluster.token(account, namespace, audience)
    with pytest.raises(
        VaultDenied, match="does not accept the log-in of Kubernetes role"
    ) as caught:
        Vault(pod(vault_server, tmp_path, token, role)).new_data_key(uuid4())
    assert token not in caught.value.message


def test_a_token_of_another_cluster_is_refused(
    vault_server: VaultServer, cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Cluster(tmp_path / "other")
    try:
        with pytest.raises(VaultDenied):
            Vault(pod(vault_server, tmp_path, other.token("qcloud-web"))).new_data_key(uuid4())
    finally:
        other.close()
    assert cluster.reviewed == 1


def _part(value: dict[str, Any]) -> str:
    return _text(json.dumps(value).encode())


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
