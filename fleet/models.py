"""Tables of one account each.

Foreign keys inside the room are (account, id) pairs in the database (see the first
migration): a plain one is checked past row-level security and would tell whether a foreign
account's row exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from django.db import models

from qcloud.kernel.models import TenantModel
from vaultsvc.fields import EncryptedField

MAX_NAME = 100
HASH_LENGTH = 64


class CaptureLevel(models.TextChoices):
    """Plugin ``http_capture``'s ``level``: how much of an exchange becomes an object."""

    NONE = "none"
    SUMMARY = "summary"
    HEADERS = "headers"
    FULL = "full"


class StoreType(models.TextChoices):
    DIRECTORY = "directory"
    S3 = "s3", "S3"


class Environment(TenantModel):
    """A customer's dev, staging, prod …"""

    slug = models.CharField(max_length=40)
    name = models.CharField(max_length=MAX_NAME)
    capture_level = models.CharField(
        max_length=8, choices=CaptureLevel.choices, default=CaptureLevel.FULL
    )
    """Without an object store nothing is captured, whatever stands here."""
    dns_audit = models.BooleanField(default=False, db_default=False)
    """Agents report DNS lookups."""
    certificates = models.BooleanField(default=False, db_default=False)
    """Agents look at the certificates of servers, once a day."""
    created_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(
                fields=("account_id", "slug"), name="fleet_environment_slug_once"
            ),
            models.UniqueConstraint(fields=("account_id", "id"), name="fleet_environment_pair"),
        )

    def __str__(self) -> str:
        return self.slug


class RegistrationToken(TenantModel):
    """What an agent of an environment registers with: found by its hash, kept sealed."""

    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="+", db_constraint=False
    )
    name = models.CharField(max_length=MAX_NAME)
    token_hash = models.CharField(max_length=HASH_LENGTH, unique=True)
    """SHA-256, hexadecimal. 256 random bits need neither salt nor slowness."""
    token = EncryptedField(null=True)
    """For whoever may copy it again; ``None`` for tokens older than sealing."""
    last_four = models.CharField(max_length=4)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=254)
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)

    if TYPE_CHECKING:
        environment_id: UUID

    class Meta(TenantModel.Meta):
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("account_id", "id"), name="fleet_registrationtoken_pair"
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} …{self.last_four}"

    @property
    def kept(self) -> bool:
        return self.token is not None


class Agent(TenantModel):
    """One process on one node, as it registered and as it last reported."""

    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="+", db_constraint=False
    )
    registration_token = models.ForeignKey(
        RegistrationToken, on_delete=models.PROTECT, related_name="+", db_constraint=False
    )
    instance_id = models.UUIDField()
    """Claimed by the agent, proven only by its token; not unique."""
    name = models.CharField(max_length=MAX_NAME)
    token_hash = models.CharField(max_length=HASH_LENGTH, unique=True)
    version = models.CharField(max_length=64, blank=True)
    system = models.JSONField(default=dict)
    """``wire.protocol.SystemInfo``."""
    replaying = models.BooleanField(default=False)
    registered_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True)

    last_heartbeat_at = models.DateTimeField(null=True)
    boot_id = models.UUIDField(null=True)
    status = models.CharField(max_length=32, blank=True)
    object_store = models.CharField(max_length=32, blank=True)
    """Kind of the store in use; ``none``: payloads are dropped."""
    uptime_seconds = models.FloatField(default=0)
    exchanges = models.BigIntegerField(default=0)
    """Since the agent's start, as ``dropped``."""
    dropped = models.JSONField(default=dict)
    spool_bytes = models.BigIntegerField(default=0)
    spool_limit_bytes = models.BigIntegerField(default=0)
    memory_bytes = models.BigIntegerField(default=0)
    clock_offset_ms = models.FloatField(default=0)
    probes = models.JSONField(default=list)
    config_digest = models.CharField(max_length=64, blank=True)
    """Of the configuration it runs."""

    if TYPE_CHECKING:
        environment_id: UUID
        registration_token_id: UUID

    class Meta(TenantModel.Meta):
        ordering = ("name", "id")
        indexes = (
            models.Index(fields=("account_id", "environment"), name="fleet_agent_environment"),
        )

    def __str__(self) -> str:
        return self.name


class ObjectStore(TenantModel):
    """Where an environment's payloads go. Always the customer's own."""

    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="+", db_constraint=False
    )
    type = models.CharField(max_length=16, choices=StoreType.choices)
    path = models.TextField()
    """Of a directory: absolute, the same on the agent's node and here. Empty for S3."""
    endpoint = models.CharField(max_length=255, blank=True, db_default="")
    """Of S3: host and port."""
    bucket = models.CharField(max_length=63, blank=True, db_default="")
    region = models.CharField(max_length=40, blank=True, db_default="")
    insecure = models.BooleanField(default=False, db_default=False)
    """Plain HTTP."""
    access_key = models.CharField(max_length=128, blank=True, db_default="")
    secret_key = EncryptedField(null=True)
    """The platform's own keys to S3, which sign links to objects; agents have their own."""
    access_url = models.TextField(blank=True)
    """Template, ``wire.objects.ACCESS_URL_FIELDS``."""
    updated_at = models.DateTimeField(auto_now=True)

    if TYPE_CHECKING:
        environment_id: UUID

    class Meta(TenantModel.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=("account_id", "environment"), name="fleet_objectstore_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.type}:{self.path or self.bucket}"

    @property
    def has_keys(self) -> bool:
        return self.secret_key is not None
