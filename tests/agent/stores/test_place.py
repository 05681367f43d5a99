from __future__ import annotations

import pytest

from agent.stores.base import StoreError
from agent.stores.s3.answers import Answer
from agent.stores.s3.place import redirected
from wire.s3.place import Place, place_of


def place(endpoint: str = "s3.amazonaws.com", bucket: str = "shop", **over: object) -> Place:
    known = {"region": "", "addressing": "auto", "insecure": False} | over
    return place_of(endpoint, bucket, **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "address", "region"),
    [
        (place(), "https://shop.s3.amazonaws.com/", "us-east-1"),
        (place("s3.eu-central-1.amazonaws.com"),
         "https://shop.s3.eu-central-1.amazonaws.com/", "eu-central-1"),
        (place("s3-us-west-2.amazonaws.com"),
         "https://shop.s3-us-west-2.amazonaws.com/", "us-west-2"),
        (place("s3.dualstack.us-gov-west-1.amazonaws.com"),
         "https://shop.s3.dualstack.us-gov-west-1.amazonaws.com/", "us-gov-west-1"),
        (place(region="ap-east-1"), "https://shop.s3.amazonaws.com/", "ap-east-1"),
        (place(bucket="shop.example"), "https://s3.amazonaws.com/shop.example/", "us-east-1"),
        (place(addressing="path"), "https://s3.amazonaws.com/shop/", "us-east-1"),
        (place("minio:9000", insecure=True), "http://minio:9000/shop/", "us-east-1"),
        (place("minio:9000", addressing="virtual"), "https://shop.minio:9000/", "us-east-1"),
        (place("storage.googleapis.com"), "https://storage.googleapis.com/shop/", "us-east-1"),
        (place("s3.amazonaws.com.evil.example"),
         "https://s3.amazonaws.com.evil.example/shop/", "us-east-1"),
    ],
)  # fmt: skip
def test_where_a_bucket_is(found: Place, address: str, region: str) -> None:
    assert str(found) == address
    assert found.region == region


def moved(status: int, body: str = "", **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): text for name, text in headers.items()},
                  body.encode())  # fmt: skip


def test_a_region_in_the_header_moves_an_aws_endpoint() -> None:
    answer = moved(301, x_amz_bucket_region="eu-west-1")
    assert redirected(place(), answer) == Place(
        "https", "s3.eu-west-1.amazonaws.com", "shop", "eu-west-1", virtual=True
    )


def test_a_region_in_a_400_moves_the_signature_alone_elsewhere() -> None:
    answer = moved(400, "<Error><Code>AuthorizationHeaderMalformed</Code>"
                   "<Region>home</Region></Error>")  # fmt: skip
    assert redirected(place("minio:9000"), answer) == Place(
        "https", "minio:9000", "shop", "home", virtual=False
    )


def test_307_is_followed_with_the_bucket_taken_off() -> None:
    answer = moved(307, location="https://shop.s3.eu-west-3.amazonaws.com/abc?x=1")
    assert redirected(place(), answer) == Place(
        "https", "s3.eu-west-3.amazonaws.com", "shop", "eu-west-3", virtual=True
    )


def test_endpoint_in_a_301_is_followed() -> None:
    answer = moved(301, "<Error><Endpoint>shop.s3-eu-west-1.amazonaws.com</Endpoint></Error>")
    found = redirected(place(), answer)
    assert found is not None
    assert (found.endpoint, found.region) == ("s3-eu-west-1.amazonaws.com", "eu-west-1")


@pytest.mark.parametrize(
    "answer",
    [moved(400, "<Error><Code>InvalidRequest</Code></Error>"), moved(403), moved(500),
     moved(301, x_amz_bucket_region="us-east-1")],
)  # fmt: skip
def test_what_says_nothing_new_moves_nothing(answer: Answer) -> None:
    assert redirected(place(), answer) is None


@pytest.mark.parametrize(
    ("endpoint", "location"),
    [
        ("s3.amazonaws.com", "https://shop.s3.amazonaws.com.evil.example/x"),
        ("s3.amazonaws.com", "http://shop.s3.eu-west-1.amazonaws.com/x"),
        ("s3.corp.example", "https://s3.other.example/x"),
        ("s3.example", "https://evil.example/x"),
        ("10.0.0.1:9000", "https://10.0.0.2:9000/x"),
        ("s3.corp.example", "https://user@s3b.corp.example/x"),
    ],
)
def test_payloads_do_not_follow_strangers(endpoint: str, location: str) -> None:
    with pytest.raises(StoreError, match="redirects to") as refused:
        redirected(place(endpoint), moved(307, location=location))
    assert refused.value.reason == "redirect"


def test_a_neighbour_under_the_same_domain_is_followed() -> None:
    found = redirected(
        place("a.s3.corp.example"), moved(307, location="https://b.s3.corp.example/")
    )
    assert found is not None
    assert found.endpoint == "b.s3.corp.example"
