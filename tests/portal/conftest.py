"""Browsers of the cast: a Django test client that holds a session in every portal."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.conf import settings
from django.test import Client

from portal.sessions import PORTALS, cookie_name
from tests.factories.cast import Person

SignedIn = Callable[[Person], Client]


def sign_in(person: Person) -> Client:
    """Signed in to all three portals at once, as a person with several accounts may be."""
    client = Client()
    client.force_login(person.user)
    key = client.cookies.pop(settings.SESSION_COOKIE_NAME).value
    for prefix in PORTALS:
        client.cookies[cookie_name(prefix)] = key
    return client


@pytest.fixture
def signed_in() -> SignedIn:
    return sign_in
