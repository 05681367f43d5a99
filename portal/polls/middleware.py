"""Answers polls of those who have a pass, before anything else of the platform is asked."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string

from identity.marks import marks
from identity.sessions import over_at, session_of, stored_key
from portal.client import client_ip
from portal.context import layout
from portal.door import POLL, finish
from portal.here import Here
from portal.polls.passes import Asker, Pass, passes, until
from portal.polls.shared import NONCE, Seen, Shown, parts
from portal.sessions import cookie_name, portal_of
from qcloud.kernel.clock import now
from qcloud.kernel.errors import QCloudError

_OF_AN_ACCOUNT: Final = re.compile(r"/[cr]/[A-Za-z0-9_-]+/")
"""Paths come here as they were typed, before any pattern of ours has read them."""


class PollMiddleware:
    """Stands before sessions: who has a pass needs none to be read."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_poll(request):
            return self._get_response(request)
        asker = _asker(request)
        found = passes.find(asker)
        if found is not None:
            # What cannot be made is told as a page is told it: by the door.
            with suppress(QCloudError):
                text = parts.value(found.seen)
                return finish(_answer(request, found.before, text))
        # Before the door reads anything: what is written while it does is seen by the mark.
        request.polled = asker, marks([asker.place]).get(asker.place)  # type: ignore[attr-defined]
        return self._get_response(request)


def is_poll(request: HttpRequest) -> bool:
    """Whether a page of an account asks by itself for its own main part."""
    return (
        request.method == "GET"
        and request.headers.get(POLL) == "1"
        and layout(request) == "layouts/main.html"
        and _OF_AN_ACCOUNT.match(request.path) is not None
    )


def poll(request: HttpRequest, here: Here, title: str, shown: Shown) -> HttpResponse:
    """The answer to a poll, for who has come through the door; and a pass for the next ones."""
    seen = Seen.of(request, here, shown)
    text = parts.value(seen)
    before = render_to_string("layouts/poll.html", {"title": title}, request).encode()
    asker, mark = getattr(request, "polled", (None, None))
    if asker is not None and mark is not None and here.guest is None:
        # Whoever looks in from above is noted page by page, and so comes through the door.
        passes.keep(asker, Pass(mark, seen, before, until(_lasts(request, here))))
    return _answer(request, before, text)


def _answer(request: HttpRequest, before: bytes, text: bytes) -> HttpResponse:
    nonce = getattr(request, "csp_nonce", "")
    answer = HttpResponse(before + text.replace(NONCE.encode(), nonce.encode()))
    answer["Content-Length"] = str(len(answer.content))
    return answer


def _asker(request: HttpRequest) -> Asker:
    cookie = request.COOKIES.get(cookie_name(portal_of(request.path)), "")
    return Asker(
        session_key=stored_key(cookie),
        host=request.META.get("HTTP_HOST", ""),
        ip=client_ip(request),
        path=request.path,
        query=request.META.get("QUERY_STRING", ""),
    )


def _lasts(request: HttpRequest, here: Here) -> float:
    """Seconds until the session, or the time without a second factor, is up in any case."""
    row = session_of(request)
    if row is None:
        return 0.0
    ends: list[datetime] = [over_at(row), *([here.asked_again] if here.asked_again else [])]
    return (min(ends) - now()).total_seconds()
