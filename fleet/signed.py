"""Addresses that open one object of a customer's S3 store for a short while."""

from __future__ import annotations

import re
import time
from typing import Final

from fleet.selectors import ObjectStoreInfo
from notify.outside import head
from notify.policies import WEBHOOK_NETWORKS
from qcloud.kernel.errors import Invalid, NotFound, QCloudError
from qcloud.kernel.settings import Network, value
from wire.s3.place import place_of
from wire.s3.signing import Call, Keys, presigned

SECONDS: Final = 120
"""How long a link opens its object: enough to follow it, too short to pass it on."""
_DIGEST: Final = re.compile(r"[0-9a-f]{40}")


def signed_address(
    store: ObjectStoreInfo, secret_key: str, digest: str, *, method: str = "GET"
) -> str:
    """The object's address, signed with the platform's keys. Raises ``Invalid`` (no digest)."""
    if not _DIGEST.fullmatch(digest):
        raise Invalid("An object is named by 40 hexadecimal digits in lower case.")
    place = place_of(
        store.endpoint,
        store.bucket,
        region=store.region,
        addressing="auto",
        insecure=store.insecure,
    )
    # Saved, never shown: what an application answered must not run as a page of the store.
    query = {"response-content-disposition": f'attachment; filename="{digest}.json"'}
    call = Call(method, place.host, place.path(digest), query, {}, "")
    keys = Keys(store.access_key, secret_key)
    target = presigned(call, keys, place.region, time.time(), expires=SECONDS)
    return f"{place.scheme}://{place.host}{target}"


def check_there(store: ObjectStoreInfo, secret_key: str, digest: str) -> None:
    """Whether the store has the object, asked without its bytes.

    A store that cannot be reached from here is none that the reader's browser cannot reach:
    then nothing is said. Raises ``NotFound`` (with the reason in words) or ``QCloudError``
    when the store refuses the platform's keys.
    """
    address = signed_address(store, secret_key, digest, method="HEAD")
    networks: tuple[Network, ...] = value(WEBHOOK_NETWORKS)
    status = head(address, networks=networks)
    if status == 404:
        raise NotFound(
            f"Object {digest} is not in the store ({store.place}). Its time there may be over (a"
            " rule of the bucket deletes what is old), somebody may have deleted it, or the agent"
            " has not written it yet.",
            code="fleet.object_missing",
        )
    if status in {401, 403}:
        raise QCloudError(
            "fleet.object_store_refuses",
            409,
            f"The store ({store.place}) refuses the platform's keys. Enter keys that may read its"
            " objects in the environment's settings.",
        )
