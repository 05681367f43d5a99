"""Whose API a host is."""

from __future__ import annotations

import pytest

from pulse.loader.vendors import _remembered, vendor_of


@pytest.mark.parametrize(
    ("host", "vendor"),
    [
        ("", ""),
        ("api.stripe.com", "Stripe"),
        ("API.Stripe.com.", "Stripe"),
        ("shop.example.com", "example.com"),
        ("a.shop.example.co.uk", "example.co.uk"),
        ("db", "db"),
        ("198.51.100.7", "198.51.100.7"),
        ("[2001:db8::1]", "[2001:db8::1]"),
    ],
)
def test_the_vendor_is_told_by_the_domain(host: str, vendor: str) -> None:
    assert vendor_of(host) == vendor


def test_what_is_too_long_for_a_name_is_not_remembered() -> None:
    before = _remembered.cache_info().currsize
    assert vendor_of("a." * 500 + "example.com") == "example.com"
    assert _remembered.cache_info().currsize == before
