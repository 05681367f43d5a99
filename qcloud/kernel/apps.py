"""The kernel as a Django application."""

from importlib import import_module

from django.apps import AppConfig


class KernelConfig(AppConfig):
    name = "qcloud.kernel"
    label = "kernel"
    verbose_name = "Kernel"

    def ready(self) -> None:
        # Tasks that rooms declare as shared belong to our Celery application in every
        # process that uses Django; otherwise they would look for a broker of their own.
        import_module("qcloud.celery")
