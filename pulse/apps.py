from django.apps import AppConfig


class PulseConfig(AppConfig):
    name = "pulse"

    def ready(self) -> None:
        """Names what of this room an account takes with it."""
        from pulse import takeout

        takeout.register()
