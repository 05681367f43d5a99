"""Settings → Branding, and the files that a brand consists of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from identity.brands import brand_logo, brand_of, css_of
from identity.services.branding import (
    MAX_UPLOAD,
    brand_logo_set,
    brand_reset,
    brand_set,
    wrong_colours,
)
from portal.door import action, page, public
from portal.here import Here
from portal.kit.forms import Failure, attempt
from portal.views.errors import not_found
from qcloud.kernel.errors import Invalid, NotFound
from qcloud.kernel.permissions import Permission

_FIELDS: Final = ("product", "accent_light", "accent_dark", "sender", "host")
_FOR_EVER: Final = "public, max-age=31536000, immutable"


@page(Permission.IDENTITY_BRANDING_WRITE, post=Permission.IDENTITY_BRANDING_WRITE)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    """The form; GET with values previews them, POST sets them."""
    if request.method == "POST":
        typed = {name: request.POST.get(name, "") for name in _FIELDS}
        return _change(request, here, "brand", lambda: brand_set(actor=here.actor, **typed))
    return _page(request, here, None)


@action(Permission.IDENTITY_BRANDING_WRITE)
def logo(request: HttpRequest, here: Here) -> HttpResponseBase:
    def change() -> Any:
        uploaded = request.FILES.get("logo")
        if uploaded is None:
            raise Invalid("The logo was not changed.", fields={"logo": "Choose a file."})
        # One byte too many is enough to refuse it.
        return brand_logo_set(actor=here.actor, data=uploaded.read(MAX_UPLOAD + 1))

    return _change(request, here, "logo", change)


@action(Permission.IDENTITY_BRANDING_WRITE)
def logo_remove(request: HttpRequest, here: Here) -> HttpResponseBase:
    return _change(request, here, "logo", lambda: brand_logo_set(actor=here.actor, data=b""))


@action(Permission.IDENTITY_BRANDING_WRITE)
def reset(request: HttpRequest, here: Here) -> HttpResponseBase:
    return _change(request, here, "reset", lambda: brand_reset(actor=here.actor))


@page(Permission.IDENTITY_BRANDING_WRITE)
def preview(request: HttpRequest, here: Here) -> HttpResponseBase:
    """The colours of the address as a style for the preview alone."""
    del here
    light, dark = (request.GET.get(name, "").lower() for name in ("light", "dark"))
    if not light or wrong_colours(light, dark):
        raise NotFound("There is no such preview.")
    answer = HttpResponse(css_of(".brand-preview", light, dark), content_type="text/css")
    answer["Cache-Control"] = "private, no-store"
    return answer


@public("the sign-in page bears the brand of its host name")
@require_safe
def style(request: HttpRequest, account_id: UUID, digest: str) -> HttpResponse:
    """The colours that the address itself names; nothing is looked up."""
    del account_id
    light, dark = f"#{digest[:6]}", f"#{digest[6:]}"
    if len(digest) != 12 or wrong_colours(light, dark):
        return not_found(request)
    answer = HttpResponse(css_of(":root", light, dark), content_type="text/css")
    answer["Cache-Control"] = _FOR_EVER
    return answer


@public("the sign-in page bears the logo of its host name")
@require_safe
def picture(request: HttpRequest, account_id: UUID, digest: str) -> HttpResponse:
    data = brand_logo(account_id, digest)
    if not data:
        return not_found(request)
    answer = HttpResponse(data, content_type="image/png")
    answer["Cache-Control"] = _FOR_EVER
    return answer


def _change(
    request: HttpRequest, here: Here, form: str, change: Callable[[], Any]
) -> HttpResponseBase:
    outcome = attempt(request, here.scope, form, change)
    if isinstance(outcome, Failure):
        return _page(request, here, outcome)
    messages.success(request, "The brand was changed.")
    return HttpResponseRedirect(here.url("branding"))


def _page(request: HttpRequest, here: Here, failed: Failure | None) -> HttpResponseBase:
    own = brand_of(here.account.path)
    is_own = own.account_id == here.account.id
    present = {name: getattr(own, name) if is_own else "" for name in _FIELDS}
    present["product"] = own.product
    asked = {name: request.GET[name] for name in _FIELDS if name in request.GET}
    typed = present | asked | (failed.values if failed else {})
    light, dark = typed["accent_light"].lower(), typed["accent_dark"].lower()
    wrong = wrong_colours(light, dark)
    context = {
        "own": own if is_own else None,
        "typed": typed,
        "errors": failed.fields if failed else (wrong if asked else {}),
        "failed": failed,
        "preview_css": f"{here.url('branding-preview')}?light=%23{light[1:]}&dark=%23{dark[1:]}"
        if light and not wrong
        else "",
    }
    status = failed.status if failed else 200
    return render(request, "pages/branding.html", context, status=status)
