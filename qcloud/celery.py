"""The Celery application: ``celery -A qcloud.celery``."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "qcloud.settings")

app = Celery("qcloud")
app.config_from_object("django.conf:settings", namespace="CELERY")
# RedBeat looks for its keys without the namespace, and drops its options where it finds none.
app.conf.update(
    redbeat_redis_url=settings.CELERY_REDBEAT_REDIS_URL,
    redbeat_redis_options=settings.CELERY_REDBEAT_REDIS_OPTIONS,
    redbeat_lock_timeout=settings.CELERY_REDBEAT_LOCK_TIMEOUT,
)
app.autodiscover_tasks()


@setup_logging.connect
def _keep_our_logging(**_kwargs: Any) -> None:
    """The settings configured logging; Celery would add its own handlers beside it."""
