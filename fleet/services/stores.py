"""An S3 store of the customer's own, and the platform's keys to it."""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID

from audit.services import record
from fleet.models import ObjectStore, StoreType
from fleet.selectors import ObjectStoreInfo, environment_row, object_store_info
from fleet.services.environments import URL, refuse_credentials
from fleet.services.places import own_scope
from qcloud.kernel.errors import Invalid
from qcloud.kernel.permissions import Actor, Permission, require, require_fresh
from qcloud.kernel.scope import scoped
from vaultsvc.fields import Secret

_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# A dot must stand between two labels: were it left to choice, a name that does not match would
# be tried in every way to cut it.
_ENDPOINT: Final = re.compile(
    rf"(?:{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9a-fA-F:.]+\])(?::(?P<port>[0-9]{{1,5}}))?"
)
_PORTS: Final = range(1, 65_536)
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_REGION: Final = re.compile(r"[A-Za-z0-9-]{0,40}")
_ACCESS_KEY: Final = re.compile(r"[\x21-\x7e]{0,128}")
_LONGEST_SECRET: Final = 256


def object_store_s3_set(
    *,
    actor: Actor,
    environment_id: UUID,
    endpoint: str,
    bucket: str,
    region: str = "",
    insecure: bool = False,
    access_url: str = "",
    access_key: str = "",
    secret_key: str = "",
) -> ObjectStoreInfo:
    """Make a bucket the environment's object store, in place of the store it had.

    With keys the platform signs links to objects; agents never get them. Without a new secret
    key the one that is kept stays, as long as endpoint, bucket and access key do; an empty
    access key forgets it. Raises ``Denied``, ``StepUpNeeded``, ``NotFound``, ``Invalid``.
    """
    require(actor, Permission.FLEET_ENVIRONMENT_WRITE)
    require_fresh(actor)
    wrong = _wrong(endpoint, bucket, region, access_url, access_key, secret_key)
    if wrong:
        raise Invalid("The store cannot be used as it is.", fields=wrong)
    refuse_credentials(access_url)
    with scoped(own_scope(actor)):
        row = environment_row(environment_id)
        store = ObjectStore.objects.select_for_update().filter(environment_id=row.id).first()
        store = store or ObjectStore(account_id=row.account_id, environment_id=row.id)
        same = (store.endpoint, store.bucket, store.access_key) == (endpoint, bucket, access_key)
        if secret_key:
            store.secret_key = Secret(secret_key)
        elif not same or not access_key:
            store.secret_key = None
        if access_key and store.secret_key is None:
            raise Invalid(
                "The store cannot be used as it is.",
                fields={"secret_key": "The secret key that belongs to this access key."},
            )
        store.type, store.path, store.access_url = StoreType.S3, "", access_url
        store.endpoint, store.bucket, store.region = endpoint, bucket, region
        store.insecure, store.access_key = insecure, access_key
        store.save()
        record(
            actor=actor,
            action="fleet.object_store.set",
            object_kind="environment",
            object_id=environment_id,
            data={
                "type": StoreType.S3,
                "endpoint": endpoint,
                "bucket": bucket,
                "access_url": access_url,
                "keys": "none" if not access_key else "new" if secret_key else "kept",
            },
        )
    return object_store_info(store)


def _wrong(  # noqa: PLR0917  one check a field
    endpoint: str, bucket: str, region: str, access_url: str, access_key: str, secret_key: str
) -> dict[str, str]:
    checks = (
        ("endpoint", _is_endpoint(endpoint),
         "Host and port alone: s3.eu-central-1.amazonaws.com, or minio.example:9000."),
        ("bucket", _BUCKET.fullmatch(bucket), "The bucket's name: 3 to 63 letters and digits."),
        ("region", _REGION.fullmatch(region), "As eu-central-1, or empty."),
        ("access_url", URL.fullmatch(access_url), "https://, http:// or nothing."),
        ("access_key", _ACCESS_KEY.fullmatch(access_key), "Plain characters, at most 128."),
        ("secret_key", len(secret_key) <= _LONGEST_SECRET and secret_key.isprintable(),
         f"At most {_LONGEST_SECRET} characters."),
        ("access_key", bool(access_key) or not secret_key, "The access key that goes with it."),
    )  # fmt: skip
    return {name: words for name, holds, words in checks if not holds}


def _is_endpoint(text: str) -> bool:
    found = _ENDPOINT.fullmatch(text) if len(text) <= 255 else None
    return found is not None and int(found["port"] or 443) in _PORTS
