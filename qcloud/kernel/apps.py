"""The kernel as a Django application."""

from importlib import import_module

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class KernelConfig(AppConfig):
    name = "qcloud.kernel"
    label = "kernel"
    verbose_name = "Kernel"

    def ready(self) -> None:
        # Tasks that rooms declare as shared belong to our Celery application in every
        # process that uses Django; otherwise they would look for a broker of their own.
        import_module("qcloud.celery")
        # Every process knows every setting, and refuses to start on a variable it cannot use.
        autodiscover_modules("policies")
        import_module("qcloud.kernel.settings").check_environment()
