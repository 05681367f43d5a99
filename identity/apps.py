from django.apps import AppConfig


class IdentityConfig(AppConfig):
    name = "identity"

    def ready(self) -> None:
        """Names what of this room an account takes with it."""
        from identity import takeout

        takeout.register()
