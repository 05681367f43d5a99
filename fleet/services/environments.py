from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from django.db import IntegrityError, transaction

from audit.services import record
from fleet.models import CaptureLevel, Environment, ObjectStore, StoreType
from fleet.quotas import count_environments
from fleet.selectors import (
    EnvironmentInfo,
    ObjectStoreInfo,
    environment_info,
    environment_row,
    object_store_info,
)
from fleet.services.places import own_scope, printable_name
from identity.quotas import Quota
from identity.services import room_for
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, Invalid
from qcloud.kernel.permissions import (
    Actor,
    Permission,
    require,
    require_fresh,
    require_whole_account,
)
from qcloud.kernel.scope import Tier, scoped, unscoped

_SLUG: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MAX_PATH: Final = 1_024
_SECRET_WORDS: Final = ("sig", "token", "secret", "password", "credential", "apikey", "accesskey")
URL: Final = re.compile(r"(https?|file)://[^\s<>\"']{1,2000}|")


def environment_create(
    *, actor: Actor, name: str, slug: str, capture_level: str = CaptureLevel.FULL.value
) -> EnvironmentInfo:
    """Create an environment in the actor's account. It captures no payloads until it has an
    object store of its own.

    Raises ``Denied``, ``Conflict`` (slug taken in this account, no room in the quota),
    ``Invalid``.
    """
    require(actor, Permission.FLEET_ENVIRONMENT_WRITE)
    scope = own_scope(actor)
    require_whole_account(actor, "create environments")
    if scope.tier is not Tier.CUSTOMER:
        raise Denied("Only customers have environments.")
    if len(slug) > 40 or not _SLUG.fullmatch(slug):
        raise Invalid("The short name may have lower-case letters, digits and single hyphens.")
    row = Environment(
        account_id=scope.account_id,
        slug=slug,
        name=printable_name(name),
        capture_level=_level(capture_level),
    )
    with scoped(scope):
        room_for(scope, Quota.ENVIRONMENTS, count_environments)
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError as error:
            raise Conflict(f"This account has an environment “{slug}” already.") from error
        record(
            actor=actor,
            action="fleet.environment.create",
            object_kind="environment",
            object_id=row.id,
            data={"name": row.name, "slug": slug, "capture_level": row.capture_level},
        )
    return environment_info(row)


def environment_capture_set(
    *, actor: Actor, environment_id: UUID, capture_level: str
) -> EnvironmentInfo:
    """Set how much of an exchange becomes an object. Agents follow at their next heartbeat.

    Raises ``Denied``, ``NotFound``, ``Invalid``.
    """
    require(actor, Permission.FLEET_ENVIRONMENT_WRITE)
    wanted = _level(capture_level)
    with scoped(own_scope(actor)):
        row = environment_row(environment_id)
        before, row.capture_level = row.capture_level, wanted
        row.save(update_fields=["capture_level"])
        record(
            actor=actor,
            action="fleet.environment.capture_set",
            object_kind="environment",
            object_id=row.id,
            data={"before": before, "after": wanted},
        )
    return environment_info(row)


def environment_dns_audit_set(
    *, actor: Actor, environment_id: UUID, reported: str
) -> EnvironmentInfo:
    """Whether agents report DNS lookups: ``on`` or ``off``. They follow at their next heartbeat.

    Raises ``Denied``, ``NotFound``, ``Invalid``.
    """
    return _switch(actor, environment_id, "dns_audit", "reported", reported)


def environment_certificates_set(
    *, actor: Actor, environment_id: UUID, looked_at: str
) -> EnvironmentInfo:
    """Whether agents look at the certificates of servers once a day: ``on`` or ``off``.

    They follow at their next heartbeat. Raises ``Denied``, ``NotFound``, ``Invalid``.
    """
    return _switch(actor, environment_id, "certificates", "looked_at", looked_at)


def _switch(
    actor: Actor, environment_id: UUID, column: str, field: str, wanted: str
) -> EnvironmentInfo:
    require(actor, Permission.FLEET_ENVIRONMENT_WRITE)
    if wanted not in {"on", "off"}:
        raise Invalid("Choose one of the list.", fields={field: "on or off"})
    with scoped(own_scope(actor)):
        row = environment_row(environment_id)
        before, after = getattr(row, column), wanted == "on"
        setattr(row, column, after)
        row.save(update_fields=[column])
        record(
            actor=actor,
            action=f"fleet.environment.{column}_set",
            object_kind="environment",
            object_id=row.id,
            data={"before": before, "after": after},
        )
    return environment_info(row)


