"""The S3 object store."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from itertools import count
from typing import Final

from agent.counters import Counters
from agent.stores.base import PLAIN, ObjectMeta, StoreContext, StoreError
from agent.stores.s3.ambient import Ambient
from agent.stores.s3.answers import field, trouble
from agent.stores.s3.credentials import Credentials, configured
from agent.stores.s3.requests import PATIENCE_SECONDS, Requests, Wanted
from agent.stores.s3.transport import READ_SECONDS, Transport
from wire.config import ObjectStore as ObjectStoreConfig
from wire.objects import access_url, object_digest
from wire.s3.place import place_of

THREADS: Final = 8
"""Requests at once: at 25 ms each, what one core can sign and send."""
PART_BYTES: Final = 8 * 1024 * 1024
"""Of a multipart upload; S3 takes no part below 5 MiB but the last."""
MULTIPART_BYTES: Final = 16 * 1024 * 1024
"""Objects above go in parts."""
MAX_OBJECT_BYTES: Final = 1024 * 1024 * 1024

TEST_OBJECT: Final = b'{"qcloud-agent":"test object"}'
"""Stored at start, always the same, so that there is one of them."""

_DIGEST: Final = re.compile(r"[0-9a-f]{40}\Z")


class S3Store:
    kind = "s3"
    threads = THREADS

    def __init__(
        self,
        config: ObjectStoreConfig,
        environment: Mapping[str, str],
        counters: Counters,
        *,
        patience: float = PATIENCE_SECONDS,
        read_seconds: float = READ_SECONDS,
        part_bytes: int = PART_BYTES,
        multipart_bytes: int = MULTIPART_BYTES,
    ) -> None:
        """Raises ``StoreError`` where ``ca_file`` or a proxy cannot be used."""
        self.id = config.name
        self._config = config
        # Google's S3 door has checksums of its own and refuses what it does not know; the
        # signature covers the payload's SHA-256 there as everywhere.
        self._checksums = not config.endpoint.partition(":")[0].endswith("googleapis.com")
        self._part_bytes = part_bytes
        self._multipart_bytes = multipart_bytes
        region = config.region or environment.get("AWS_REGION", "")
        place = place_of(
            config.endpoint, config.bucket, region=region, addressing=config.addressing,
            insecure=config.insecure,
        )  # fmt: skip
        own = config.access_key is not None
        provider = configured(config, environment) if own else Ambient(environment, place.region)
        self.requests = Requests(
            place,
            Credentials(provider),
            Transport(
                ca_file=config.ca_file,
                connections=THREADS,
                read_seconds=read_seconds,
                insecure=config.insecure,
                environment=environment,
            ),
            counters,
            patience=patience,
        )

    def url(self, digest: str) -> str:
        """By ``access_url``; ``ENDPOINT`` as the configuration has it, wherever the bucket is."""
        return access_url(
            self._config.access_url,
            scheme="http" if self._config.insecure else "https",
            endpoint=self._config.endpoint,
            bucket=self._config.bucket,
            digest=digest,
        )

    def put(self, digest: str, data: bytes, meta: ObjectMeta = PLAIN) -> str:
        self._check_digest(digest)
        self._store(digest, data, meta.content_type, patient=True)
        return self.url(digest)

    def get(self, digest: str) -> bytes:
        """Raises ``StoreError`` ``corrupt``: what the store gives is not what was stored."""
        self._check_digest(digest)
        wanted = Wanted("GET", digest, max_bytes=MAX_OBJECT_BYTES)
        try:
            answer = self.requests.send(wanted, patient=False)
        except StoreError as error:
            reason = "not-found" if error.reason == "no-bucket" else error.reason
            raise StoreError(reason, str(error)) from error
        if object_digest(answer.body) != digest:
            raise StoreError("corrupt", f"{self.requests.place} gives other bytes for {digest}")
        return answer.body

    def check(self) -> None:
        """Store the test object."""
        digest = object_digest(TEST_OBJECT)
        self._store(digest, TEST_OBJECT, PLAIN.content_type, patient=False)

    def close(self) -> None:
        self.requests.stop()

    # -- storing -------------------------------------------------------------------

    def _store(self, key: str, data: bytes, content_type: str, *, patient: bool) -> None:
        headers = {"content-type": content_type, **self._encryption()}
        if len(data) > self._multipart_bytes:
            self._in_parts(key, data, headers)
        else:
            self._put(key, data, headers, {}, patient=patient)

    def _encryption(self) -> dict[str, str]:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html"""
        if not self._config.encryption:
            return {}
        headers: dict[str, str] = {"x-amz-server-side-encryption": self._config.encryption}
        if self._config.kms_key_id:
            headers["x-amz-server-side-encryption-aws-kms-key-id"] = self._config.kms_key_id
        return headers

    def _put(
        self, key: str, data: bytes, headers: Mapping[str, str], query: Mapping[str, str],
        *, patient: bool,
    ) -> Mapping[str, str]:  # fmt: skip
        """The answer's headers, when the store has what was sent."""
        checksum = _checksum(data)
        confirm = {"x-amz-checksum-sha256": checksum} if self._checksums else {}
        sent = {**headers, **confirm}
        answer = self.requests.send(Wanted("PUT", key, data, query, sent), patient=patient)
        told = answer.headers.get("x-amz-checksum-sha256", checksum)
        if told != checksum:
            raise trouble("bad-digest", f"{self.requests.place} confirms other bytes than were "
                          f"sent for {key}")  # fmt: skip
        return answer.headers

    def _in_parts(self, key: str, data: bytes, headers: Mapping[str, str]) -> None:
        algorithm = {"x-amz-checksum-algorithm": "SHA256"} if self._checksums else {}
        begin = Wanted("POST", key, query={"uploads": ""}, headers={**headers, **algorithm})
        started = self.requests.send(begin)
        upload = field(started.body, "UploadId")
        if not upload:
            raise StoreError("store-error", f"{self.requests.place} began an upload without an id")
        try:
            self._complete(key, upload, self._parts(key, data, upload))
        except StoreError:
            self._abort(key, upload)
            raise

    def _complete(self, key: str, upload: str, document: bytes) -> None:
        done = self.requests.send(Wanted("POST", key, document, {"uploadId": upload}))
        # 200 is sent before the work is done: an error may stand in the body.
        if field(done.body, "Code"):
            raise StoreError("store-error", f"{self.requests.place}: {done.message}")

    def _parts(self, key: str, data: bytes, upload: str) -> bytes:
        """All parts sent; the document that completes them."""
        lines = ["<CompleteMultipartUpload>"]
        for number, start in zip(count(1), range(0, len(data), self._part_bytes), strict=False):
            part = data[start : start + self._part_bytes]
            query = {"partNumber": str(number), "uploadId": upload}
            told = self._put(key, part, {}, query, patient=True)
            checksum = (
                f"<ChecksumSHA256>{_checksum(part)}</ChecksumSHA256>" if self._checksums else ""
            )
            lines.append(
                f"<Part><PartNumber>{number}</PartNumber><ETag>{told.get('etag', '')}</ETag>"
                f"{checksum}</Part>"
            )
        lines.append("</CompleteMultipartUpload>")
        return "".join(lines).encode()

    def _abort(self, key: str, upload: str) -> None:
        """Parts of an upload that never ends are paid for: a lifecycle rule ends the rest."""
        try:
            self.requests.send(Wanted("DELETE", key, query={"uploadId": upload}), patient=False)
        except StoreError:
            return

    def _check_digest(self, digest: str) -> None:
        if not _DIGEST.match(digest):
            raise StoreError("bad-digest", f"{digest!r} is not the digest of an object")


def _checksum(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode("ascii")


def open_s3(config: ObjectStoreConfig, context: StoreContext) -> S3Store:
    """Raises ``StoreError`` where the store cannot even be tried."""
    return S3Store(config, context.environment, context.counters)
