from __future__ import annotations

from django.db import models
from django.db.models.functions import Lower

from qcloud.kernel.models import SubtreeModel


class Brand(SubtreeModel):
    """How the portals and mails of an account and of those below it present themselves."""

    product = models.CharField(max_length=40)
    accent_light = models.CharField(max_length=7)
    """``#rrggbb``, on the light theme's surfaces; empty: the platform's own."""
    accent_dark = models.CharField(max_length=7)
    sender = models.CharField(max_length=254, blank=True)
    """Mail address; empty: the platform's."""
    host = models.CharField(max_length=253, blank=True)
    """Host name under which the portals bear this brand before anybody signed in."""
    logo = models.BinaryField(default=b"")
    """PNG, made by us from what was uploaded."""
    logo_digest = models.CharField(max_length=16, blank=True)
    changed_at = models.DateTimeField()

    class Meta(SubtreeModel.Meta):
        constraints = (
            models.UniqueConstraint(fields=("account_id",), name="identity_brand_once"),
            models.UniqueConstraint(
                Lower("host"), condition=~models.Q(host=""), name="identity_brand_host"
            ),
        )

    def __str__(self) -> str:
        return self.product
