"""HTTP on bare TCP sockets, system call by system call."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from agent.capture.source import Chunk, Flow, Kind, Role
from tests.agent.capture.conftest import Recorder
from tests.agent.capture.puppet import PYTHON, Puppet

Record = Callable[..., Recorder]
Pair = tuple[Puppet, Puppet]

REQUEST = b"GET /%s HTTP/1.1\r\nHost: plain\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def data(recorder: Recorder, key: int, flow: Flow) -> list[Chunk]:
    wanted = (key, flow, Kind.DATA)
    return [c for c in recorder.chunks if (c.connection, c.flow, c.kind) == wanted]


def test_curl_over_plain_http(record: Record, http_port: int) -> None:
    recorder = record()
    url = f"http://127.0.0.1:{http_port}/plain"
    answer = subprocess.run(["curl", "-s", url], check=True, capture_output=True).stdout
    client = recorder.wait_for(b"answer to /plain", Role.CLIENT)
    server = recorder.wait_for(b"answer to /plain", Role.SERVER)
    recorder.wait_closed(client)
    recorder.wait_closed(server)

    facts = recorder.facts[client]
    assert (facts.exe, facts.tls, facts.remote_port) == ("/usr/bin/curl", False, http_port)
    assert recorder.stream(client, Flow.SENT).startswith(b"GET /plain HTTP/1.1\r\n")
    assert recorder.stream(client, Flow.RECEIVED).endswith(b"\r\n\r\n" + answer)
    assert recorder.stream(server, Flow.SENT) == recorder.stream(client, Flow.RECEIVED)
    assert recorder.keys_at(http_port) == {client, server}


def test_every_pair_of_calls(record: Record, pair: Pair) -> None:
    client, server = pair
    recorder = record()
    calls = {
        "read": ("os.write(s.fileno(), m)", "os.read(s.fileno(), 4096)"),
        "recvfrom": ("s.sendto(m, ('127.0.0.1', 0))", "s.recvfrom(4096)"),
        "recvmsg": ("s.sendmsg([m[:9], m[9:]])", "s.recvmsg(4096)"),
        "readv": ("os.writev(s.fileno(), [m[:3], b'', m[3:20], m[20:]])",
                  "os.readv(s.fileno(), [bytearray(10), bytearray(4096)])"),
    }  # fmt: skip
    for name, (send, receive) in calls.items():
        client.do(f"m = {REQUEST % name.encode()!r}; {send}")
        server.do(receive)
        server.do(f"m = {OK!r}; {send}")
        client.do(receive)
    mine = recorder.wait_for(REQUEST % b"readv", Role.CLIENT)
    theirs = recorder.wait_for(REQUEST % b"readv", Role.SERVER)
    recorder.read(0.2)

    requests = b"".join(REQUEST % name.encode() for name in calls)
    assert recorder.stream(mine, Flow.SENT) == requests
    assert recorder.stream(theirs, Flow.RECEIVED) == requests
    assert recorder.stream(mine, Flow.RECEIVED) == OK * len(calls)
    assert recorder.stream(theirs, Flow.SENT) == OK * len(calls)


def test_peeking_counts_once(record: Record, pair: Pair) -> None:
    client, server = pair
    recorder = record()
    client.do(f"s.sendall({REQUEST % b'peek'!r})")
    server.do("s.recv(4096, socket.MSG_PEEK); s.recvmsg(4096, 0, socket.MSG_PEEK); s.recv(4096)")
    key = recorder.wait_for(b"/peek", Role.SERVER)
    recorder.read(0.2)
    assert [chunk.data for chunk in data(recorder, key, Flow.RECEIVED)] == [REQUEST % b"peek"]


def test_a_large_write_is_cut_at_the_limit_and_counted_whole(record: Record, pair: Pair) -> None:
    client, server = pair
    recorder = record(call_limit=40_000)
    server.drain()
    head = b"POST /large HTTP/1.1\r\nContent-Length: 300000\r\n\r\n"
    client.do(f"s.sendall({head!r} + b'y' * 300_000); s.shutdown(socket.SHUT_WR)")
    key = recorder.wait_for(b"/large", Role.CLIENT)
    recorder.read(0.3)

    chunks = data(recorder, key, Flow.SENT)
    assert sum(chunk.length for chunk in chunks) == len(head) + 300_000
    assert chunks[0].data == head + b"y" * (16384 - len(head))
    assert chunks[0].length == len(chunks[0].data)
    first_call = [chunk for chunk in chunks if chunk.monotonic_ns == chunks[0].monotonic_ns]
    assert [len(chunk.data) for chunk in first_call] == [16384, 16384, 40_000 - 2 * 16384]
    assert first_call[-1].length > len(first_call[-1].data)


def test_a_small_limit_keeps_heads_and_drops_bodies(record: Record, http_port: int) -> None:
    recorder = record(call_limit=512)
    url = f"http://127.0.0.1:{http_port}/big/50000/x"
    answer = subprocess.run(["curl", "-s", url], check=True, capture_output=True).stdout
    key = recorder.wait_for(b"/big/50000", Role.CLIENT)
    recorder.wait_closed(key)
    chunks = data(recorder, key, Flow.RECEIVED)
    assert sum(chunk.length for chunk in chunks) > len(answer)
    assert all(len(chunk.data) <= 512 for chunk in chunks)
    assert chunks[0].data.startswith(b"HTTP/1.1 200 OK\r\n")


def test_sendfile_counts_without_bytes(record: Record, pair: Pair) -> None:
    client, server = pair
    recorder = record()
    client.do(f"s.sendall({REQUEST % b'file'!r})")
    server.do("""
        s.recv(4096)
        s.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 5000\\r\\n\\r\\n")
        source = os.memfd_create("body")
        os.write(source, b"z" * 5000)
        os.sendfile(s.fileno(), source, 0, 5000)
    """)
    key = recorder.wait_for(b"/file", Role.SERVER)
    recorder.until(lambda: len(data(recorder, key, Flow.SENT)) == 2)
    body = data(recorder, key, Flow.SENT)[1]
    assert (body.length, body.data) == (5000, b"")


def test_what_is_not_http_costs_no_chunk(record: Record, pair: Pair) -> None:
    client, server = pair
    recorder = record()
    for _ in range(20):
        client.do("s.sendall(b'*1\\r\\n$4\\r\\nPING\\r\\n'); s.sendall(bytes(range(256)) * 8)")
        server.do("s.recv(65536); s.sendall(b'+PONG\\r\\n')")
        client.do("s.recv(4096)")
    recorder.read(0.3)
    seen = {facts.pid for facts in recorder.facts.values()}
    assert seen.isdisjoint({client.pid, server.pid})
    assert set(recorder.lost().values()) == {0}


def test_descriptor_zero(record: Record, puppet: Callable[..., Puppet]) -> None:
    server = puppet()
    port = server.listen()
    recorder = record()
    code = (
        "import os, socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1])));"
        "os.dup2(s.fileno(), 0); os.write(0, sys.argv[2].encode()); os.read(0, 4096)"
    )
    client = subprocess.Popen([PYTHON, "-c", code, str(port), (REQUEST % b"zero").decode()])
    server.accept()
    server.do(f"s.recv(4096); s.sendall({OK!r})")
    assert client.wait(10) == 0
    key = recorder.wait_for(OK, Role.CLIENT)
    assert recorder.stream(key, Flow.SENT) == REQUEST % b"zero"


def test_ipv4_in_ipv6_clothes_is_written_as_ipv4(
    record: Record, puppet: Callable[..., Puppet]
) -> None:
    client, server = puppet(), puppet()
    port = server.do("""
        listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        result = listener.getsockname()[1]
    """)
    recorder = record()
    client.connect(int(port))
    client.do(f"s.sendall({REQUEST % b'mapped'!r})")
    server.accept()
    server.do("s.recv(4096)")
    facts = recorder.facts[recorder.wait_for(b"/mapped", Role.SERVER)]
    assert (facts.local_ip, facts.local_port, facts.remote_ip) == (
        "127.0.0.1",
        int(port),
        "127.0.0.1",
    )
