"""A family that the kernel refuses; a machine that lacks something."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.capture import build, layout
from agent.capture.errors import CaptureUnavailable
from agent.capture.kernel import KernelSource
from agent.capture.settings import CaptureSettings
from agent.capture.source import Role
from tests.agent.capture.conftest import Recorder

Record = Callable[..., Recorder]

# Reads through a number: no verifier lets that pass.
_REFUSED = """
#include "maps.h"
SEC("%s") int %s(void *ctx) { return *(volatile int *)(bpf_ktime_get_ns()); }
char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture
def refuse(tmp_path: Path) -> Callable[[str, str, str], Path]:
    """``refuse(file, section, program)``: a build folder where that file is unacceptable."""

    def spoil(name: str, section: str, program: str) -> Path:
        target = build.objects(tmp_path)[name]
        source = tmp_path / f"{name}.bpf.c"
        source.write_text(_REFUSED % (section, program))
        command = ["clang", *build._flags(), "-I", str(build.SOURCES), "-c", str(source)]
        subprocess.run([*command, "-o", str(target)], check=True)
        return tmp_path

    return spoil


def families(recorder: Recorder) -> dict[str, bool]:
    return {state.family: state.active for state in recorder.source.probes()}


def reason(recorder: Recorder, family: str) -> str:
    return next(state.reason for state in recorder.source.probes() if state.family == family)


def curl(url: str) -> None:
    subprocess.run(["curl", "-sk", url], check=True, capture_output=True)


def test_all_families_live_here(record: Record) -> None:
    assert families(record()) == {"socket": True, "openssl": True, "lifecycle": True}


def test_without_lifecycle_the_rest_captures(
    record: Record, refuse: Callable[[str, str, str], Path], https_port: int
) -> None:
    folder = refuse("lifecycle", "raw_tp/inet_sock_set_state", "socket_state")
    recorder = record(build_dir=folder)
    assert families(recorder) == {"socket": True, "openssl": True, "lifecycle": False}
    assert "load lifecycle" in reason(recorder, "lifecycle")
    curl(f"https://127.0.0.1:{https_port}/no-end")
    recorder.wait_for(b"answer to /no-end", Role.CLIENT)


def test_without_tls_plain_http_is_captured(
    record: Record, refuse: Callable[[str, str, str], Path], http_port: int
) -> None:
    recorder = record(build_dir=refuse("tls", "uprobe", "tls_read"))
    assert families(recorder) == {"socket": True, "openssl": False, "lifecycle": True}
    curl(f"http://127.0.0.1:{http_port}/bare")
    key = recorder.wait_for(b"answer to /bare", Role.CLIENT)
    recorder.wait_closed(key)


def test_without_sockets_nobody_can_name_a_connection(
    record: Record, refuse: Callable[[str, str, str], Path]
) -> None:
    recorder = record(build_dir=refuse("sockets", "tp_btf/sys_exit", "system_call"))
    assert families(recorder)["socket"] is False
    assert families(recorder)["openssl"] is False
    assert families(recorder)["lifecycle"] is True
    assert "load sockets" in reason(recorder, "openssl")


def test_without_a_compiler_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CaptureUnavailable, match="Install clang") as caught:
        KernelSource.open(CaptureSettings(build_dir=tmp_path))
    assert [finding.what for finding in caught.value.findings] == ["clang"]


_ASK = """
import json
from agent.capture.errors import CaptureUnavailable
from agent.capture.kernel import KernelSource
from agent.capture.settings import CaptureSettings
try:
    KernelSource.open(CaptureSettings())
except CaptureUnavailable as error:
    print(json.dumps([finding.what for finding in error.findings]))
"""


def test_without_privileges_the_doctor_says_so() -> None:
    build.objects()
    bare = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
    answer = subprocess.run(
        [*bare, sys.executable, "-c", _ASK], check=True, capture_output=True, text=True
    )
    assert json.loads(answer.stdout) == ["privileges"]


def test_python_and_c_agree_on_every_structure(tmp_path: Path) -> None:
    sizes = {
        "record": layout.RECORD.size,
        "opened": layout.RECORD.size + layout._OPENED.size,
        "library": layout.RECORD.size + layout._LIBRARY.size,
        "settings": layout._SETTINGS.size,
        "connection_key": layout.CONNECTION_KEY.size,
        "dns_record": layout._DNS.size,
        "dns_key": layout.DNS_KEY.size,
        "library_key": layout.LIBRARY_KEY.size,
        "address_key": layout._ADDRESS_KEY.size,
    }
    source = tmp_path / "sizes.c"
    checks = [f'_Static_assert(sizeof(struct {n}) == {s}, "{n}");' for n, s in sizes.items()]
    source.write_text('#include "capture.h"\n' + "\n".join(checks))
    command = ["clang", *build._flags(), "-I", str(build.SOURCES), "-fsyntax-only", str(source)]
    subprocess.run(command, check=True)


@pytest.mark.parametrize(
    "wrong", [{"call_limit": -1}, {"call_limit": 262_145}, {"flush_ms": 0}, {"ring_bytes": 1024}]
)
def test_senseless_settings_are_refused(wrong: dict[str, int]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        CaptureSettings(**wrong)  # type: ignore[arg-type]


def test_without_dns_http_is_captured_and_the_reason_is_told(
    record: Record, refuse: Callable[[str, str, str], Path], http_port: int
) -> None:
    recorder = record(build_dir=refuse("dns", "tp_btf/sys_exit", "dns_call"))
    assert "dns" not in families(recorder)
    recorder.source.audit_dns(wanted=True)
    assert families(recorder) == {"socket": True, "openssl": True, "lifecycle": True, "dns": False}
    assert "load dns" in reason(recorder, "dns")
    curl(f"http://127.0.0.1:{http_port}/still")
    recorder.wait_for(b"answer to /still", Role.CLIENT)
    assert recorder.source.dns() == []
