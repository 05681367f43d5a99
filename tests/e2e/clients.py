"""Real clients on a node: curl and Python, over HTTPS and HTTP, each path used once.

``python -m tests.e2e.clients HOST HTTPS_PORT HTTP_PORT CA TAG`` makes all requests of one
node and prints how many it made, as JSON.
"""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Final

SHAPES: Final = ("length", "chunked", "close", "empty", "missing")
HTTPS_BY_CURL: Final = 110
HTTPS_BY_PYTHON: Final = 110
HTTP_BY_CURL: Final = 30
HTTP_BY_PYTHON: Final = 30
_URLS_A_CURL: Final = 11
"""Several addresses on one command line share a kept-alive connection."""


def paths(tag: str, kind: str, count: int) -> Iterator[str]:
    for number in range(count):
        yield f"/smoke/{tag}/{kind}/{SHAPES[number % len(SHAPES)]}/{number:04d}"


def by_curl(base: str, ca: str, wanted: Iterator[str]) -> int:
    made = 0
    while some := list(islice(wanted, _URLS_A_CURL)):
        command = ["curl", "--silent", "--show-error", "--cacert", ca, "--max-time", "20"]
        for path in some:
            command += ["--output", "/dev/null", f"{base}{path}"]
        subprocess.run(command, check=True)
        made += len(some)
    return made


def by_python(connection: http.client.HTTPConnection, wanted: Iterator[str]) -> int:
    """One kept-alive connection, opened again when the server closes it; every third a POST."""
    made = 0
    for path in wanted:
        if made % 3 == 0:
            connection.request("POST", path, body=json.dumps({"number": made}))
        else:
            connection.request("GET", path)
        connection.getresponse().read()
        made += 1
    connection.close()
    return made


def main() -> None:
    host, https_port, http_port, ca, tag = sys.argv[1:]
    context = ssl.create_default_context(cafile=ca)
    secure = http.client.HTTPSConnection(host, int(https_port), context=context, timeout=20)
    plain = http.client.HTTPConnection(host, int(http_port), timeout=20)
    https, http_ = f"https://{host}:{https_port}", f"http://{host}:{http_port}"
    made = {
        "https": by_curl(https, ca, paths(tag, "https-curl", HTTPS_BY_CURL))
        + by_python(secure, paths(tag, "https-python", HTTPS_BY_PYTHON)),
        "http": by_curl(http_, ca, paths(tag, "http-curl", HTTP_BY_CURL))
        + by_python(plain, paths(tag, "http-python", HTTP_BY_PYTHON)),
    }
    sys.stdout.write(json.dumps(made) + "\n")


if __name__ == "__main__":
    main()
