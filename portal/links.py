"""Whole addresses, for mails."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest
from django.urls import reverse

from portal.sessions import PREFIX_OF
from qcloud.kernel.scope import Tier


def invitation_link(request: HttpRequest, tier: Tier) -> Callable[[str], str]:
    """From an invitation's token to the page of that tier's portal that shows it."""
    return lambda token: request.build_absolute_uri(
        reverse(f"{PREFIX_OF[tier]}:invitation", args=[token])
    )
