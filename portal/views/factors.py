"""The second step: a code at sign-in, setting an app up, proving once more who one is."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

import segno
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_http_methods

from identity.errors import CodeRefused, SetUpNotDue, SignInRefused, StepUpRefused
from identity.factors import FactorState
from identity.mfa import demand_of
from identity.services import (
    factors_of,
    second_factor,
    set_up_codes,
    set_up_finish,
    set_up_seed,
    set_up_try,
    step_up,
)
from identity.sessions import Session, Stage, session_of
from portal.door import public
from portal.here import PORTAL_NAMES
from portal.sessions import portal_of, visitor_of
from portal.views.session import device_of, home_in, onward, safe_next
from qcloud.kernel.errors import QCloudError, StepUpNeeded

_SET_UP: Final = {
    "why": "Why",
    "app": "Add to app",
    "try": "Try a code",
    "codes": "Recovery codes",
}


@public("whoever gave the right password gives the second factor here; others go to sign-in")
@require_http_methods(["GET", "HEAD", "POST"])
def code(request: HttpRequest) -> HttpResponse:
    row = session_of(request)
    if row is None or row.stage != Stage.FACTOR:
        return _elsewhere(request, row)
    if request.method != "POST":
        return _code_page(request, None)
    try:
        entered = second_factor(
            request,
            code=request.POST.get("code", ""),
            visitor=visitor_of(request),
            device=device_of(request),
        )
    except CodeRefused as error:
        return _code_page(request, error)
    except SignInRefused:
        return _begin_again(request)
    return onward(request, entered, safe_next(request))


def _code_page(request: HttpRequest, error: QCloudError | None) -> HttpResponse:
    return _page(request, "pages/code.html", error, lost=request.GET.get("lost") == "1")


@public("whoever has to set a second factor up does it here; others go to sign-in")
@require_http_methods(["GET", "HEAD", "POST"])
def set_up(request: HttpRequest) -> HttpResponse:
    """Why → QR code and text → a code → recovery codes, one entered → the page first meant."""
    row, state = session_of(request), factors_of(request)
    if row is None or state is None or row.stage == Stage.FACTOR:
        return _elsewhere(request, row)
    try:
        if request.method == "POST":
            return _set_up_post(request, row, state)
        return _set_up_page(request, row, _step(request, state), None)
    except StepUpNeeded:
        return HttpResponseRedirect(_with_next(request, "confirm", request.get_full_path()))
    except SignInRefused:
        return _begin_again(request)


def _step(request: HttpRequest, state: FactorState) -> str:
    """Where a set-up goes on: at what is not done yet."""
    asked = request.GET.get("step", "why")
    if state.has_totp and not state.codes_confirmed and asked not in {"app", "try"}:
        return "codes"
    return asked if asked in {"why", "app", "try"} or state.has_totp else "why"


def _set_up_post(request: HttpRequest, row: Session, state: FactorState) -> HttpResponse:
    visitor, text = visitor_of(request), request.POST.get("code", "")
    step = request.POST.get("step", "")
    try:
        if step == "try":
            return _codes_page(request, row, set_up_try(request, code=text, visitor=visitor))
        if step == "renew":
            return _codes_page(request, row, set_up_codes(request, visitor=visitor))
        if step != "codes":
            return _set_up_page(request, row, _step(request, state), None)
        entered = set_up_finish(request, code=text, visitor=visitor, device=device_of(request))
    except (CodeRefused, SetUpNotDue) as error:
        shown = "app" if isinstance(error, SetUpNotDue) else step
        return _set_up_page(request, row, shown, error)
    messages.success(request, "Your second factor is set up.")
    return onward(request, entered, safe_next(request))


def _set_up_page(
    request: HttpRequest, row: Session, step: str, error: QCloudError | None
) -> HttpResponse:
    context: dict[str, Any] = {**_step_words(step), "codes": ()}
    if step in {"app", "try"}:
        seed = set_up_seed(request)
        context |= {"seed": seed, "qr": _qr(seed.uri)}
    if step == "why" and row.user is not None:
        context["demand"] = demand_of(row.user.id, row.portal)
        context["can_skip"] = row.stage == Stage.FULL
    return _page(request, "pages/set_up.html", error, **context)


def _codes_page(request: HttpRequest, row: Session, codes: tuple[str, ...]) -> HttpResponse:
    """The one answer that shows them."""
    del row
    return _page(request, "pages/set_up.html", None, **_step_words("codes"), codes=codes)


def _step_words(step: str) -> dict[str, Any]:
    return {"step": step, "number": list(_SET_UP).index(step) + 1, "of": len(_SET_UP)}


def _qr(uri: str) -> SafeString:
    """Black on white in any theme: scanners want it so. Segno writes no text into it."""
    drawn = segno.make(uri, error="m").svg_inline(
        scale=5, border=4, dark="#000", light="#fff", svgclass="qr", lineclass=None, omitsize=False
    )
    return mark_safe(drawn)  # noqa: S308  shapes alone; the address is in their pattern


@public("whoever is signed in proves it once more here; others go to sign-in")
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest) -> HttpResponse:
    """Step-up. Afterwards the person is where it was; what was posted is not sent again."""
    row, state = session_of(request), factors_of(request)
    if row is None or state is None or row.stage != Stage.FULL:
        return _elsewhere(request, row)
    if request.method != "POST":
        return _confirm_page(request, state, None)
    try:
        step_up(request, proof=request.POST.get("proof", ""), visitor=visitor_of(request))
    except StepUpRefused as error:
        return _confirm_page(request, state, error)
    except SignInRefused:
        return _begin_again(request)
    if request.GET.get("posted") == "1":
        messages.info(request, "Confirmed. Nothing was changed yet: send the form again.")
    target = _any_next(request)
    return HttpResponseRedirect(target or home_in(request, row.portal))


def _confirm_page(
    request: HttpRequest, state: FactorState, error: QCloudError | None
) -> HttpResponse:
    return _page(request, "pages/confirm.html", error, has_totp=state.has_totp)


def _any_next(request: HttpRequest) -> str:
    """Also the set-up, which stands outside any account."""
    target = safe_next(request)
    return target if portal_of(target) == portal_of(request.path) else ""


def _page(
    request: HttpRequest, template: str, error: QCloudError | None, **context: Any
) -> HttpResponse:
    portal = portal_of(request.path)
    row = session_of(request)
    context |= {
        "next": safe_next(request),
        "error": error.message if error else "",
        "action": request.get_full_path(),
        "portal": portal,
        "portal_name": PORTAL_NAMES[portal],
        "person": row.user.email if row and row.user else "",
    }
    status = error.http_status if error else 200
    response = render(request, template, context, status=status)
    response["Cache-Control"] = "no-store"
    return response


def _elsewhere(request: HttpRequest, row: Session | None) -> HttpResponse:
    """To the step that the visitor is at."""
    if row is None:
        return HttpResponseRedirect(_with_next(request, "sign-in", safe_next(request)))
    if row.stage == Stage.FULL:
        return HttpResponseRedirect(safe_next(request) or home_in(request, row.portal))
    name = "code" if row.stage == Stage.FACTOR else "set-up"
    return HttpResponseRedirect(_with_next(request, name, safe_next(request)))


def _begin_again(request: HttpRequest) -> HttpResponse:
    page = reverse(f"{portal_of(request.path)}:sign-in")
    words = {"over": "1", **({"next": target} if (target := safe_next(request)) else {})}
    return HttpResponseRedirect(f"{page}?{urlencode(words)}")


def _with_next(request: HttpRequest, name: str, target: str) -> str:
    page = reverse(f"{portal_of(request.path)}:{name}")
    return f"{page}?{urlencode({'next': target})}" if target else page
