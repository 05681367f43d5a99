"""What every test gets: its database, emptied after tests that commit."""

from __future__ import annotations

import pytest
from django.test import TransactionTestCase

from tests.services import plugin

pytest_plugins = ["tests.factories.cast"]


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
