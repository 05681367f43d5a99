"""Reads the portal as its users get it: signs in, follows the links, takes the rendered rows."""

from __future__ import annotations

import re
import urllib.parse
import urllib.request
from collections import Counter
from decimal import Decimal
from html.parser import HTMLParser
from http.cookiejar import CookieJar


class _Page(HTMLParser):
    """Text of elements marked ``data-field``, form inputs and links by ``rel``."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fields: list[tuple[str, str]] = []
        self.inputs: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self._open: list[tuple[str, str]] = []
        self._field: str | None = None
        self._depth = 0
        self._text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "input" and values.get("name"):
            self.inputs[values["name"]] = values.get("value", "")
        if tag == "a" and values.get("rel"):
            for relation in values["rel"].split():
                self.links.setdefault(relation, values.get("href", ""))
        if self._field is not None:
            self._depth += tag not in {"br", "img", "input", "hr", "wbr"}
        elif "data-field" in values:
            self._field, self._depth, self._text = values["data-field"], 1, []

    def handle_endtag(self, _tag: str) -> None:
        if self._field is None:
            return
        self._depth -= 1
        if self._depth == 0:
            self.fields.append((self._field, "".join(self._text).strip()))
            self._field = None

    def handle_data(self, data: str) -> None:
        if self._field is not None:
            self._text.append(data)

    def all(self, field: str) -> list[str]:
        return [text for name, text in self.fields if name == field]


class PortalReader:
    """One person's browser, without scripts: every page works by plain GET and POST."""

    def __init__(self, base: str, email: str, password: str) -> None:
        self._base = base
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        form = self.get("/sign-in").inputs
        form |= {"email": email, "password": password}
        self._open("/sign-in", urllib.parse.urlencode(form).encode())

    def get(self, path: str) -> _Page:
        return _Page(self._open(path))

    def request_paths(self, account: str) -> Counter[str]:
        """The paths on all pages of the request list."""
        seen: Counter[str] = Counter()
        path = f"/c/{account}/requests"
        while path:
            page = self.get(path)
            seen.update(page.all("request-path"))
            path = _resolve(path, page.links.get("next", ""))
        return seen

    def usage_requests(self, account: str) -> int:
        (total,) = self.get(f"/c/{account}/usage").all("usage-requests-total")
        return int(re.sub(r"\D", "", total))

    def invoice(self, account: str) -> tuple[int, Decimal]:
        """Lines and total of the first invoice in the list."""
        path = f"/c/{account}/invoices"
        link = self.get(path).links["invoice"]
        page = self.get(_resolve(path, link))
        (total,) = page.all("invoice-total")
        return len(page.all("invoice-line-amount")), Decimal(re.sub(r"[^0-9.]", "", total))

    def _open(self, path: str, body: bytes | None = None) -> str:
        request = urllib.request.Request(  # noqa: S310  always http on loopback
            self._base + path, data=body, headers={"Referer": self._base + path}
        )
        with self._opener.open(request, timeout=30) as response:
            return str(response.read().decode())


def _resolve(path: str, link: str) -> str:
    return urllib.parse.urljoin(path, link) if link else ""
