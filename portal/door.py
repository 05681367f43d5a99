"""The one way into a page: who is it, for which account, and may they?

``@page(Permission.…)`` signs in whoever has not, turns the address's account into an
``Actor``, opens the tenant scope around the view, asks for the permission, translates
errors into pages, and journals denials after the rollback.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, Final, Protocol
from urllib.parse import urlencode, urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers

from audit.services import Outcome, Who, record_attempt, record_denial
from identity.errors import WrongPlace
from identity.mfa import Demand
from identity.selectors import (
    AccountInfo,
    account_by_slug,
    actor_in,
    door_reads,
    root_account,
)
from identity.services import factor_demand
from identity.sessions import Session, Stage, session_of
from portal import guests
from portal.client import client_ip
from portal.here import Here
from portal.hosts import site_of
from portal.sessions import PORTALS, portal_of
from portal.views.errors import error_page
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Denied, NotFound, QCloudError, StepUpNeeded
from qcloud.kernel.permissions import Actor, Permission, require
from qcloud.kernel.scope import Tier, scoped

PUBLIC: Final = "public"
PERSONAL: Final = "personal"
"""Of a member's own: no right of the account is asked for."""
POLL: Final = "X-QCloud-Poll"
"""Header of requests that a live page makes by itself."""
_STRANGER: Final = "There is no such page, or it is not yours to see."
_VARY: Final = ("Cookie", "HX-Request", "HX-Target", "HX-Request-Type")


Asked = dict[str, Permission | None]
View = Callable[Concatenate[HttpRequest, Here, ...], HttpResponseBase]


class Door(Protocol):
    permission: Permission | str
    asked: dict[str, Permission | None]
    """By method; ``None``: being a member is enough."""

    def __call__(self, request: HttpRequest, /, **kwargs: Any) -> HttpResponseBase: ...


@dataclass(frozen=True)
class _Way:
    """What is behind a door."""

    view: View
    asked: Asked
    apart: bool


def public(reason: str) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., Any]]:
    """Marks a view that anybody may see, and says why; the test of all addresses reads it."""

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        view.permission = PUBLIC  # type: ignore[attr-defined]
        view.public_reason = reason  # type: ignore[attr-defined]
        return view

    return decorate


def page(
    permission: Permission, *, post: Permission | None = None, apart: bool = False
) -> Callable[[View], Door]:
    """A view of one account. ``permission`` is asked for GET, ``post`` for POST.

    Without ``post`` the page takes no POST. A stranger gets 404, a member without the right
    403 with the reason; both are journalled. ``apart``: the view runs in no transaction and
    no scope, because it waits for somebody else's server; what it calls opens its own.
    """
    asked: Asked = {"GET": permission, "HEAD": permission}
    return _door(permission, asked | ({"POST": post} if post else {}), apart=apart)


def action(permission: Permission) -> Callable[[View], Door]:
    """A change of one account: a view that takes POST alone, behind the same gate."""
    return _door(permission, {"POST": permission})


def personal(reason: str, *methods: str) -> Callable[[View], Door]:
    """A view of what is the reader's own, for every member; says why no right is asked for."""
    reached = _door(PERSONAL, dict.fromkeys(methods or ("GET", "HEAD"), None))

    def decorate(view: View) -> Door:
        door = reached(view)
        door.public_reason = reason  # type: ignore[attr-defined]
        return door

    return decorate


