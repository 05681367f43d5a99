"""A seller's own name, colours, logo, mail sender and host name, for itself and its customers."""

from __future__ import annotations

import hashlib
import io
from typing import Final

from django.db import IntegrityError, transaction
from PIL import Image

from audit.services import record
from identity import brands, colours
from identity.brands import BrandInfo, brand_info
from identity.colours import Theme
from identity.models import Brand
from identity.services.places import acting
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, Invalid
from qcloud.kernel.permissions import Actor, Permission, require
from qcloud.kernel.scope import Scope
from qcloud.kernel.settings.kinds import Email, Host, Kind, Text

MAX_UPLOAD: Final = 512 * 1024
MAX_SIDE: Final = 4_000
"""Pixels; looked at before anything is unpacked."""
_FORMATS: Final = ("PNG", "WEBP")
LOGO_BOX: Final = (480, 96)
_FIELDS: Final = ("product", "accent_light", "accent_dark", "sender", "host")


def brand_set(
    *, actor: Actor, product: str, accent_light: str, accent_dark: str, sender: str, host: str
) -> BrandInfo:
    """Set how the actor's account presents itself, and with it those below.

    Colours are ``#rrggbb``, both or neither; each must be readable on its theme's surfaces,
    at 4.5 to 1. Raises ``Denied``, ``Invalid``, ``Conflict`` (somebody has the host name).
    """
    require(actor, Permission.IDENTITY_BRANDING_WRITE)
    place = _place(actor)
    wanted = _checked(
        {
            "product": product,
            "accent_light": accent_light.strip().lower(),
            "accent_dark": accent_dark.strip().lower(),
            "sender": sender,
            "host": host,
        }
    )
    with acting(actor):
        row = _row(place)
        before = {name: getattr(row, name) for name in _FIELDS}
        for name, text in wanted.items():
            setattr(row, name, text)
        _save(row)
        _record(actor, "set", {"before": before, "after": wanted})
    return brand_info(row)


def brand_logo_set(*, actor: Actor, data: bytes) -> BrandInfo:
    """Take a PNG or WebP picture as the logo; an empty one takes the logo away.

    It is drawn anew as a PNG of at most 480 by 96, so nothing but pixels is kept of it.
    Raises ``Denied``, ``Invalid``.
    """
    require(actor, Permission.IDENTITY_BRANDING_WRITE)
    place = _place(actor)
    picture = _drawn(data) if data else b""
    with acting(actor):
        row = _row(place)
        row.logo = picture
        row.logo_digest = hashlib.sha256(picture).hexdigest()[:16] if picture else ""
        _save(row)
        _record(actor, "logo_set", {"digest": row.logo_digest, "bytes": len(picture)})
    return brand_info(row)


def brand_reset(*, actor: Actor) -> None:
    """Back to the brand of the account above. Raises ``Denied``."""
    require(actor, Permission.IDENTITY_BRANDING_WRITE)
    place = _place(actor)
    with acting(actor):
        Brand.objects.filter(account_id=place.account_id).delete()
        _changed()
        _record(actor, "reset", {})


def _place(actor: Actor) -> Scope:
    if actor.scope is None:
        raise Denied("A brand belongs to an account: act for one.")
    return actor.scope


def _row(place: Scope) -> Brand:
    row: Brand | None = (
        Brand.objects.select_for_update().filter(account_id=place.account_id).first()
    )
    return row or Brand(
        account_id=place.account_id, account_path=place.path, product=brands.PLAIN.product
    )


def _save(row: Brand) -> None:
    row.changed_at = now()
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise Conflict(
            f"{row.host} is the host name of another account.",
            fields={"host": "Choose another name."},
        ) from error
    _changed()


def _changed() -> None:
    brands.forget()
    transaction.on_commit(brands.forget)


def _checked(typed: dict[str, str]) -> dict[str, str]:
    wrong: dict[str, str] = {}
    wanted: dict[str, str] = {}
    kinds: dict[str, Kind[str]] = {
        "product": Text(40, optional=False),
        "sender": Email(),
        "host": Host(),
    }
    for name, kind in kinds.items():
        try:
            wanted[name] = kind.parse(typed[name].replace("\0", ""))
        except ValueError as error:
            wrong[name] = str(error)
    if brands.is_platforms(wanted.get("host", "")):
        wrong["host"] = "The platform itself goes by this name."
    wanted |= {name: typed[name] for name in ("accent_light", "accent_dark")}
    wrong |= wrong_colours(wanted["accent_light"], wanted["accent_dark"])
    if wrong:
        raise Invalid("The brand was not changed.", fields=wrong)
    return wanted


def wrong_colours(light: str, dark: str) -> dict[str, str]:
    """What is wrong with a pair of accents, by field; nothing for none at all."""
    if not light and not dark:
        return {}
    pairs: tuple[tuple[Theme, str], ...] = (("light", light), ("dark", dark))
    return {f"accent_{theme}": why for theme, colour in pairs if (why := _why(theme, colour))}


def _why(theme: Theme, colour: str) -> str:
    if not colours.is_colour(colour):
        return f"Like {colours.DEFAULTS[theme]}: # and six hexadecimal digits. Set both, or none."
    ratio = colours.worst(colour, theme)
    if ratio >= colours.LEAST:
        return ""
    darker = "darker" if theme == "light" else "lighter"
    return (
        f"Too faint on the {theme} theme: {int(ratio * 10) / 10}:1 where {colours.LEAST}:1 is"
        f" needed. Take a {darker} one."
    )


def _drawn(data: bytes) -> bytes:
    if len(data) > MAX_UPLOAD:
        raise _no_logo(f"At most {MAX_UPLOAD // 1024} KiB.")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            if max(picture.size) > MAX_SIDE:
                raise _no_logo(f"At most {MAX_SIDE} pixels a side.")
            picture.verify()
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            drawn = picture.convert("RGBA")
    except (Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        # What the library raises for a file that is no picture, is cut short, or lies.
        raise _no_logo("A picture in PNG or WebP.") from error
    drawn.thumbnail(LOGO_BOX)
    target = io.BytesIO()
    drawn.save(target, "PNG", optimize=True)
    return target.getvalue()


def _no_logo(why: str) -> Invalid:
    return Invalid("The logo was not changed.", fields={"logo": why})


def _record(actor: Actor, verb: str, data: dict[str, object]) -> None:
    record(
        actor=actor,
        action=f"identity.brand.{verb}",
        object_kind="brand",
        object_id=actor.scope.account_id if actor.scope else "",
        data=data,
    )
