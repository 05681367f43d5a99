"""The application as a server calls it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.signals import request_finished
from django.http import HttpRequest, StreamingHttpResponse
from django.test import RequestFactory

from portal import urls
from qcloud.wsgi import application

pytestmark = pytest.mark.django_db(transaction=True)


def call(path: str, method: str = "GET") -> tuple[list[Any], Any]:
    """Status and headers, and what was handed over."""
    said: list[Any] = []
    environ = RequestFactory().generic(method, path, headers={"Host": "127.0.0.1"}).environ
    body = application(environ, lambda status, headers: said.extend((status, dict(headers))))
    return said, body


@pytest.fixture
def finished() -> Iterator[list[object]]:
    found: list[object] = []

    def note(**_: object) -> None:
        found.append(1)

    request_finished.connect(note)
    yield found
    request_finished.disconnect(note)


def test_an_answer_is_handed_over_whole_and_the_request_is_over(finished: list[object]) -> None:
    (status, headers), body = call("/c/sign-in")
    assert status == "200 OK"
    assert headers["Content-Type"].startswith("text/html")
    assert isinstance(body, list)
    assert b'name="csrfmiddlewaretoken"' in body[0]
    assert len(body) == len(finished) == 1
    (status, _), body = call("/c/acme/live")
    assert (status, body) == ("302 Found", [b""])
    assert len(finished) == 2


def test_what_comes_in_pieces_stays_so_and_is_over_when_the_server_closes_it(
    finished: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def pieces() -> Iterator[bytes]:
        for number in range(3):
            asked.append(number)
            yield b"%d" % number

    def view(_request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(pieces())

    pattern = next(p for p in urls.urlpatterns if getattr(p, "name", "") == "healthz")
    monkeypatch.setattr(pattern, "callback", view)
    (status, _), body = call("/healthz")
    assert (status, asked, finished) == ("200 OK", [], [])
    assert b"".join(body) == b"012"
    body.close()
    assert len(finished) == 1
