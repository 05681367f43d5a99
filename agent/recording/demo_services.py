"""Who talks to whom in the demo recording: an invented shop and what it depends on."""

from __future__ import annotations

from typing import Final, NamedTuple


class Call(NamedTuple):
    """One kind of request. ``{id}`` in the path becomes an invented identifier."""

    method: str
    path: str
    status: int = 200
    weight: int = 10
    response_bytes: int = 800
    request_bytes: int = 0


class Service(NamedTuple):
    """A peer as one process uses it. ``latency_ms`` is the median."""

    host: str
    address: str
    port: int
    exe: str
    user: str
    uid: int
    user_agent: str
    latency_ms: float
    weight: int
    calls: tuple[Call, ...]
    credential: str = ""
    """A whole header line; the secrets are invented."""
    server: bool = False
    """The process answers instead of asking."""

    @property
    def tls(self) -> bool:
        return self.port in {443, 8443}


PYTHON: Final = "/usr/bin/python3.11"
NODE: Final = "/usr/bin/node"
NGINX: Final = "/usr/sbin/nginx"
CURL: Final = "/usr/bin/curl"
JAVA: Final = "/usr/lib/jvm/java-17/bin/java"

SERVICES: Final = (
    Service(
        "shop.example", "10.20.0.5", 443, NGINX, "www-data", 33, "Mozilla/5.0 (X11; Linux x86_64)",
        38.0, 34,
        (Call("GET", "/", weight=20, response_bytes=18_000),
         Call("GET", "/products/{id}", weight=30, response_bytes=9_000),
         Call("GET", "/cart", weight=12),
         Call("POST", "/cart/items", 201, 8, 300, 120),
         Call("POST", "/checkout", 201, 4, 500, 700),
         Call("GET", "/products/{id}", 404, 2, 600),
         Call("POST", "/checkout", 500, 1, 200, 700)),
        server=True),
    Service(
        "api.stripe.com", "54.187.174.169", 443, PYTHON, "shop", 1001, "stripe-python/12.1.0",
        210.0, 10,
        (Call("POST", "/v1/payment_intents", 200, 10, 1_900, 240),
         Call("GET", "/v1/customers/{id}", 200, 8, 1_400),
         Call("POST", "/v1/refunds", 200, 2, 900, 90),
         Call("POST", "/v1/payment_intents", 402, 1, 700, 240)),
        "Authorization: Bearer sk_test_inventedForTheDemo4242"),
    Service(
        "api.github.com", "140.82.121.6", 443, CURL, "ci", 1002, "curl/7.88.1", 95.0, 6,
        (Call("GET", "/repos/example/shop/commits", 200, 10, 6_000),
         Call("GET", "/repos/example/shop/pulls/{id}", 200, 6, 4_000),
         Call("POST", "/repos/example/shop/statuses/{id}", 201, 4, 1_200, 180),
         Call("GET", "/repos/example/shop/commits", 403, 1, 300)),
        "Authorization: token ghp_inventedForTheDemo0000"),
    Service(
        "hooks.slack.com", "3.65.102.105", 443, NODE, "bot", 1003, "node-fetch/3.3", 120.0, 3,
        (Call("POST", "/services/T000/B000/{id}", 200, 10, 2, 400),)),
    Service(
        "api.openai.com", "162.159.140.245", 443, PYTHON, "shop", 1001, "OpenAI/Python 1.60.0",
        1_400.0, 4,
        (Call("POST", "/v1/embeddings", 200, 10, 24_000, 900),
         Call("POST", "/v1/chat/completions", 200, 6, 2_400, 3_000),
         Call("POST", "/v1/chat/completions", 429, 1, 300, 3_000)),
        "Authorization: Bearer sk-inventedForTheDemo5555"),
    Service(
        "shop-images.s3.eu-central-1.amazonaws.com", "52.219.170.1", 443, JAVA, "media", 1004,
        "aws-sdk-java/2.30", 60.0, 7,
        (Call("GET", "/products/{id}.jpg", 200, 10, 48_000),
         Call("PUT", "/products/{id}.jpg", 200, 2, 0, 52_000),
         Call("HEAD", "/products/{id}.jpg", 404, 1, 0)),
        "X-Amz-Security-Token: inventedForTheDemo777788889999"),
    Service(
        "api.sendgrid.com", "167.89.115.53", 443, PYTHON, "mailer", 1005, "sendgrid/6.11", 160.0, 3,
        (Call("POST", "/v3/mail/send", 202, 10, 0, 2_100),),
        "Authorization: Bearer SG.inventedForTheDemo3333"),
    Service(
        "maps.googleapis.com", "142.250.185.74", 443, PYTHON, "shop", 1001, "python-requests/2.32",
        80.0, 3,
        (Call("GET", "/maps/api/geocode/json?address=Main+Street&key=invented", 200, 10, 3_000),)),
    Service(
        "auth.internal", "10.20.1.10", 8443, NGINX, "www-data", 33, "nginx/1.22", 6.0, 12,
        (Call("POST", "/oauth/token", 200, 6, 1_100, 200),
         Call("GET", "/userinfo", 200, 10, 500),
         Call("GET", "/userinfo", 401, 1, 90)),
        "X-API-Key: inventedForTheDemo1212"),
    Service(
        "inventory.internal", "10.20.1.11", 8080, PYTHON, "shop", 1001, "python-requests/2.32",
        9.0, 12,
        (Call("GET", "/v2/stock/{id}", 200, 20, 260),
         Call("PATCH", "/v2/stock/{id}", 204, 5, 0, 80),
         Call("GET", "/v2/stock/{id}", 503, 1, 120))),
    Service(
        "search.internal", "10.20.1.12", 9200, JAVA, "search", 1006, "elastic-java/8.17", 22.0, 8,
        (Call("POST", "/products/_search", 200, 20, 12_000, 600),
         Call("POST", "/products/_bulk", 200, 2, 4_000, 30_000))),
    Service(
        "pricing.internal", "10.20.1.13", 8080, NODE, "pricing", 1007, "undici", 14.0, 8,
        (Call("GET", "/prices/{id}?currency=EUR", 200, 20, 180),
         Call("GET", "/prices/{id}?currency=EUR", 504, 1, 60))),
)  # fmt: skip
