"""What a process refuses to start with, and where one machine keeps its keyring."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from qcloud.platform.environment import Ports, environment
from qcloud.platform.folder import DataFolder

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAM: Final = (
    "from qcloud import settings; print(settings.KEY_BACKEND, settings.KEY_CACHE_SECONDS)"
)
PRODUCTION: Final = {
    "QCLOUD_MODE": "production",
    "QCLOUD_SECRET_KEY": "x" * 60,
    "QCLOUD_ALLOWED_HOSTS": "portal.example",
    "QCLOUD_DATABASE_HOST": "db.example",
    "QCLOUD_DATABASE_APP_PASSWORD": "x",
    "QCLOUD_REDIS_URL": "rediss://cache.example",
    "QCLOUD_EVENTSTORE_PASSWORD": "x",
    "QCLOUD_INGEST_PUBLIC_URL": "https://ingest.example",
}


def start(**variables: str) -> tuple[int, str]:
    """Exit code and what was said."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **PRODUCTION, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_production_takes_no_keyring_without_a_reason() -> None:
    for reason in ({}, {"QCLOUD_KEYRING_IN_PRODUCTION": "yes"}):
        code, said = start(QCLOUD_KEY_BACKEND="keyring", **reason)
        assert code == 1
        assert "write the reason into QCLOUD_KEYRING_IN_PRODUCTION" in said
    told = "one machine without a network, agreed on in May"
    code, said = start(QCLOUD_KEY_BACKEND="keyring", QCLOUD_KEYRING_IN_PRODUCTION=told)
    assert (code, said) == (0, "keyring 60\n")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("QCLOUD_KEY_BACKEND", "hsm", "QCLOUD_KEY_BACKEND must be keyring or vault"),
        ("QCLOUD_KEY_CACHE_SECONDS", "0", "QCLOUD_KEY_CACHE_SECONDS must be between 1 and 600"),
        ("QCLOUD_KEY_CACHE_SECONDS", "3600", "QCLOUD_KEY_CACHE_SECONDS must be between 1 and 600"),
        ("QCLOUD_KEY_ROTATION_DAYS", "x", "QCLOUD_KEY_ROTATION_DAYS must be a whole number"),
    ],
)
def test_values_that_are_refused(name: str, value: str, words: str) -> None:
    code, said = start(**{name: value})
    assert code == 1
    assert words in said


@pytest.mark.parametrize("process", ["web", "worker"])
@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "QCLOUD_VAULT_ADDRESS is not set"),
        ({"QCLOUD_VAULT_ADDRESS": "http://vault.example:8200"}, "must begin with https://"),
        ({"QCLOUD_VAULT_ADDRESS": "https://vault.example:8200"}, "QCLOUD_VAULT_ROLE_ID is not set"),
    ],
)
def test_who_seals_does_not_start_without_a_way_to_its_keys(
    process: str, variables: dict[str, str], words: str
) -> None:
    code, said = start(QCLOUD_PROCESS=process, **variables)
    assert code == 1
    assert words in said
    assert start(QCLOUD_PROCESS="beat", **variables)[0] == 0


def test_one_machine_keeps_its_keyring_in_the_data_folder(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    values = environment(folder, Ports())
    assert values["QCLOUD_KEY_BACKEND"] == "keyring"
    assert values["QCLOUD_KEYRING_PATH"] == str(tmp_path / "data" / "keys" / "keyring")
    assert not folder.keyring.parent.exists(), "made with the first key, not before"


def test_what_is_set_for_one_machine_reaches_its_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "QCLOUD_KEYRING_SECRET": "s" * 40,
        "QCLOUD_KEY_CACHE_SECONDS": "5",
        "QCLOUD_KEY_BACKEND": "vault",
        "QCLOUD_VAULT_ADDRESS": "https://vault.example:8200",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    assert environment(folder, Ports()).items() >= given.items()
