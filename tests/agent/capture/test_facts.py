"""What the kernel tells, made readable."""

from __future__ import annotations

import struct

import pytest

from agent.capture.facts import connection_of, container_in, user_name
from agent.capture.layout import _OPENED, KIND_OPEN, RECORD, pack_address, unpack_opened
from agent.capture.ring import ring_size
from agent.capture.source import Role

ID = "0123456789abcdef" * 4


def opened(**changes: object) -> bytes:
    values: dict[str, object] = {
        "socket": 0xFFFF_8881_0000_0000,
        "tgid": 999_999_999,
        "uid": 0,
        "netns": 4026531840,
        "family": 2,
        "local_port": 40000,
        "remote_port": 443,
        "role": 1,
        "tls": 1,
        "used": 0,
        "local": bytes([10, 0, 0, 1]),
        "remote": bytes([192, 0, 2, 7]),
        "comm": b"curl",
        "cgroup": b"/",
        "path": b"",
    }
    values.update(changes)
    return RECORD.pack(7, 0, 0, 0, KIND_OPEN, 0) + _OPENED.pack(*values.values())


def test_a_connection_from_its_record() -> None:
    path = b"curl\0bin\0usr\0"
    facts = connection_of(5, unpack_opened(opened(path=path, used=len(path))))
    assert (facts.key, facts.pid, facts.role) == (5, 999_999_999, Role.CLIENT)
    assert (facts.local_ip, facts.local_port) == ("10.0.0.1", 40000)
    assert (facts.remote_ip, facts.remote_port) == ("192.0.2.7", 443)
    assert (facts.exe, facts.comm, facts.user) == ("/usr/bin/curl", "curl", "root")
    assert (facts.tls, facts.netns, facts.container_id) == (True, 4026531840, "")


@pytest.mark.parametrize(
    ("packed", "text"),
    [
        (b"\0" * 10 + b"\xff\xff\x7f\0\0\1", "127.0.0.1"),
        (b"\0" * 15 + b"\1", "::1"),
        (b"\x20\x01\x0d\xb8" + b"\0" * 11 + b"\5", "2001:db8::5"),
    ],
)
def test_ipv6(packed: bytes, text: str) -> None:
    assert unpack_opened(opened(family=10, remote=packed)).remote_ip == text


@pytest.mark.parametrize(
    "group",
    [
        ID,
        f"docker-{ID}.scope",
        f"cri-containerd-{ID}.scope",
        f"crio-{ID}",
        f"0::/kubepods/pod1/{ID}\n",
    ],
)
def test_a_container_s_id(group: str) -> None:
    assert container_in(group) == ID


@pytest.mark.parametrize("group", ["", "/", "user.slice", "session-3.scope", ID[:63]])
def test_no_container(group: str) -> None:
    assert container_in(group) == ""


def test_the_innermost_container_counts() -> None:
    inner = "f" * 64
    assert container_in(f"/docker/{ID}/docker/{inner}") == inner


def test_the_container_comes_from_the_kernel_s_record() -> None:
    record = unpack_opened(opened(cgroup=f"docker-{ID}.scope".encode()))
    assert connection_of(1, record).container_id == ID


def test_hostile_names_stay_text() -> None:
    path = b"\xff\xfe<b>\0opt\0"
    record = unpack_opened(opened(comm=b"\xff\xfe\n", path=path, used=len(path)))
    assert record.comm == "\ufffd\ufffd\n"
    assert record.exe == "/opt/\ufffd\ufffd<b>"


def test_a_user_without_a_name_is_a_number() -> None:
    assert user_name(0) == "root"
    assert user_name(3_999_999_999) == "3999999999"


def test_an_excluded_ipv4_address_is_meant_in_both_families() -> None:
    plain, mapped = (struct.unpack("=16sI", key) for key in pack_address("192.0.2.7", 8443))
    assert plain == (bytes([192, 0, 2, 7]) + b"\0" * 12, 8443)
    assert mapped == (b"\0" * 10 + b"\xff\xff" + bytes([192, 0, 2, 7]), 8443)
    assert len(pack_address("2001:db8::5", 1)) == 1
    assert pack_address("::ffff:192.0.2.7", 8443) == pack_address("192.0.2.7", 8443)


@pytest.mark.parametrize(("wanted", "size"), [(1, 4096), (65536, 65536), (65537, 131072)])
def test_a_ring_is_a_power_of_two(wanted: int, size: int) -> None:
    assert ring_size(wanted) == size
