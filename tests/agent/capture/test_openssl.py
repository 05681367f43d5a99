"""OpenSSL's calls one by one, and libraries that come late."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.capture.elf import ElfFile
from agent.capture.probes import probes_of
from agent.capture.source import Flow, Role
from tests.agent.capture.conftest import Recorder, wait_for_port
from tests.agent.capture.puppet import Puppet

Record = Callable[..., Recorder]
Puppets = Callable[..., Puppet]

_MAPPED = "result = {l.split()[-1] for l in open('/proc/self/maps') if 'libssl' in l}"


def open_tls(client: Puppet, port: int) -> None:
    client.do(f"""
        import ssl
        context = ssl._create_unverified_context()
        s = context.wrap_socket(socket.create_connection(("127.0.0.1", {port})))
    """)


def system_libssl(puppet: Puppets) -> Path:
    one = puppet()
    one.do("import ssl")
    return Path(one.do(_MAPPED).strip("{}'"))


def test_reads_answered_from_openssl_s_buffer(
    record: Record, puppet: Puppets, https_port: int
) -> None:
    client = puppet()
    recorder = record()
    open_tls(client, https_port)
    client.do("""
        s.sendall(b"GET /slow HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
        got = b""
        while part := s.recv(7):
            got += part
        result = len(got)
    """)
    key = recorder.wait_for(b"answer to /slow", Role.CLIENT)
    server = recorder.key_with(b"answer to /slow", Role.SERVER)
    assert recorder.stream(key, Flow.RECEIVED) == recorder.stream(server, Flow.SENT)
    assert len(recorder.chunks) > 10
    assert recorder.lost()["no_socket"] == 0


def test_a_read_that_fails_gives_nothing(record: Record, puppet: Puppets, https_port: int) -> None:
    client = puppet()
    recorder = record()
    open_tls(client, https_port)
    client.do("""
        s.sendall(b"GET /once HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        first = s.recv(1 << 16) + s.recv(1 << 16)
        s.setblocking(False)
        for _ in range(5):
            try:
                s.recv(100)
            except ssl.SSLWantReadError:
                pass
        result = first
    """)
    key = recorder.wait_for(b"answer to /once", Role.CLIENT)
    recorder.read(0.2)
    assert recorder.stream(key, Flow.RECEIVED).count(b"HTTP/1.1 200 OK") == 1


def test_two_connections_of_one_thread_do_not_mix(
    record: Record, puppet: Puppets, https_port: int
) -> None:
    client = puppet()
    recorder = record()
    open_tls(client, https_port)
    client.do("first = s")
    open_tls(client, https_port)
    for name in ("first", "s", "first", "s"):
        client.do(f"""
            {name}.sendall(b"GET /of-{name}. HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
            while b"answer" not in {name}.recv(4096): pass
        """)
    one = recorder.wait_for(b"/of-first.", Role.CLIENT)
    other = recorder.wait_for(b"/of-s.", Role.CLIENT)
    recorder.until(lambda: recorder.stream(other, Flow.RECEIVED).count(b"answer") == 2)
    assert recorder.stream(one, Flow.SENT).count(b"/of-first.") == 2
    assert recorder.stream(other, Flow.SENT).count(b"/of-s.") == 2
    assert b"/of-s." not in recorder.stream(one, Flow.SENT) + recorder.stream(one, Flow.RECEIVED)


def test_openssl_s_own_server_and_client(
    record: Record, spawn: Callable[..., object], pem: Path, free_port: int
) -> None:
    recorder = record()
    spawn(
        *("openssl", "s_server", "-accept", f"127.0.0.1:{free_port}", "-cert", str(pem)),
        *("-key", str(pem), "-www"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for_port(free_port)
    url = f"https://127.0.0.1:{free_port}/status"
    subprocess.run(["curl", "-sk", url], check=True, capture_output=True)
    server = recorder.wait_for(b"GET /status", Role.SERVER)
    assert recorder.facts[server].exe == "/usr/bin/openssl"
    assert recorder.stream(server, Flow.SENT).startswith(b"HTTP/1.0 200 ok\r\n")


_ASYNC = """
import asyncio, ssl
async def one(port, name):
    context = ssl._create_unverified_context()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    for turn in range(5):
        writer.write(f"GET /{name}-{turn}. HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n".encode())
        await reader.readuntil(b"\\r\\n\\r\\n")
        await reader.readexactly(len(f"answer to /{name}-{turn}."))
    writer.close()
async def main(port):
    await asyncio.gather(*(one(port, f"task{number}") for number in range(4)))
"""


def test_a_program_that_moves_the_ciphertext_itself(
    record: Record, puppet: Puppets, https_port: int
) -> None:
    """Python's asyncio: OpenSSL never sees the socket, and connections take turns."""
    client = puppet()
    client.do(_ASYNC)
    recorder = record()
    client.do(f"asyncio.run(main({https_port}))")
    for task in range(4):
        key = recorder.wait_for(b"answer to /task%d-4." % task, Role.CLIENT)
        requests = recorder.stream(key, Flow.SENT).split(b"GET ")[1:]
        assert [request.split()[0] for request in requests] == [
            b"/task%d-%d." % (task, turn) for turn in range(5)
        ]
        server = recorder.key_with(b"/task%d-0." % task, Role.SERVER)
        assert recorder.facts[server].remote_port == recorder.facts[key].local_port
        assert recorder.stream(key, Flow.RECEIVED) == recorder.stream(server, Flow.SENT)
    assert recorder.lost()["no_socket"] == 0


def test_a_large_answer_over_tls(record: Record, https_port: int) -> None:
    recorder = record()
    url = f"https://127.0.0.1:{https_port}/big/700000/tls"
    answer = subprocess.run(["curl", "-sk", url], check=True, capture_output=True).stdout
    key = recorder.wait_for(b"/big/700000/tls", Role.CLIENT)
    recorder.wait_closed(key)
    assert recorder.stream(key, Flow.RECEIVED).endswith(b"\r\n\r\n" + answer)
    server = recorder.key_with(b"/big/700000/tls", Role.SERVER)
    sent = [c.length for c in recorder.chunks if (c.connection, c.flow) == (server, Flow.SENT)]
    assert sum(sent) == len(recorder.stream(key, Flow.RECEIVED))


def test_a_library_first_mapped_while_capturing(
    record: Record, puppet: Puppets, https_port: int, tmp_path: Path
) -> None:
    shutil.copy(system_libssl(puppet), tmp_path / "libssl.so.3")
    recorder = record()
    before = attached(recorder)
    client = puppet(env={"LD_LIBRARY_PATH": str(tmp_path)})
    client.do("import ssl")
    recorder.until(lambda: attached(recorder) == before + 1)
    fetch(client, https_port, "late")
    recorder.wait_for(b"answer to /late", Role.CLIENT)


def test_a_library_file_deleted_before_the_agent_came(
    record: Record, puppet: Puppets, https_port: int, tmp_path: Path
) -> None:
    copy = tmp_path / "libssl.so.3"
    shutil.copy(system_libssl(puppet), copy)
    client = puppet(env={"LD_LIBRARY_PATH": str(tmp_path)})
    client.do("import ssl")
    assert client.do(_MAPPED).strip("{}'") == str(copy)
    copy.unlink()
    recorder = record(fresh=True)
    fetch(client, https_port, "deleted")
    recorder.wait_for(b"answer to /deleted", Role.CLIENT)


def test_debian_s_libssl_is_probed_at_its_cheap_instructions(puppet: Puppets) -> None:
    elf = ElfFile(str(system_libssl(puppet)))
    probes = probes_of(elf)
    codes = [elf.data[probe.offset] for probe in probes[:2]]
    elf.close()
    assert [probe.program for probe in probes] == ["tls_read_ex", "tls_write_ex", "tls_handshake"]
    assert all(code == 0x41 or 0x50 <= code <= 0x57 for code in codes)


def test_a_file_that_is_no_library_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "libssl.so"
    text.write_bytes(b"INPUT(libssl.so.3)" + b" " * 100)
    with pytest.raises(ValueError, match="no 64-bit ELF"):
        ElfFile(str(text))
    empty = tmp_path / "empty.so"
    empty.touch()
    with pytest.raises(ValueError, match="empty"):
        ElfFile(str(empty))


def attached(recorder: Recorder) -> int:
    (openssl,) = (state for state in recorder.source.probes() if state.family == "openssl")
    return openssl.attached


def fetch(client: Puppet, port: int, path: str) -> None:
    open_tls(client, port)
    client.do(f"""
        s.sendall(b"GET /{path} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        while b"answer" not in s.recv(4096): pass
    """)
