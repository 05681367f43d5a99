"""Handshakes with real servers, good ones and strange ones."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.certificates.handshake import HandshakeError, shown_by
from agent.certificates.leaf import LeafError, read_leaf
from tests.agent.certificates.servers import Authority, Heard, listening, tls_server

LOCAL = "127.0.0.1"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_the_certificate_of_the_name_that_was_asked_for_and_no_byte_is_sent(
    authority: Authority,
) -> None:
    other, _ = authority.issue("other.example.com")
    file, made = authority.issue("api.example.com", "www.example.com", "127.0.0.1", days=12)
    with tls_server(other, api_example_com=file) as heard:
        shown = shown_by(
            LOCAL, heard.port, "api.example.com", seconds=5, roots=str(authority.roots)
        )
    leaf = read_leaf(shown.der)
    assert heard.names == ["api.example.com"]
    assert heard.sent == [b""]
    assert (shown.problem, shown.tls_version) == ("", "TLSv1.3")
    assert leaf.names == ("api.example.com", "www.example.com", "127.0.0.1")
    assert (leaf.subject, leaf.issuer) == ("api.example.com", "CN=Test CA")
    assert leaf.serial == f"{made.serial_number:x}"
    assert leaf.not_after == int(made.not_valid_after_utc.timestamp())
    assert leaf.not_before == int(made.not_valid_before_utc.timestamp())
    assert leaf.covers("www.example.com")
    assert not leaf.covers("example.com")


@pytest.mark.parametrize(
    ("name", "days", "trusted", "words"),
    [
        ("api.example.com", -1, True, "expired"),
        ("api.example.com", 90, False, "issuer"),
        ("else.example.com", 90, True, "mismatch"),
        ("", 90, True, "mismatch"),
    ],
)
def test_what_is_not_trusted_is_read_all_the_same(
    authority: Authority,
    name: str,
    days: float,
    trusted: bool,  # noqa: FBT001
    words: str,
) -> None:
    file, made = authority.issue("api.example.com", days=days)
    roots = str(authority.roots) if trusted else None
    with tls_server(file) as heard:
        shown = shown_by(LOCAL, heard.port, name, seconds=5, roots=roots)
    assert words in shown.problem
    assert read_leaf(shown.der).not_after == int(made.not_valid_after_utc.timestamp())
    assert heard.connections == 2
    assert set(heard.sent) <= {b""}


def plain(peer: socket.socket, heard: Heard) -> None:
    del heard
    peer.recv(1_000)
    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def silent(peer: socket.socket, heard: Heard) -> None:
    del heard
    while peer.recv(1_000):
        """Until the other end leaves."""


def dripping(peer: socket.socket, heard: Heard) -> None:
    """A record of 16 kB, a byte at a time: each read ends well, the handshake never."""
    del heard
    try:
        peer.sendall(b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb")
        while True:
            peer.sendall(b"\x03")
            time.sleep(0.02)
    except OSError:
        return


def closing(peer: socket.socket, heard: Heard) -> None:
    del heard
    peer.recv(1_000)


@pytest.mark.parametrize(
    ("serve", "reason"),
    [(plain, "not-tls"), (silent, "timeout"), (dripping, "timeout"), (closing, "not-tls")],
)
def test_servers_that_show_nothing(
    serve: Callable[[socket.socket, Heard], None], reason: str
) -> None:
    began = time.monotonic()
    with listening(serve) as heard, pytest.raises(HandshakeError) as raised:
        shown_by(LOCAL, heard.port, "api.example.com", seconds=0.5)
    assert raised.value.reason == reason
    assert time.monotonic() - began < 3


def test_a_port_that_nobody_listens_on() -> None:
    with socket.create_server((LOCAL, 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(HandshakeError) as raised:
        shown_by(LOCAL, port, "api.example.com", seconds=2)
    assert raised.value.reason == "unreachable"


def test_what_is_no_certificate_is_said_to_be_none() -> None:
    for der in (b"", b"\x30\x03\x02\x01\x01", b"\x30\x84\xff\xff\xff\xff" + b"x" * 100):
        with pytest.raises(LeafError):
            read_leaf(der)


def test_a_certificate_with_very_many_names_is_cut(authority: Authority) -> None:
    _, made = authority.issue(*(f"{'n' * 40}{number}.example.com" for number in range(2_000)))
    from cryptography.hazmat.primitives.serialization import Encoding

    leaf = read_leaf(made.public_bytes(Encoding.DER))
    assert 50 < len(leaf.names) <= 100
    assert len("\n".join(leaf.names).encode()) <= 4_096
