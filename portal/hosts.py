"""The host names that the platform answers to: those of its settings, and the brands'."""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.http.request import split_domain_port
from django.http.response import HttpResponseBase

from identity.brands import brand_hosts, seller_at
from identity.selectors import AccountInfo


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


def is_elsewhere(request: HttpRequest, account: AccountInfo) -> bool:
    """Whether the host name is a reseller's and the account is not below that reseller."""
    seller = seller_at(named_host(request))
    return seller is not None and not account.path.startswith(seller)


class BrandHostMiddleware:
    """The first to look at a request's host."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.get_host = lambda: host_of(request)  # type: ignore[method-assign]
        return self._get_response(request)
