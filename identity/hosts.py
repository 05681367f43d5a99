"""Which site a host name is, and what links to it begin with."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings

from identity import brands
from identity.sites import PLATFORM, Site


def site_for_host(host: str) -> Site:
    """Of a host without its port. Unknown ones were refused before."""
    brand = brands.brand_with_host(host)
    return _site(brand) if brand else PLATFORM


def address(account_id: UUID | None, paths: Iterable[str]) -> str:
    """What links in a mail begin with, for somebody who works for accounts with ``paths``: the
    host name on which it was asked for, if all of them are below its account, else the
    platform's: who holds a name's DNS can read what arrives there.

    Never what a request's header says: whoever asks could write another's name there.
    """
    brand = brands.brand_by_account(account_id) if account_id else None
    if brand is None or not brand.host or not _holds_all(brand, paths):
        return str(settings.PORTAL_URL)
    own = urlsplit(settings.PORTAL_URL)
    port = f":{own.port}" if own.port else ""
    return f"{own.scheme}://{brand.host}{port}"


def _holds_all(brand: brands.BrandInfo, paths: Iterable[str]) -> bool:
    known = list(paths)
    return bool(known) and all(map(_site(brand).holds, known))


def address_of(site: Site) -> str:
    """As ``address``, for people of accounts that the site holds."""
    return address(site.account_id, (site.path,))


def _site(brand: brands.BrandInfo) -> Site:
    return Site(brand.account_id, brand.path, brand.is_providers)
