from django.apps import AppConfig


class FleetConfig(AppConfig):
    name = "fleet"

    def ready(self) -> None:
        """Names what of this room an account takes with it."""
        from fleet import takeout

        takeout.register()
