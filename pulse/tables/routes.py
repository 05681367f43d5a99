"""Hosts whose paths are learned, and the templates that came of it."""

from __future__ import annotations

from django.db import models

from qcloud.kernel.models import TenantModel


class Origin(models.TextChoices):
    LEARNED = "learned", "Learned"
    HAND = "hand", "By hand"


class PathHost(TenantModel):
    """What is known of one host's paths; loaders learn into it under a lock on the row."""

    host = models.CharField(max_length=255, blank=True)
    """Empty: all hosts for which there was no room."""
    salt = models.BinaryField()
    """Of the hashes in ``tree``."""
    tree = models.BinaryField(default=b"")
    """``pulse.routes.tree``: counts and hashes, no text of a path."""
    version = models.BigIntegerField(default=1)
    """Goes up with every change of templates; loaders that hold another one read again."""
    full_since = models.DateTimeField(null=True)
    """Since when there has been no room for more values."""
    aged_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField()
    """Within a day."""

    class Meta(TenantModel.Meta):
        constraints = (
            models.UniqueConstraint(fields=("account_id", "host"), name="pulse_path_host_once"),
        )

    def __str__(self) -> str:
        return f"{self.host or 'other hosts'}: version {self.version}"


class PathTemplate(TenantModel):
    """One template of a host: a position that became a parameter, or what somebody typed."""

    path_host = models.ForeignKey(PathHost, models.CASCADE, db_constraint=True)
    text = models.CharField(max_length=512)
    origin = models.CharField(max_length=8, choices=Origin.choices)
    forgotten = models.BooleanField(default=False)
    """Kept so that it is not learned again, and can be taken back."""
    version = models.BigIntegerField()
    """The host's version from which on it is as it is."""
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=254)

    class Meta(TenantModel.Meta):
        ordering = ("text", "id")
        constraints = (
            models.UniqueConstraint(
                fields=("account_id", "path_host", "origin", "text"),
                name="pulse_path_template_once",
            ),
        )

    def __str__(self) -> str:
        return f"{self.text} ({self.origin})"
