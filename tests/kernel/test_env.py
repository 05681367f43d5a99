"""Typed settings, and the production values that are refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qcloud.kernel.env import Env, SettingError

SAFE = {
    "QCLOUD_MODE": "production",
    "QCLOUD_SECRET_KEY": "k" * 50,
    "QCLOUD_ALLOWED_HOSTS": "cloud.example",
    "QCLOUD_DATABASE_HOST": "db.example",
    "QCLOUD_DATABASE_APP_PASSWORD": "p",
    "QCLOUD_REDIS_URL": "rediss://redis.example",
    "QCLOUD_EVENTSTORE_PASSWORD": "p",
    "QCLOUD_INGEST_PUBLIC_URL": "https://ingest.example",
}


def load_settings(**changes: str | None) -> subprocess.CompletedProcess[str]:
    values = {**SAFE, **changes}
    chosen = {name: value for name, value in values.items() if value is not None}
    return subprocess.run(
        [sys.executable, "-c", "import qcloud.settings"],
        env={"PATH": os.environ["PATH"], **chosen},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )


def test_safe_production_settings_load() -> None:
    assert load_settings().stderr == ""


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"QCLOUD_DEBUG": "true"}, "QCLOUD_DEBUG must be off"),
        ({"QCLOUD_SECRET_KEY": "short"}, "QCLOUD_SECRET_KEY must have at least 50"),
        ({"QCLOUD_SECRET_KEY": None}, "QCLOUD_SECRET_KEY is not set"),
        ({"QCLOUD_ALLOWED_HOSTS": None}, "QCLOUD_ALLOWED_HOSTS must list"),
        ({"QCLOUD_ALLOWED_HOSTS": "*"}, "QCLOUD_ALLOWED_HOSTS must list"),
        ({"QCLOUD_DATABASE_SSLMODE": "prefer"}, "QCLOUD_DATABASE_SSLMODE must be"),
        ({"QCLOUD_REDIS_URL": "redis://redis.example"}, "QCLOUD_REDIS_URL must use rediss"),
        ({"QCLOUD_INGEST_PUBLIC_URL": "http://ingest.example"}, "must begin with https://"),
        (
            {"QCLOUD_EVENTSTORE_SECURE": "no", "QCLOUD_EVENTSTORE_HOST": "ch.example"},
            "QCLOUD_EVENTSTORE_SECURE must be on",
        ),
        ({"QCLOUD_MODE": "staging"}, "QCLOUD_MODE must be embedded or production"),
    ],
)
def test_unsafe_production_settings_refuse_to_load(
    changes: dict[str, str | None], says: str
) -> None:
    done = load_settings(**changes)
    assert done.returncode == 1
    assert says in done.stderr


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from a file\n")
    assert Env({"A_FILE": str(secret)}).secret("A") == "from a file"


def test_a_secret_from_two_places_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="A or A_FILE, not both"):
        Env({"A": "x", "A_FILE": str(tmp_path)}).secret("A")


def test_an_unreadable_secret_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"A_FILE: cannot read .*absent"):
        Env({"A_FILE": str(tmp_path / "absent")}).secret("A")


@pytest.mark.parametrize("raw", ["", "maybe", "2"])
def test_a_flag_is_true_or_false(raw: str) -> None:
    with pytest.raises(SettingError, match="A must be true or false"):
        Env({"A": raw}).flag("A", default=True)


@pytest.mark.parametrize("raw", ["", "x", "1.5", "0", "11"])
def test_a_number_is_whole_and_within_bounds(raw: str) -> None:
    with pytest.raises(SettingError, match="A must be"):
        Env({"A": raw}).integer("A", 5, low=1, high=10)


def test_names_are_split_and_trimmed() -> None:
    assert Env({"A": " x, ,y "}).names("A") == ("x", "y")
