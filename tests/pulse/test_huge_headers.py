"""Requests whose head never seems to end, at the server that runs the door in production."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest
import urllib3

from qcloud.kernel.ids import new_id
from tests.pulse.lines import event, lines
from tests.pulse.serving import served_door
from wire.protocol import BOOT_HEADER, EVENTS_PATH, SEQUENCE_HEADER

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

TEN_MEGABYTES = 10 * 1024 * 1024
HEADS = {
    "one header of 10 MB": b"X-Long: " + b"a" * TEN_MEGABYTES + b"\r\n",
    "1,000,000 headers": b"X-Many: a\r\n" * 1_000_000,
    "a header without an end": b"X-Long: " + b"a" * TEN_MEGABYTES,
    "a name of 10 MB": b"X" * TEN_MEGABYTES + b": a\r\n",
    "a token of 10 MB": b"Authorization: Bearer " + b"a" * TEN_MEGABYTES + b"\r\n",
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served_door(tmp_path_factory.mktemp("door")) as address:
        yield address


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
def test_it_is_refused_and_others_go_on(url: str, head: bytes) -> None:
    assert status_of(url, head) in {400, 413, 414, 431, None}
    assert good_batch(url) == 200


def status_of(url: str, head: bytes) -> int | None:
    """What is answered; ``None``: the server hung up."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as opened:
        try:
            opened.sendall(f"POST {EVENTS_PATH} HTTP/1.1\r\nHost: x\r\n".encode() + head)
            answer = opened.recv(65_536)
        except (BrokenPipeError, ConnectionResetError):
            return None
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(found[1]) if found else None


def good_batch(url: str) -> int:
    answer = urllib3.PoolManager(retries=False, timeout=20).request(
        "POST",
        url + EVENTS_PATH,
        body=lines(event()),
        headers={
            "Authorization": "Bearer owner",
            BOOT_HEADER: str(new_id()),
            SEQUENCE_HEADER: "1",
        },
    )
    return answer.status


def test_the_path_is_bounded_as_well(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as opened:
        try:
            opened.sendall(b"GET /" + b"a" * TEN_MEGABYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = opened.recv(65_536)
        except (BrokenPipeError, ConnectionResetError):
            answer = b""
    assert not answer or re.match(rb"HTTP/1\.1 4\d\d ", answer)
    assert good_batch(url) == 200
