"""Third parties that an account calls, and what its people say of them."""

from __future__ import annotations

from django.db import models

from qcloud.kernel.models import TenantModel


class Review(models.TextChoices):
    OPEN = "open", "Not reviewed"
    APPROVED = "approved", "Approved"
    REFUSED = "refused", "Not approved"


class Vendor(TenantModel):
    """One third party, for as long as the account has it: events expire, this does not."""

    fingerprint = models.CharField(max_length=32)
    """Of the name: names may be longer than an index takes."""
    name = models.CharField(max_length=1_024)
    review = models.CharField(max_length=8, choices=Review.choices, default=Review.OPEN)
    owner_id = models.UUIDField(null=True)
    owner = models.CharField(max_length=254, blank=True)
    """Who answers for the use of it."""
    note = models.TextField(max_length=2_000, blank=True)
    reviewed_at = models.DateTimeField(null=True)
    reviewed_by = models.CharField(max_length=254, blank=True)
    previous = models.JSONField(null=True)
    """What the review was before its last change, for taking that back."""

    class Meta(TenantModel.Meta):
        constraints = (
            models.UniqueConstraint(fields=("account_id", "fingerprint"), name="pulse_vendor_once"),
        )

    def __str__(self) -> str:
        return f"{self.name}: {self.review}"


class VendorSighting(TenantModel):
    """A third party in one environment: when it was called there first and last."""

    vendor_id = models.UUIDField(db_index=True)
    environment_id = models.UUIDField()
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    noticed_at = models.DateTimeField()
    """When the platform learned of it; later than ``first_seen`` for events that came late."""

    class Meta(TenantModel.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=("account_id", "vendor_id", "environment_id"), name="pulse_sighting_once"
            ),
        )
        indexes = (models.Index(fields=("account_id", "noticed_at"), name="pulse_sighting_new"),)

    def __str__(self) -> str:
        return f"{self.vendor_id} in {self.environment_id} since {self.first_seen.isoformat()}"
