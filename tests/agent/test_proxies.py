"""Through a proxy, to S3 and to the platform."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from agent.config.source import SourceError, UrlSource
from agent.counters import Counters
from agent.proxies import Proxies, ProxyError
from agent.stores.base import StoreError
from agent.stores.s3.store import S3Store
from agent.uplink.client import Client, EndpointError, UnreachableError
from tests.agent.platform_server import Platform
from tests.agent.proxy import PASSWORD, USER, SmallProxy, small_proxy
from tests.agent.stores.gateway import BUCKET, REGION, ROOT, Gateway
from tests.agent.test_uplink import Node
from tests.e2e.certificates import write_certificate
from wire.config import Credential
from wire.config import ObjectStore as ObjectStoreConfig
from wire.objects import object_digest

DATA = b'{"request":{"method":"GET"}}'
DIGEST = object_digest(DATA)
STORE = "store.example:7443"
PLAIN_STORE = "plain.example:7480"

# -- which way -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "way"),
    [
        ("https://s3.example/", "http://secure.proxy:3128"),
        ("http://s3.example/", "http://plain.proxy:80"),
        ("https://localhost/", ""), ("https://127.0.0.1:9/", ""), ("http://[::1]:9/", ""),
        ("http://169.254.169.254/latest/api/token", ""), ("http://[fd00:ec2::254]/latest", ""),
        ("http://169.254.170.2/v2/credentials", ""),
        ("https://corp.example/", ""), ("https://s3.corp.example/", ""),
        ("https://notcorp.example/", "http://secure.proxy:3128"),
        ("https://a.dotted.example/", ""), ("https://dotted.example/", ""),
        ("https://b.starred.example/", ""),
        ("https://ported.example:8443/", ""), ("https://ported.example/", "http://secure.proxy:3128"),
        ("https://10.1.2.3/", ""), ("https://10.9.2.3/", "http://secure.proxy:3128"),
        ("https://192.0.2.7/", ""), ("https://192.0.2.8/", "http://secure.proxy:3128"),
        ("https://[2001:db8::5]/", ""), ("https://[2001:db9::5]/", "http://secure.proxy:3128"),
        ("https://CORP.example./", ""),
    ],
)  # fmt: skip
def test_ways(url: str, way: str) -> None:
    proxies = Proxies({
        "HTTPS_PROXY": "http://secure.proxy:3128", "http_proxy": "plain.proxy",
        "NO_PROXY": "corp.example, .dotted.example,*.starred.example ported.example:8443,"
                    "10.1.0.0/16,192.0.2.7,2001:db8::/32",
    })  # fmt: skip
    found = proxies.way(url)
    assert (found.url if found is not None else "") == way


def test_no_proxy_at_all() -> None:
    assert Proxies({}).way("https://s3.example/") is None
    everything = {"ALL_PROXY": "http://p:1", "no_proxy": "*"}
    assert Proxies(everything).way("https://s3.example/") is None
    for_all = Proxies({"all_proxy": "https://p"}).way("http://s3.example/")
    assert for_all is not None
    assert for_all.url == "https://p:443"


@pytest.mark.parametrize(
    "address", ["socks5://p:1080", "http://", "http://p:x", "http://u:hidden@"]
)
def test_an_address_that_is_none_is_named_without_its_password(address: str) -> None:
    with pytest.raises(ProxyError, match="HTTPS_PROXY is no proxy's address") as error:
        Proxies({"HTTPS_PROXY": address})
    assert "hidden" not in str(error.value)


def test_who_needs_one_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"HTTPS_PROXY": "socks5://p"}
    with pytest.raises(EndpointError, match="HTTPS_PROXY"):
        Client("https://platform.example", environment=wrong)
    with pytest.raises(StoreError, match="HTTPS_PROXY"):
        store("s3.example", wrong)
    monkeypatch.setenv("HTTPS_PROXY", "socks5://p")
    with pytest.raises(SourceError, match="HTTPS_PROXY"):
        UrlSource("https://git.example/qtap.yaml")


# -- to S3 -----------------------------------------------------------------------------


def store(endpoint: str, environment: dict[str, str], ca_file: str = "", *,
          insecure: bool = False, patience: float = 0.0) -> S3Store:  # fmt: skip
    config = ObjectStoreConfig(
        type="s3", endpoint=endpoint, bucket=BUCKET, region=REGION, insecure=insecure,
        ca_file=ca_file, access_key=Credential(type="text", value=ROOT.access_key),
        secret_key=Credential(type="text", value=ROOT.secret_key),
    )  # fmt: skip
    return S3Store(config, environment, Counters(), patience=patience)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Path]]:
    folder = tmp_path_factory.mktemp("secure")
    certificate, key = write_certificate(folder, ["store.example"], ["127.0.0.1"])
    options = ("--cert", str(certificate), "--key", str(key))
    server = Gateway(folder / "tls", folder / "files", *options)
    server.wait()
    (server.files / BUCKET).mkdir()
    yield server, certificate
    server.close()


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Gateway]:
    server = Gateway(tmp_path / "plain", tmp_path / "plain-files")
    server.wait()
    (server.files / BUCKET).mkdir()
    yield server
    server.close()


def named(proxy: SmallProxy, scheme: str, *, password: str = PASSWORD) -> dict[str, str]:
    return {f"{scheme}_PROXY": f"http://{USER}:{quote(password, safe='')}@127.0.0.1:{proxy.port}"}


def test_objects_go_through_a_tunnel(secure: tuple[Gateway, Path]) -> None:
    server, certificate = secure
    with small_proxy({STORE: server.port}) as proxy:
        opened = store(STORE, named(proxy, "HTTPS"), str(certificate))
        for _ in range(3):
            opened.put(DIGEST, DATA)
        assert opened.get(DIGEST) == DATA
        opened.close()
        assert {line.rpartition(" ")[0] for line in proxy.asked} == {f"CONNECT {STORE}"}
        assert b"AWS4-HMAC" not in b"".join(proxy.seen)
    assert (server.files / BUCKET / DIGEST).read_bytes() == DATA


def test_a_tunnel_does_not_weaken_tls(secure: tuple[Gateway, Path]) -> None:
    server, _ = secure
    with small_proxy({STORE: server.port}) as proxy:
        opened = store(STORE, named(proxy, "HTTPS"))
        with pytest.raises(StoreError, match="certificate verify failed") as error:
            opened.put(DIGEST, DATA)
    assert error.value.reason == "unreachable"


def test_objects_in_the_clear_are_forwarded(plain: Gateway) -> None:
    with small_proxy({PLAIN_STORE: plain.port}) as proxy:
        opened = store(PLAIN_STORE, named(proxy, "HTTP"), insecure=True)
        opened.put(DIGEST, DATA)
        opened.close()
        assert [line.split(" ")[:2] for line in proxy.asked] == [
            ["PUT", f"http://{PLAIN_STORE}/{BUCKET}/{DIGEST}"]]  # fmt: skip
        assert proxy.seen[0].lower().count(b"\r\nhost:") == 1
    assert (plain.files / BUCKET / DIGEST).read_bytes() == DATA


@pytest.mark.parametrize("scheme", ["HTTPS", "HTTP"])
def test_a_password_that_is_wrong(
    secure: tuple[Gateway, Path], scheme: str, plain: Gateway
) -> None:
    server, certificate = secure
    insecure = scheme == "HTTP"
    address = PLAIN_STORE if insecure else STORE
    with small_proxy({STORE: server.port, PLAIN_STORE: plain.port}) as proxy:
        environment = named(proxy, scheme, password="wrong-one")
        opened = store(address, environment, str(certificate) if not insecure else "",
                       insecure=insecure)  # fmt: skip
        with pytest.raises(StoreError) as error:
            opened.put(object_digest(b"x"), b"x")
    assert error.value.reason == "proxy"
    assert "wants a user and a password" in str(error.value)
    assert "wrong-one" not in str(error.value)


def test_a_proxy_that_is_away_is_named(secure: tuple[Gateway, Path]) -> None:
    server, certificate = secure
    with small_proxy({STORE: server.port}) as proxy:
        environment = named(proxy, "HTTPS")
        port = proxy.port
    with pytest.raises(StoreError) as error:
        store(STORE, environment, str(certificate)).put(DIGEST, DATA)
    assert error.value.reason == "unreachable"
    assert f"through the proxy http://127.0.0.1:{port}" in str(error.value)


# -- to the platform -------------------------------------------------------------------


def test_events_go_through_the_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Platform() as platform:
        port = int(platform.url.rpartition(":")[2])
        with small_proxy({"platform.example:8080": port}) as proxy:
            for name, value in named(proxy, "HTTP").items():
                monkeypatch.setenv(name, value)
            node = Node(platform, tmp_path / "node")
            client = Client("http://platform.example:8080", allow_insecure=True, read_seconds=5)
            node.session.client = client
            node.spool_events(1, 2)
            node.start()
            node.delivered()
            node.stop()
            client.close()
            paths = {line.split(" ")[1] for line in proxy.asked}
        assert len(platform.events) == 2
    base = "http://platform.example:8080/agent/v1"
    assert paths >= {f"{base}/register", f"{base}/events"}
    assert not any(b"roxy-" in one for one in platform.received), "the password is the proxy's"


def test_the_platform_in_a_tunnel(secure: tuple[Gateway, Path]) -> None:
    server, certificate = secure
    with small_proxy({STORE: server.port}) as proxy:
        good = Client(f"https://{STORE}", ca_file=certificate, environment=named(proxy, "HTTPS"))
        assert good.call("GET", "/", token="agent-token").status >= 400
        wrong = Client(f"https://{STORE}", ca_file=certificate,
                       environment=named(proxy, "HTTPS", password="no"))  # fmt: skip
        with pytest.raises(UnreachableError, match=r"through the proxy .* 407"):
            wrong.call("GET", "/", token="agent-token")
        good.close()
        wrong.close()
        assert b"agent-token" not in b"".join(proxy.seen)
        assert [line.rpartition(" ")[0] for line in proxy.asked] == [f"CONNECT {STORE}"] * 2


def test_exceptions_go_straight(plain: Gateway) -> None:
    with small_proxy({}) as proxy:
        environment = named(proxy, "HTTP")
        store(plain.endpoint, environment, insecure=True).put(DIGEST, DATA)
        assert proxy.asked == []
    assert (plain.files / BUCKET / DIGEST).exists()


# -- the configuration -----------------------------------------------------------------


def test_a_configuration_comes_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.agent.stores.between import Passing, between

    with between() as git:
        git.request = lambda _: Passing("", "", {}, b"version: 2\n", 200)
        with small_proxy({"git.example": git.port}, open_to_all=True) as proxy:
            monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.port}")
            assert UrlSource("http://git.example/qtap.yaml").read() == b"version: 2\n"
