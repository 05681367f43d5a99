from django.apps import AppConfig


class PulseConfig(AppConfig):
    name = "pulse"

    def ready(self) -> None:
        """Names what of this room an account takes with it, and what forbids its erasure."""
        from pulse import holding, takeout
        from qcloud.kernel import erasure

        takeout.register()
        erasure.object_by(holding.objection)