def environment_close(*, actor: Actor, environment_id: UUID) -> EnvironmentInfo:
    """End an environment: its tokens and its agents' are refused from now on.

    What was measured stays. Raises ``Denied``, ``NotFound``, ``Conflict`` (closed already).
    """
    require(actor, Permission.FLEET_ENVIRONMENT_WRITE)
    with scoped(own_scope(actor)):
        row = environment_row(environment_id)
        if row.closed_at is not None:
            raise Conflict(f"{row.name} is closed already.")
        row.closed_at = now()
        row.save(update_fields=["closed_at"])
        record(
            actor=actor,
            action="fleet.environment.close",
            object_kind="environment",
            object_id=row.id,
        )
    return environment_info(row)


def object_store_set(
    *, actor: Actor, environment_id: UUID, path: str, access_url: str = ""
) -> ObjectStoreInfo:
    """Make a directory the environment's object store, in place of the one it had.

    ``path`` is absolute. A directory belongs to one account: one that lies in another
    account's store, or around it, is refused. Keys of an S3 store that it replaces are gone,
    so that takes a fresh proof as setting them did. Raises ``Denied``, ``StepUpNeeded``,
    ``NotFound``, ``Invalid``, ``Conflict``.
    """
    require(actor, Permission.FLEET_ENVIRONMENT_WRITE)
    scope = own_scope(actor)
    directory = _directory(path)
    if not URL.fullmatch(access_url):
        raise Invalid("access_url must begin with https://, http:// or file://, or be empty.")
    refuse_credentials(access_url)
    with scoped(scope):
        row = environment_row(environment_id)
        _refuse_shared(scope.account_id, directory)
        before = ObjectStore.objects.select_for_update().filter(environment_id=row.id).first()
        if before is not None and before.access_key:
            require_fresh(actor)
        store, _ = ObjectStore.objects.update_or_create(
            account_id=scope.account_id,
            environment=row,
            defaults={
                "type": StoreType.DIRECTORY,
                "path": directory,
                "access_url": access_url,
                "endpoint": "",
                "bucket": "",
                "region": "",
                "insecure": False,
                "access_key": "",
                "secret_key": None,
            },
        )
        record(
            actor=actor,
            action="fleet.object_store.set",
            object_kind="environment",
            object_id=environment_id,
            data={"type": StoreType.DIRECTORY, "path": directory, "access_url": access_url},
        )
    return object_store_info(store)


def refuse_credentials(access_url: str) -> None:
    """It stands in the clear in pages, journal and agents: it names a place, it opens nothing."""
    try:
        parts = urlsplit(access_url)
    except ValueError as error:
        raise Invalid("access_url is no address that a browser understands.") from error
    names = {name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    if "@" in parts.netloc or any(word in name for name in names for word in _SECRET_WORDS):
        raise Invalid(
            "access_url must hold no credential: no user, password, signature or token. Everybody"
            " who may see the environment sees it; who opens the link signs in there."
        )


def _level(name: str) -> str:
    if name not in CaptureLevel.values:
        raise Invalid(f"The capture level must be one of: {', '.join(CaptureLevel.values)}.")
    return name


def _directory(path: str) -> str:
    parts = path.split("/")
    plain = path.startswith("/") and path.isprintable() and len(path) <= _MAX_PATH
    if not plain or {"..", "."} & set(parts):
        raise Invalid("The path must be absolute, without “.” and “..”.")
    cleaned = "/" + "/".join(part for part in parts if part)
    if cleaned == "/":
        raise Invalid("The root of the file system cannot be an object store.")
    return cleaned


def _refuse_shared(account_id: UUID, directory: str) -> None:
    with unscoped("two accounts must not share a directory, and neither sees the other"):
        taken = list(
            ObjectStore.objects.filter(type=StoreType.DIRECTORY)
            .exclude(account_id=account_id)
            .values_list("path", flat=True)
        )
    for other in taken:
        if f"{directory}/".startswith(f"{other}/") or f"{other}/".startswith(f"{directory}/"):
            raise Conflict("This directory cannot be used. Choose one for this account alone.")
