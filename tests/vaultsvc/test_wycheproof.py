"""The primitives under the Wycheproof vectors, as the envelope and signatures use them."""

from __future__ import annotations

import hmac
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.real import require_real
from vaultsvc import envelope
from vaultsvc.envelope import Broken

SCRIPT: Final = Path(__file__).resolve().parents[2] / "scripts/test-vectors"

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def vectors() -> Path:
    done = subprocess.run([SCRIPT, "--path"], capture_output=True, text=True, check=True)
    folder = Path(done.stdout.strip())
    require_real("Wycheproof", folder.is_dir(), "run scripts/test-vectors; it needs cargo")
    return folder


def cases(folder: Path, name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """(group, test)"""
    for group in json.loads((folder / f"{name}_test.json").read_text())["testGroups"]:
        for test in group["tests"]:
            yield group, test


def raw(test: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(test[name]) for name in names]


def test_aes_256_gcm(vectors: Path) -> None:
    seen = {"valid": 0, "invalid": 0}
    for group, test in cases(vectors, "aes_gcm"):
        if (group["keySize"], group["ivSize"], group["tagSize"]) != (256, 96, 128):
            continue  # what the envelope never uses
        key, nonce, bound, message, ciphertext, tag = raw(
            test, "key", "iv", "aad", "msg", "ct", "tag"
        )
        if test["result"] == "valid":
            assert envelope.encrypt(key, nonce, message, bound) == ciphertext + tag, test["tcId"]
            assert envelope.decrypt(key, nonce, ciphertext + tag, bound) == message, test["tcId"]
        else:
            with pytest.raises(Broken):
                envelope.decrypt(key, nonce, ciphertext + tag, bound)
        seen[test["result"]] += 1
    assert min(seen.values()) >= 20, seen


def test_hkdf_sha512(vectors: Path) -> None:
    seen = 0
    for _, test in cases(vectors, "hkdf_sha512"):
        secret, salt, info, wanted = raw(test, "ikm", "salt", "info", "okm")
        if test["result"] == "valid":
            assert envelope.hkdf(secret, salt, info, test["size"]) == wanted, test["tcId"]
            seen += 1
        else:
            with pytest.raises(ValueError, match="derive"):
                envelope.hkdf(secret, salt, info, test["size"])
    assert seen >= 70


def test_hmac_sha512(vectors: Path) -> None:
    """Of the blind index."""
    seen = {"valid": 0, "invalid": 0}
    for group, test in cases(vectors, "hmac_sha512"):
        key, message, tag = raw(test, "key", "msg", "tag")
        made = hmac.digest(key, message, "sha512")[: group["tagSize"] // 8]
        assert hmac.compare_digest(made, tag) is (test["result"] == "valid"), test["tcId"]
        seen[test["result"]] += 1
    assert min(seen.values()) >= 50, seen


def test_ed25519(vectors: Path) -> None:
    """Of the keyring's signatures."""
    seen = {"valid": 0, "invalid": 0}
    for group, test in cases(vectors, "ed25519"):
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(group["publicKey"]["pk"]))
        message, signature = raw(test, "msg", "sig")
        if test["result"] == "valid":
            key.verify(signature, message)
        else:
            with pytest.raises(InvalidSignature):
                key.verify(signature, message)
        seen[test["result"]] += 1
    assert min(seen.values()) >= 50, seen
