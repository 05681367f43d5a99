"""What is left out: other namespaces, processes, remote ends."""

from __future__ import annotations

import os
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

from agent.capture.source import Role
from tests.agent.capture.conftest import Recorder
from tests.agent.capture.puppet import Puppet
from tests.agent.capture.test_plain import OK, REQUEST

Record = Callable[..., Recorder]
Puppets = Callable[..., Puppet]


def namespaced(puppet: Puppets) -> Puppet:
    """A puppet in a network namespace of its own, with loopback up."""
    made = puppet("unshare", "--net")
    made.do("import subprocess; subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)")
    return made


def talk_to_oneself(puppet: Puppet, path: bytes) -> None:
    port = puppet.listen()
    puppet.connect(port, "mine")
    puppet.accept("theirs")
    puppet.do(f"mine.sendall({REQUEST % path!r}); theirs.recv(4096); theirs.sendall({OK!r})")
    puppet.do("mine.recv(4096); mine.close(); theirs.close()")


def test_only_the_given_namespace_is_seen(record: Record, puppet: Puppets) -> None:
    inside, outside = namespaced(puppet), namespaced(puppet)
    inode = Path(f"/proc/{inside.pid}/ns/net").stat().st_ino
    assert inode != Path(f"/proc/{outside.pid}/ns/net").stat().st_ino
    recorder = record(netns=inode)
    talk_to_oneself(outside, b"outside")
    talk_to_oneself(inside, b"inside")
    key = recorder.wait_for(b"/inside", Role.CLIENT)
    recorder.read(0.2)

    assert recorder.facts[key].netns == inode
    assert {facts.pid for facts in recorder.facts.values()} == {inside.pid}
    assert recorder.keys_with(b"/outside", Role.CLIENT) == []
    assert recorder.keys_with(b"/outside", Role.SERVER) == []


def test_tls_in_another_namespace_is_not_seen(record: Record, https_port: int) -> None:
    recorder = record(netns=1)
    url = f"https://127.0.0.1:{https_port}/elsewhere"
    subprocess.run(["curl", "-sk", url], check=True, capture_output=True)
    recorder.read(0.3)
    assert recorder.chunks == []


def test_every_namespace_is_seen_by_default(record: Record, puppet: Puppets) -> None:
    inside = namespaced(puppet)
    recorder = record()
    talk_to_oneself(inside, b"inside")
    facts = recorder.facts[recorder.wait_for(b"/inside", Role.SERVER)]
    assert facts.netns == Path(f"/proc/{inside.pid}/ns/net").stat().st_ino


def test_the_agent_does_not_see_itself(record: Record, http_port: int) -> None:
    recorder = record()
    with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/self") as answer:
        assert answer.read() == b"answer to /self"
    recorder.wait_for(b"/self", Role.SERVER)
    recorder.read(0.2)
    assert recorder.keys_with(b"/self", Role.CLIENT) == []
    assert os.getpid() not in {facts.pid for facts in recorder.facts.values()}


def test_a_process_is_left_out_from_now_on_and_let_in_again(
    record: Record, puppet: Puppets
) -> None:
    one = puppet()
    recorder = record()
    recorder.source.exclude_pid(one.pid)
    talk_to_oneself(one, b"hidden")
    recorder.source.include_pid(one.pid)
    talk_to_oneself(one, b"shown")
    recorder.wait_for(b"/shown", Role.CLIENT)
    recorder.read(0.2)
    assert recorder.keys_with(b"/hidden", Role.CLIENT) == []
    assert recorder.keys_with(b"/hidden", Role.SERVER) == []


def test_processes_left_out_by_the_settings(record: Record, https_port: int) -> None:
    """The server's: TLS calls of an excluded process are not even remembered."""
    pid = int(
        subprocess.run(
            ["ss", "-Htlnp", f"sport = :{https_port}"], check=True, capture_output=True, text=True
        )
        .stdout.split("pid=")[1]
        .split(",")[0]
    )
    recorder = record(excluded_pids=frozenset({pid}))
    url = f"https://127.0.0.1:{https_port}/half"
    subprocess.run(["curl", "-sk", url], check=True, capture_output=True)
    recorder.wait_for(b"answer to /half", Role.CLIENT)
    recorder.read(0.2)
    assert recorder.keys_with(b"/half", Role.SERVER) == []


def test_an_endpoint_is_left_out_at_both_ends(record: Record, puppet: Puppets) -> None:
    client, server = puppet(), puppet()
    port = server.listen()
    recorder = record(excluded_endpoints=frozenset({("127.0.0.1", port)}))
    client.connect(port)
    server.accept()
    client.do(f"s.sendall({REQUEST % b'platform'!r})")
    server.do("s.recv(4096)")
    talk_to_oneself(client, b"shown")
    recorder.wait_for(b"/shown", Role.SERVER)
    recorder.read(0.2)
    assert recorder.keys_at(port) == set()
    assert recorder.key_with(b"/shown", Role.CLIENT)


def test_plain_http_can_be_switched_off(record: Record, http_port: int, https_port: int) -> None:
    recorder = record(plain_http=False)
    for url in (f"http://127.0.0.1:{http_port}/bare", f"https://127.0.0.1:{https_port}/dressed"):
        subprocess.run(["curl", "-sk", url], check=True, capture_output=True)
    recorder.wait_for(b"answer to /dressed", Role.CLIENT)
    recorder.read(0.2)
    assert all(facts.tls for facts in recorder.facts.values())
    states = {state.family: state for state in recorder.source.probes()}
    assert not states["socket"].active
    assert states["openssl"].active
