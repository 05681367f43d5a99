"""The signer against the worked examples of AWS's own description.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from wire.s3.signing import EMPTY_SHA256, Call, Keys, presigned, sign, target

KEYS = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
HOST = "examplebucket.s3.amazonaws.com"
WHEN = datetime(2013, 5, 24, tzinfo=UTC).timestamp()
WELCOME = b"Welcome to Amazon S3."

EXAMPLES = [
    (
        Call("GET", HOST, "/test.txt", {}, {"range": "bytes=0-9"}, EMPTY_SHA256),
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    (
        Call(
            "PUT", HOST, "/test$file.text", {},
            {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            hashlib.sha256(WELCOME).hexdigest(),
        ),
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    (
        Call("GET", HOST, "/", {"lifecycle": ""}, {}, EMPTY_SHA256),
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    (
        Call("GET", HOST, "/", {"prefix": "J", "max-keys": "2"}, {}, EMPTY_SHA256),
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("call", "signature"), EXAMPLES, ids=["get", "put", "lifecycle", "list"])
def test_the_examples_of_aws(call: Call, signature: str) -> None:
    headers = sign(call, KEYS, "us-east-1", WHEN)
    assert headers["authorization"].endswith(f"Signature={signature}")
    assert headers["x-amz-date"] == "20130524T000000Z"
    assert "x-amz-security-token" not in headers


def test_a_session_token_is_sent_and_signed() -> None:
    call = EXAMPLES[0][0]
    headers = sign(call, KEYS._replace(session_token="token"), "us-east-1", WHEN)
    assert headers["x-amz-security-token"] == "token"
    assert ";x-amz-date;x-amz-security-token," in headers["authorization"]
    assert not headers["authorization"].endswith(EXAMPLES[0][1])


def test_keys_do_not_show_their_secret() -> None:
    assert KEYS.secret_key not in repr(KEYS)
    assert KEYS.secret_key not in f"{KEYS}"


def test_a_target_is_encoded_once_with_its_query_sorted() -> None:
    assert target("/a b/ü~", {"b": "x/y", "a": ""}) == "/a%20b/%C3%BC~?a=&b=x%2Fy"


def test_the_example_of_an_address() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html"""
    call = Call("GET", HOST, "/test.txt", {}, {}, "")
    found = presigned(call, KEYS, "us-east-1", WHEN, expires=86_400)
    assert found == (
        "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
