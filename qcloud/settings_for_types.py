"""The settings as mypy's Django plugin reads them: the same, with secrets that open nothing."""

import os

os.environ.setdefault("QCLOUD_SECRET_KEY", "for type checking only")
os.environ.setdefault("QCLOUD_DATABASE_HOST", "/nonexistent")
os.environ.setdefault("QCLOUD_DATABASE_APP_PASSWORD", "")
os.environ.setdefault("QCLOUD_REDIS_URL", "unix:///nonexistent")
os.environ.setdefault("QCLOUD_EVENTSTORE_PASSWORD", "")

from qcloud.settings import *  # noqa: F403
