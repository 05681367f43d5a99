"""Whole addresses, for mails."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest
from django.urls import reverse

from identity.hosts import address_of
from portal.hosts import site_of
from portal.sessions import PREFIX_OF
from qcloud.kernel.scope import Tier


def invitation_link(request: HttpRequest, tier: Tier) -> Callable[[str], str]:
    """From an invitation's token to the page of that tier's portal that shows it."""
    base = address_of(site_of(request))
    return lambda token: base + reverse(f"{PREFIX_OF[tier]}:invitation", args=[token])
