"""``rules_ten``: ten typical rules on one exchange, in microseconds.

The rules are what operators write: hosts, paths, statuses, a header, a network, a macro.
Every exchange of the corpus is asked all ten. The baseline is the same ten as Python lambdas
over the same fields, compiled patterns and networks made beforehand. The two take turns, and
agree on every exchange before anything is measured. Processor time of the thread.
"""

from __future__ import annotations

import ipaddress
import random
import re
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from agent.link.exchange import Exchange
from agent.plugins.subject import Subject, resolve
from agent.who import NOBODY
from bench.result import Result
from wire.events import Direction, RequestEvent
from wire.rules import compile_rule

EXCHANGES: Final = 2_000
ROUNDS: Final = 15
MACROS: Final = {"internal": "dst.ip in 10.0.0.0/8 or http.req.host matches /\\.internal$/"}
RULES: Final = (
    'http.req.host == "api.stripe.com"',
    "http.res.status >= 500",
    'http.req.method == "POST" && http.req.path contains "/checkout"',
    "http.res.status >= 400 and http.res.status < 500",
    'starts_with(http.req.path, "/v1/")',
    "http.req.path matches /^\\/products\\/[0-9]+$/",
    'src.process.binary in ["curl", "wget", "python3.11"]',
    "internal() and http.res.status != 200",
    'http.req.headers.x-debug == "1"',
    'not (http.req.host contains ".internal" or direction == "ingress")',
)
_PRODUCTS: Final = re.compile(r"^/products/[0-9]+$")
_INTERNAL: Final = re.compile(r"\.internal$")
_TEN: Final = ipaddress.ip_network("10.0.0.0/8")
_TOOLS: Final = {"curl", "wget", "python3.11"}
_HOSTS: Final = ("api.stripe.com", "shop.example", "inventory.internal", "api.github.com")

Plain = Callable[[Subject], bool]


def _internal(it: Subject) -> bool:
    event = it.event
    inside = ipaddress.ip_address(event.destination_ip) in _TEN
    return inside or _INTERNAL.search(event.host) is not None


LAMBDAS: Final[tuple[Plain, ...]] = (
    lambda it: it.event.host == "api.stripe.com",
    lambda it: it.event.status >= 500,
    lambda it: it.event.method == "POST" and "/checkout" in it.event.path,
    lambda it: 400 <= it.event.status < 500,
    lambda it: it.event.path.startswith("/v1/"),
    lambda it: _PRODUCTS.search(it.event.path) is not None,
    lambda it: it.event.exe.rpartition("/")[2] in _TOOLS,
    lambda it: _internal(it) and it.event.status != 200,
    lambda it: it.request_headers.get("x-debug") == "1",
    lambda it: not (".internal" in it.event.host or it.event.direction.value == "ingress"),
)


def run() -> Iterable[Result]:
    """One result: microseconds of all ten rules an exchange; ``n`` counts rounds."""
    rules = [compile_rule(text, resolve, MACROS).evaluate for text in RULES]
    _agree(rules)
    ours, plain = [], []
    for _ in range(ROUNDS):
        ours.append(_time(rules, subjects()))
        plain.append(_time(LAMBDAS, subjects()))
    value, baseline = statistics.median(ours), statistics.median(plain)
    yield Result("rules_ten", value, "us/exchange", baseline, value / baseline, ROUNDS)


def subjects() -> list[Subject]:
    """The corpus, made anew: what a subject remembers must not be paid for once only."""
    dice = random.Random(7)
    return [_subject(dice) for _ in range(EXCHANGES)]


def _subject(dice: random.Random) -> Subject:
    path = dice.choice(("/", "/checkout", "/v1/charges", f"/products/{dice.randrange(500)}"))
    event = RequestEvent(
        timestamp=datetime.now(UTC),
        request_id=UUID(int=1),
        connection_id=UUID(int=2),
        direction=dice.choice(tuple(Direction)),
        scheme="https",
        method=dice.choice(("GET", "GET", "POST")),
        path=path,
        host=dice.choice(_HOSTS),
        status=dice.choice((200, 200, 200, 404, 503)),
        destination_ip=dice.choice(("10.1.2.3", "140.82.121.6")),
        exe=dice.choice(("/usr/bin/curl", "/usr/bin/node")),
    )
    exchange = Exchange()
    exchange.request_head = b"GET / HTTP/1.1\r\nHost: shop.example\r\nAccept: */*\r\n\r\n"
    return Subject(event, exchange, NOBODY, {})


def _agree(rules: Sequence[Callable[[Subject], object]]) -> None:
    for subject in subjects():
        passed = [rule(subject) is True for rule in rules]
        if passed != [bool(plain(subject)) for plain in LAMBDAS]:
            raise AssertionError(f"the rules and the lambdas differ on {subject.event}")


def _time(rules: Iterable[Callable[[Subject], object]], corpus: list[Subject]) -> float:
    tests = list(rules)
    began = time.thread_time()
    for subject in corpus:
        for test in tests:
            test(subject)
    return (time.thread_time() - began) / len(corpus) * 1e6
