"""The one way into a page: who is it, for which account, and may they?

``@page(Permission.…)`` signs in whoever has not, turns the address's account into an
``Actor``, opens the tenant scope around the view, asks for the permission, translates
errors into pages, and journals denials after the rollback.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, Final, Protocol
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers

from audit.services import Outcome, Who, record_attempt, record_denial
from identity.errors import WrongPlace
from identity.selectors import AccountInfo, account_by_slug, actor_for, root_account
from identity.sessions import Session, Stage, session_of
from portal.client import client_ip
from portal.here import Here
from portal.sessions import PORTALS, portal_of
from portal.views.errors import error_page
from qcloud.kernel.errors import Denied, NotFound, QCloudError
from qcloud.kernel.permissions import Actor, Permission, require
from qcloud.kernel.scope import Tier, scoped

PUBLIC: Final = "public"
POLL: Final = "X-QCloud-Poll"
"""Header of requests that a live page makes by itself."""
_STRANGER: Final = "There is no such page, or it is not yours to see."
_VARY: Final = ("Cookie", "HX-Request", "HX-Target", "HX-Request-Type")


View = Callable[Concatenate[HttpRequest, Here, ...], HttpResponseBase]


class Door(Protocol):
    permission: Permission | str
    asked: dict[str, Permission]
    """By method."""

    def __call__(self, request: HttpRequest, /, **kwargs: Any) -> HttpResponseBase: ...


def public(reason: str) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., Any]]:
    """Marks a view that anybody may see, and says why; the test of all addresses reads it."""

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        view.permission = PUBLIC  # type: ignore[attr-defined]
        view.public_reason = reason  # type: ignore[attr-defined]
        return view

    return decorate


def page(permission: Permission, *, post: Permission | None = None) -> Callable[[View], Door]:
    """A view of one account. ``permission`` is asked for GET, ``post`` for POST.

    Without ``post`` the page takes no POST. A stranger gets 404, a member without the right
    403 with the reason; both are journalled.
    """
    asked = {"GET": permission, "HEAD": permission} | ({"POST": post} if post else {})
    return _door(permission, asked)


def action(permission: Permission) -> Callable[[View], Door]:
    """A change of one account: a view that takes POST alone, behind the same gate."""
    return _door(permission, {"POST": permission})


def _door(permission: Permission, asked: dict[str, Permission]) -> Callable[[View], Door]:
    def decorate(view: View) -> Door:
        @wraps(view)
        def door(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
            return _enter(request, view, asked, kwargs)

        door.permission = permission  # type: ignore[attr-defined]
        door.asked = asked  # type: ignore[attr-defined]
        return door  # type: ignore[return-value]

    return decorate


def _enter(
    request: HttpRequest, view: View, asked: dict[str, Permission], kwargs: dict[str, Any]
) -> HttpResponseBase:
    if request.method not in asked:
        return HttpResponseNotAllowed(sorted(asked))  # gets its page from a middleware
    row = session_of(request)
    if row is None or row.stage != Stage.FULL:
        return _on_the_way(request, row)
    if request.headers.get(POLL) != "1":
        # What a page asks for by itself keeps nobody signed in who has gone away.
        request.session.touch()  # type: ignore[attr-defined]  # our own store
    account = _account(request, kwargs.pop("account", ""))
    actor = _actor(request, account)
    if account is None or actor is None:
        return _refuse_stranger(request, account)
    if not account.admits(actor.ip):
        return _refuse_network(request, actor)
    here = Here.of(request, account, actor)
    return _finish(_run(request, view, here, asked[request.method], kwargs))


def _run(
    request: HttpRequest, view: View, here: Here, wanted: Permission, kwargs: dict[str, Any]
) -> HttpResponseBase:
    request.here = here  # type: ignore[attr-defined]  # read by the context processor
    with timezone.override(here.account.timezone):
        try:
            with scoped(here.scope):
                require(here.actor, wanted)
                response = view(request, here, **kwargs)
        except QCloudError as error:
            _journal(request, here, error)
            return error_page(request, error)
        refused = getattr(request, "refused", None)
        if refused is not None:
            _journal(request, here, refused)
        return response


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
    """The account that the address names, if it is of the portal's tier."""
    tier = PORTALS[portal_of(request.path)]
    account = root_account() if tier is Tier.CLOUD else account_by_slug(slug)
    return account if account and account.tier is tier else None


def _actor(request: HttpRequest, account: AccountInfo | None) -> Actor | None:
    if account is None:
        return None
    return actor_for(
        request.user,  # type: ignore[arg-type]  # a User: the door lets nobody else this far
        account.slug,
        ip=client_ip(request),
        request_id=request.request_id,  # type: ignore[attr-defined]
        proved_at=session.proved_at if (session := session_of(request)) else None,
    )


def _refuse_stranger(request: HttpRequest, account: AccountInfo | None) -> HttpResponseBase:
    user = request.user
    record_attempt(
        who=Who("staff", user.id, user.email, client_ip(request), request.request_id),  # type: ignore[union-attr,attr-defined]
        scope=account.scope if account else None,
        action="portal.page.enter",
        outcome=Outcome.DENIED,
        reason="Not a member of this account.",
        object_kind="page",
        object_id=request.path,
    )
    return _finish(error_page(request, NotFound(_STRANGER)))


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
    return _finish(error_page(request, error))


def _on_the_way(request: HttpRequest, row: Session | None) -> HttpResponseBase:
    """To whatever the visitor has to do first: sign in, give a code, set up a second factor."""
    target = request.get_full_path() if request.method in {"GET", "HEAD"} else request.path
    words = {"next": target}
    if row is None and request.session.ended:  # type: ignore[attr-defined]
        words["ended"] = "1"
    name = "sign-in" if row is None else {"factor": "code", "enrol": "set-up"}[row.stage]
    return go(request, f"{reverse(f'{portal_of(request.path)}:{name}')}?{urlencode(words)}")


def go(request: HttpRequest, url: str) -> HttpResponseBase:
    """A redirect that also htmx follows with the whole page."""
    if request.headers.get("HX-Request") == "true":
        answer = HttpResponse(status=200)
        answer["HX-Redirect"] = url
        return answer
    return HttpResponseRedirect(url)


def _finish(response: HttpResponseBase) -> HttpResponseBase:
    """Pages hold one person's data: nobody's cache keeps them, no fragment answers a page."""
    patch_vary_headers(response, _VARY)
    if not response.has_header("Cache-Control"):
        response["Cache-Control"] = "private, no-cache"
    return response
