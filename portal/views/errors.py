"""What goes wrong, as pages: each says what happened, why, and who can change it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from qcloud.kernel.errors import Denied, NotFound, QCloudError

_TITLES = {
    400: "The request could not be read",
    403: "You can't open this page",
    404: "Not found",
    405: "Not done this way",
    409: "That is not possible now",
    422: "That could not be done",
    429: "Too many requests",
    503: "Not available now",
}

_SECRET = ("csrf", "password", "token", "secret", "code", "key", "credential")


def error_page(request: HttpRequest, error: QCloudError) -> HttpResponse:
    """The error's sentence, its code and the request's id, inside the account's frame."""
    context = {
        "title": _TITLES.get(error.http_status, "Something went wrong"),
        "message": error.message,
        "code": error.code,
        "status": error.http_status,
        "draft": _draft(request),
    }
    return render(request, "pages/error.html", context, status=error.http_status)


def _draft(request: HttpRequest) -> list[tuple[str, str]]:
    """What was typed into a form that was refused, for the person to copy; no secrets."""
    if request.method != "POST":
        return []
    return [
        (name, value)
        for name, values in request.POST.lists()
        if not any(word in name.lower() for word in _SECRET)
        for value in values
        if value.strip()
    ][:50]


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """What Django itself could not read: too many fields, too long, another host's name."""
    del exception
    return error_page(
        request,
        QCloudError(
            "portal.request_unreadable",
            400,
            "The address or the form is too long, damaged, or meant for another host."
            " Nothing was changed. Go back and try again.",
        ),
    )


def not_allowed(request: HttpRequest) -> HttpResponse:
    return error_page(
        request,
        QCloudError(
            "portal.method_not_allowed",
            405,
            "This address does not take a request of this kind. Nothing was changed."
            " The menu leads to all pages there are.",
        ),
    )


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    del exception
    return error_page(
        request, NotFound("There is no page at this address. The menu leads to all there are.")
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """Also for what a template raised: it uses as little as it can."""
    error = QCloudError(
        "portal.defect",
        500,
        "The platform met a fault of its own. Nothing was changed. Try again; if it stays,"
        " give the operator the request id.",
    )
    return error_page(request, error)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    del reason
    return error_page(
        request,
        Denied(
            "This form has expired, or another site sent it. Nothing was changed."
            " Go back, reload the page and send it again.",
            code="portal.form_expired",
        ),
    )