def _door(
    permission: Permission | str, asked: Asked, *, apart: bool = False
) -> Callable[[View], Door]:
    def decorate(view: View) -> Door:
        @wraps(view)
        def door(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
            return _enter(request, _Way(view, asked, apart), kwargs)

        door.permission = permission  # type: ignore[attr-defined]
        door.asked = asked  # type: ignore[attr-defined]
        return door  # type: ignore[return-value]

    return decorate


def _enter(request: HttpRequest, way: _Way, kwargs: dict[str, Any]) -> HttpResponseBase:
    if request.method not in way.asked:
        return HttpResponseNotAllowed(sorted(way.asked))  # gets its page from a middleware
    account = actor = None
    with door_reads():
        row = session_of(request)
        demand = factor_demand(row) if row else Demand()
        is_in = row is not None and row.stage == Stage.FULL and not demand.is_due(now())
        if is_in:
            account = _account(request, kwargs.pop("account", ""))
            actor = _actor(request, account)
    if not is_in:
        return _on_the_way(request, row)
    if request.headers.get(POLL) != "1":
        # What a page asks for by itself keeps nobody signed in who has gone away.
        request.session.touch()  # type: ignore[attr-defined]  # our own store
    if account is None or actor is None:
        return _refuse_stranger(request, account)
    if not account.admits(actor.ip):
        return _refuse_network(request, actor)
    here = Here.of(request, account, actor, demand)
    return finish(_run(request, way, here, kwargs))


def _run(request: HttpRequest, way: _Way, here: Here, kwargs: dict[str, Any]) -> HttpResponseBase:
    request.here = here  # type: ignore[attr-defined]  # read by the context processor
    with timezone.override(here.account.timezone):
        try:
            with scoped(here.scope):
                _require(here, way.asked[request.method or ""])
                guests.note(request, here)
                if not way.apart:
                    response = way.view(request, here, **kwargs)
            if way.apart:
                response = way.view(request, here, **kwargs)
        except StepUpNeeded:
            return _to_confirm(request, here)
        except QCloudError as error:
            _journal(request, here, error)
            return error_page(request, error)
        refused = getattr(request, "refused", None)
        if refused is not None:
            _journal(request, here, refused)
        return response


def _require(here: Here, wanted: Permission | None) -> None:
    if wanted is not None:
        require(here.actor, wanted)
    elif here.guest is not None:
        raise Denied(
            "You look at this account as a guest. What is your own is in your own portal.",
            code="kernel.delegated",
        )


def _journal(request: HttpRequest, here: Here, error: QCloudError) -> None:
    """After the rollback, in a transaction of its own."""
    if not isinstance(error, Denied | NotFound):
        return
    record_denial(
        actor=here.actor,
        action=f"portal.page.{'post' if request.method == 'POST' else 'get'}",
        error=error,
        object_kind="page",
        object_id=request.path,
    )


def _account(request: HttpRequest, slug: str) -> AccountInfo | None:
    """The account that the address names, if it is of the portal's tier and of the site."""
    tier = PORTALS[portal_of(request.path)]
    account = root_account() if tier is Tier.CLOUD else account_by_slug(slug)
    if account is None or account.tier is not tier or not site_of(request).holds(account.path):
        return None
    return account


def _actor(request: HttpRequest, account: AccountInfo | None) -> Actor | None:
    if account is None:
        return None
    return actor_in(
        request.user,  # type: ignore[arg-type]  # a User: the door lets nobody else this far
        account.scope,
        ip=client_ip(request),
        request_id=request.request_id,  # type: ignore[attr-defined]
        proved_at=session.proved_at if (session := session_of(request)) else None,
    )


def _refuse_stranger(request: HttpRequest, account: AccountInfo | None) -> HttpResponseBase:
    user = request.user
    over = guests.farewell(request, account) if account else None
    record_attempt(
        who=Who("staff", user.id, user.email, client_ip(request), request.request_id),  # type: ignore[union-attr,attr-defined]
        scope=account.scope if account else None,
        action="portal.page.enter",
        outcome=Outcome.DENIED,
        reason=over.message if over else "Not a member of this account.",
        object_kind="page",
        object_id=request.path,
    )
    return finish(error_page(request, over or NotFound(_STRANGER)))


def _refuse_network(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """A member, or somebody who looks in from above, comes from outside the allow-list."""
    error = WrongPlace(actor.ip)
    record_denial(
        actor=actor,
        action="portal.page.enter",
        error=error,
        object_kind="page",
        object_id=request.path,
    )
    return finish(error_page(request, error))


def _on_the_way(request: HttpRequest, row: Session | None) -> HttpResponseBase:
    """To whatever the visitor has to do first: sign in, give a code, set up a second factor."""
    target = request.get_full_path() if request.method in {"GET", "HEAD"} else request.path
    words = {"next": target}
    if row is None and request.session.ended:  # type: ignore[attr-defined]
        words["ended"] = "1"
    name = "sign-in" if row is None else "code" if row.stage == Stage.FACTOR else "set-up"
    return go(request, f"{reverse(f'{portal_of(request.path)}:{name}')}?{urlencode(words)}")


def _to_confirm(request: HttpRequest, here: Here) -> HttpResponseBase:
    """The person proves once more who it is and comes back: to the page if it was one, else to
    the page with the form. What was posted is never sent again by itself.
    """
    posted = request.method == "POST"
    target = _form_page(request, here) if posted else request.get_full_path()
    words = {"next": target, **({"posted": "1"} if posted else {})}
    return go(request, f"{reverse(f'{here.portal}:confirm')}?{urlencode(words)}")


def _form_page(request: HttpRequest, here: Here) -> str:
    """The page that the form was on, by its referrer, if that is one of this portal."""
    came = urlsplit(request.headers.get("Referer", ""))
    ours = came.netloc == request.get_host() and portal_of(came.path) == here.portal
    return f"{came.path}?{came.query}".rstrip("?") if ours else here.home


def go(request: HttpRequest, url: str) -> HttpResponseBase:
    """A redirect that also htmx follows with the whole page."""
    if request.headers.get("HX-Request") == "true":
        answer = HttpResponse(status=200)
        answer["HX-Redirect"] = url
        return answer
    return HttpResponseRedirect(url)


def finish(response: HttpResponseBase) -> HttpResponseBase:
    """Pages hold one person's data: nobody's cache keeps them, no fragment answers a page."""
    patch_vary_headers(response, _VARY)
    if not response.has_header("Cache-Control"):
        # Not even the browser's own memory of pages, which Back opens after signing out.
        response["Cache-Control"] = "private, no-store"
    return response
