"""Servers on loopback with certificates made for the moment."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


def name_of(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


class Authority:
    """A certificate authority of the test's own; ``roots`` is the file that trusts it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = name_of("Test CA")
        builder = self._builder("Test CA", self._key, datetime.now(UTC) + 365 * DAY)
        ca = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        ca = ca.add_extension(
            x509.KeyUsage(*(True, False, False, False, False, True, True, False, False)),
            critical=True,
        )
        self.roots = folder / "roots.pem"
        signed = ca.sign(self._key, hashes.SHA256())
        self.roots.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def issue(self, *names: str, days: float = 90.0) -> tuple[Path, x509.Certificate]:
        """A file with key and certificate, which expires in ``days``."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(names[0], key, datetime.now(UTC) + days * DAY)
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general(one) for one in names]), critical=False
        )
        made = builder.sign(self._key, hashes.SHA256())
        file = self.folder / f"{names[0]}-{made.serial_number:x}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )
        return file, made

    def _builder(
        self, common: str, key: ec.EllipticCurvePrivateKey, until: datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name_of(common))
            .issuer_name(self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(until, datetime.now(UTC)) - 10 * DAY)
            .not_valid_after(until)
        )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@dataclass
class Heard:
    port: int = 0
    names: list[str | None] = field(default_factory=list)
    """SNI of each handshake."""
    sent: list[bytes] = field(default_factory=list)
    """Application data of each connection whose handshake ended well."""
    connections: int = 0


@contextmanager
def listening(serve: Callable[[socket.socket, Heard], None]) -> Iterator[Heard]:
    """``serve`` has each connection, one at a time."""
    heard = Heard()
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        heard.port = server.getsockname()[1]
        server.settimeout(0.05)

        def accept() -> None:
            while not done.is_set():
                try:
                    peer, _ = server.accept()
                except TimeoutError:
                    continue
                with peer:
                    heard.connections += 1
                    peer.settimeout(5)
                    serve(peer, heard)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield heard
        finally:
            done.set()
            thread.join(10)


@contextmanager
def tls_server(default: Path, **by_name: Path) -> Iterator[Heard]:
    """Shows ``default``, and other certificates by SNI (``_`` stands for a dot)."""
    contexts = {name.replace("_", "."): _context(file) for name, file in by_name.items()}
    context = _context(default)

    def serve(peer: socket.socket, heard: Heard) -> None:
        def choose(tls: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: object) -> None:
            heard.names.append(name)
            tls.context = contexts.get(name or "", context)

        context.sni_callback = choose
        try:
            with context.wrap_socket(peer, server_side=True) as tls:
                heard.sent.append(tls.recv(1_000))
        except OSError:
            return

    with listening(serve) as heard:
        yield heard


def _context(file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
