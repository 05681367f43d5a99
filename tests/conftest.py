"""What every test gets: its database, emptied after tests that commit."""

from __future__ import annotations

from typing import Final

import pytest
import structlog
from django.test import TransactionTestCase
from hypothesis import settings as hypothesis_settings

from identity import brands
from qcloud.kernel import settings
from tests.services import plugin
from vaultsvc.keys import held

pytest_plugins = ["tests.factories.cast"]

# How long one example takes depends on what else the machine does; tests have limits of their own.
hypothesis_settings.register_profile("qcloud", deadline=None)
hypothesis_settings.load_profile("qcloud")

_PLATFORM_LOGS: Final = structlog.get_config()


@pytest.fixture(scope="session")
def django_db_setup() -> None:
    """Replaces pytest-django's: the database is made by its owner, the tests run as the app."""
    plugin.create_database()


@pytest.fixture(autouse=True, scope="session")
def _empty_instead_of_flush() -> None:
    """Django would truncate as the application's role, which may not."""

    def teardown(_self: TransactionTestCase) -> None:
        plugin.empty_database()

    setattr(TransactionTestCase, "_fixture_teardown", teardown)  # noqa: B010  private to Django


@pytest.fixture(autouse=True)
def _settings_are_read_afresh() -> None:
    """What one test stored is gone from the database, and must be from the process as well."""
    settings.forget()
    brands.forget()


@pytest.fixture(autouse=True)
def _keys_are_read_afresh() -> None:
    """The test before may have emptied the table that a process's data keys stand in."""
    held.forget()


@pytest.fixture(autouse=True)
def _logs_can_be_captured() -> None:
    """Platform and agent configure logging for a process each; here they share one.

    A logger that is cached at its first use would keep what was configured then, and
    ``capture_logs`` of a later test would see nothing.
    """
    structlog.configure(**{**_PLATFORM_LOGS, "cache_logger_on_first_use": False})
