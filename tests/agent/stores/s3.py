"""Stores on an S3 server, and what lies there."""

from __future__ import annotations

from typing import Any

import pytest

from agent.counters import Counters
from agent.stores.base import StoreError
from agent.stores.s3.store import S3Store
from tests.agent.stores.gateway import BUCKET, REGION, ROOT, Gateway
from wire.config import Credential
from wire.config import ObjectStore as ObjectStoreConfig
from wire.objects import object_digest

DATA = b'{"request":{"method":"GET"}}'
DIGEST = object_digest(DATA)
BIG = bytes(range(256)) * 4096 * 12  # 12 MiB


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
