"""Which brand a page or a mail bears. Read by every request, so kept for a second."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.conf import settings
from django.http.request import validate_host

from identity import colours
from identity.models import Brand
from identity.standing import ids_on
from notify.services import Brand as MailBrand
from qcloud.kernel.scope import unscoped
from qcloud.kernel.settings import MAX_AGE


@dataclass(frozen=True)
class BrandInfo:
    account_id: UUID | None
    """Whose it is; ``None``: nobody set one."""
    path: str = ""
    """Of that account."""
    product: str = "QCloud"
    accent_light: str = ""
    accent_dark: str = ""
    """Empty: the platform's own."""
    sender: str = ""
    host: str = ""
    logo_digest: str = ""
    is_providers: bool = False

    @property
    def css(self) -> str:
        """Custom properties that take the place of the platform's."""
        if not self.accent_light:
            return ""
        return css_of(":root", self.accent_light, self.accent_dark)

    @property
    def css_digest(self) -> str:
        """Names the style in its address, so that it can be kept for ever."""
        return f"{self.accent_light}{self.accent_dark}".replace("#", "")


PLAIN: Final = BrandInfo(None)


@dataclass
class _Cache:
    brands: dict[UUID, BrandInfo]
    read_at: float


_cache: Final = _Cache({}, float("-inf"))


def brand_of(path: str) -> BrandInfo:
    """The account's own brand, else that of the nearest account above it."""
    known = _brands()
    return next((known[one] for one in reversed(ids_on(path)) if one in known), PLAIN)


def brand_for_host(host: str) -> BrandInfo:
    """For whoever has not signed in: whose address was typed; else the provider's."""
    providers = (brand for brand in _brands().values() if brand.is_providers)
    return brand_with_host(host) or next(providers, PLAIN)


def is_platforms(host: str) -> bool:
    """Whether the platform itself goes by this name: no brand can take it."""
    bare = [name.strip("[]") for name in settings.ALLOWED_HOSTS]
    return validate_host(host, [*settings.ALLOWED_HOSTS, *bare])


def brand_with_host(host: str) -> BrandInfo | None:
    wanted = host.lower()
    if is_platforms(wanted):
        return None
    return next((b for b in _brands().values() if b.host and b.host == wanted), None)


def brand_by_account(account_id: UUID) -> BrandInfo | None:
    return _brands().get(account_id)


def brand_hosts() -> frozenset[str]:
    return frozenset(brand.host for brand in _brands().values() if brand.host)


def brand_logo(account_id: UUID, digest: str) -> bytes:
    """PNG; empty where there is none of that digest."""
    with unscoped("brands: seen by whoever comes"):
        row = Brand.objects.filter(account_id=account_id, logo_digest=digest).first()
    return bytes(row.logo) if row else b""


def mail_brand(path: str) -> MailBrand:
    """How a mail to the account's people presents itself."""
    brand = brand_of(path)
    return MailBrand(
        product=brand.product,
        accent=brand.accent_light or colours.DEFAULTS["light"],
        sender=brand.sender,
    )


def forget() -> None:
    """Look again at the next question."""
    _cache.read_at = float("-inf")


def css_of(place: str, light: str, dark: str) -> str:
    tints = (colours.tint(light, "light"), colours.tint(dark, "dark"))
    return (
        f"{place} {{ --accent: light-dark({light}, {dark});"
        f" --accent-tint: light-dark({tints[0]}, {tints[1]}); }}\n"
    )


def _brands() -> dict[UUID, BrandInfo]:
    if time.monotonic() - _cache.read_at > MAX_AGE:
        read_at = time.monotonic()
        with unscoped("brands: seen by whoever comes", savepoint=False):
            rows = list(Brand.objects.defer("logo").all())
        found = {row.account_id: brand_info(row) for row in rows}
        _cache.brands, _cache.read_at = found, read_at
    return _cache.brands


def brand_info(row: Brand) -> BrandInfo:
    names = ("product", "accent_light", "accent_dark", "sender", "host", "logo_digest")
    return BrandInfo(
        row.account_id,
        path=row.account_path,
        **{name: getattr(row, name) for name in names},
        is_providers=len(ids_on(row.account_path)) == 1,
    )
