"""The host names that the platform answers to: those of its settings, and the brands'."""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import DisallowedHost
from django.http import Http404, HttpRequest
from django.http.request import split_domain_port
from django.http.response import HttpResponseBase

from identity.brands import brand_hosts
from identity.hosts import site_for_host
from identity.sites import PLATFORM, Site


def host_of(request: HttpRequest) -> str:
    """What ``HttpRequest.get_host`` says, which also knows the brands. Brands are looked up,
    at most once a second, for who comes by no name of the settings. Raises ``DisallowedHost``.
    """
    try:
        return HttpRequest.get_host(request)
    except DisallowedHost:
        written = request.META.get("HTTP_HOST", "")
        if named_host(request) in brand_hosts():
            return str(written)
        raise


def named_host(request: HttpRequest) -> str:
    """Without its port, in lower case; empty where it cannot be read."""
    return split_domain_port(request.META.get("HTTP_HOST", ""))[0]


def site_of(request: HttpRequest) -> Site:
    """Whose address was typed, by the middleware."""
    return getattr(request, "typed_site", PLATFORM)


def refuse_elsewheres(request: HttpRequest, portal: str) -> None:
    """Raises ``Http404`` for the cloud administration under a seller's host name."""
    if portal == "admin" and not site_of(request).has_admin:
        raise Http404("The cloud administration has no page under this host name.")


class BrandHostMiddleware:
    """The first to look at a request's host."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.get_host = lambda: host_of(request)  # type: ignore[method-assign]
        request.typed_site = site_for_host(named_host(request))  # type: ignore[attr-defined]
        return self._get_response(request)
