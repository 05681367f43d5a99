"""Search: pages, pasted ids, accounts and agents by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from fleet.selectors import agents, environments
from identity.directory import AccountFilter, accounts_named, accounts_page
from portal.door import page
from portal.here import Here
from qcloud.kernel.permissions import Permission

MOST: Final = 50


@dataclass(frozen=True)
class Hit:
    kind: str
    label: str
    href: str
    note: str = ""


def _hits(here: Here, text: str) -> Iterator[Hit]:
    words = text.casefold().split()

    def matches(*values: str) -> bool:
        return all(any(word in value.casefold() for value in values) for word in words)

    for group, links in here.menu:
        for link in links:
            if matches(f"{group.title} {link.item.label}"):
                yield Hit("Page", link.item.label, link.href, group.title)
    yield from _ids(here, text)
    if here.portal == "c":
        yield from _own(here, matches)
    elif here.may(Permission.IDENTITY_ACCOUNT_READ):
        yield from _accounts(here, text)


def _accounts(here: Here, text: str) -> Iterator[Hit]:
    """By words of the name and the short name, or the one whose id was pasted."""
    for line in accounts_page(here.scope, AccountFilter(text=text), sort="name", limit=MOST).lines:
        yield Hit("Account", line.info.name, here.url("account", line.info.id), line.info.slug)
    try:
        pasted = UUID(text)
    except ValueError:
        return
    for account_id, name in accounts_named(here.scope, [pasted]).items():
        if account_id != here.account.id:
            yield Hit("Account", name, here.url("account", account_id))


def _own(here: Here, matches: Callable[..., bool]) -> Iterator[Hit]:
    if here.may(Permission.FLEET_AGENT_READ):
        for agent in agents(here.scope):
            if matches(agent.name, str(agent.id)):
                yield Hit("Agent", agent.name, here.url("agent", agent.id), agent.version)
    if here.may(Permission.FLEET_ENVIRONMENT_READ):
        for place in environments(here.scope):
            if matches(place.name, place.slug, str(place.id)):
                yield Hit("Environment", place.name, here.url("environment", place.id), place.slug)


def _ids(here: Here, text: str) -> Iterator[Hit]:
    """A pasted id leads to what it may name; the page there says whether it exists."""
    try:
        pasted = UUID(text.strip())
    except ValueError:
        return
    if here.portal == "c" and here.may(Permission.PULSE_REQUEST_READ):
        yield Hit("Request", str(pasted), here.url("request", pasted))
    if here.may(Permission.BILLING_INVOICE_READ):
        yield Hit("Invoice", str(pasted), here.url("invoice", pasted))


@page(Permission.IDENTITY_ACCOUNT_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    text = request.GET.get("q", "").strip()[:200]
    hits = list(islice(_hits(here, text), MOST))
    return render(request, "pages/search.html", {"text": text, "hits": hits})
