from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "audit"

    def ready(self) -> None:
        """Names what of this room an account takes with it."""
        from audit import takeout

        takeout.register()
