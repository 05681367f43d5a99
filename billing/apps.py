"""Billing as a Django application."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"

    def ready(self) -> None:
        """Names what of this room an account takes with it."""
        from billing import takeout

        takeout.register()
