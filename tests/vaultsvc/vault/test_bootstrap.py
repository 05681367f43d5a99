"""``qcloud vault bootstrap`` against a real Vault: once, again, dry, and killed half-way."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from qcloud.kernel.env import Env, SettingError
from tests.vaultsvc.vault.server import VaultServer
from vaultsvc.backends.vault import Vault
from vaultsvc.vault import command
from vaultsvc.vault.arguments import add_arguments
from vaultsvc.vault.bootstrap import Bootstrap, KubernetesPlan, Plan
from vaultsvc.vault.errors import VaultDenied
from vaultsvc.vault.policies import DUTIES
from vaultsvc.vault.settings import AppRole

ROOT = Path(__file__).resolve().parents[3]


def environment(server: VaultServer, **more: str) -> dict[str, str]:
    return {
        "QCLOUD_VAULT_ADDRESS": server.address,
        "QCLOUD_VAULT_CA_FILE": str(server.ca_file),
        "QCLOUD_VAULT_TOKEN": server.root_token,
        **more,
    }


def run(server: VaultServer, *arguments: str, **more: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return command.main(parser.parse_args(arguments), Env(environment(server, **more)))


def state(server: VaultServer) -> dict[str, Any]:
    """What bootstrap is about, as Vault has it."""
    client = server.client()
    mounts = client.sys.list_mounted_secrets_engines()["data"]
    policies = client.sys.list_policies()["data"]["policies"]
    return {
        "mounts": {path: (mount["type"], mount["options"]) for path, mount in mounts.items()},
        "auth": set(client.sys.list_auth_methods()["data"]),
        "policies": {name: client.sys.read_policy(name)["data"]["rules"] for name in policies},
    }


def test_a_dry_run_changes_nothing(
    own_server: VaultServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = state(own_server)
    assert run(own_server, "--dry-run", "--ids", str(tmp_path / "ids")) == 0
    assert state(own_server) == before
    assert not (tmp_path / "ids").exists()
    said = capsys.readouterr().out
    assert "* secrets engine qcloud-transit: would be enabled (transit)" in said
    assert "* policy qcloud-web: would be written" in said
    assert "would be written" in said.partition("secret-id")[2]


def test_afterwards_every_process_can_log_in_with_its_files(
    own_server: VaultServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "ids"
    assert run(own_server, "--ids", str(folder)) == 0
    assert folder.stat().st_mode & 0o777 == 0o700
    names = {path.name for path in folder.iterdir()}
    assert names == {f"{p}.{kind}" for p in DUTIES for kind in ("role-id", "secret-id")}
    for process in DUTIES:
        secret = folder / f"{process}.secret-id"
        assert secret.stat().st_mode & 0o777 == 0o600
        role_id = (folder / f"{process}.role-id").read_text().strip()
        connection = own_server.connection(AppRole(role_id, secret_id_file=secret))
        assert connection.ask("look", lambda c: c.auth.token.lookup_self())["data"]["policies"] == [
            f"qcloud-{process}"
        ]
        connection.close()
    said = capsys.readouterr().out
    assert f"QCLOUD_VAULT_ADDRESS={own_server.address}" in said
    assert "QCLOUD_KEY_BACKEND=vault" in said
    assert "audit device: none" in said
    assert own_server.root_token not in said
    assert (folder / "web.secret-id").read_text().strip() not in said


def test_a_second_run_changes_nothing_and_keeps_secret_ids(
    own_server: VaultServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "ids"
    run(own_server, "--ids", str(folder))
    before, secret = state(own_server), (folder / "web.secret-id").read_text()
    capsys.readouterr()
    assert run(own_server, "--ids", str(folder)) == 0
    said = capsys.readouterr().out
    assert "\n  * " not in f"\n{said}"
    assert state(own_server) == before
    assert (folder / "web.secret-id").read_text() == secret
    run(own_server, "--ids", str(folder), "--new-ids")
    assert (folder / "web.secret-id").read_text() != secret


def test_hand_made_changes_are_taken_back(
    own_server: VaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run(own_server)
    before = state(own_server)
    client = own_server.client()
    client.sys.create_or_update_policy(
        "qcloud-beat", 'path "*" { capabilities = ["read", "sudo"] }'
    )
    client.auth.approle.create_or_update_approle("qcloud-beat", token_policies=["root"])
    capsys.readouterr()
    run(own_server)
    said = capsys.readouterr().out
    assert "* policy qcloud-beat: brought to this version" in said
    assert "* AppRole qcloud-beat: brought to this version" in said
    assert state(own_server) == before
    role = client.auth.approle.read_role("qcloud-beat")["data"]
    assert role["token_policies"] == ["qcloud-beat"]


def test_wrapped_secret_ids_open_once(own_server: VaultServer, tmp_path: Path) -> None:
    run(own_server, "--ids", str(tmp_path / "ids"), "--wrap", "120")
    login = AppRole(
        (tmp_path / "ids" / "web.role-id").read_text().strip(),
        secret_id_file=tmp_path / "ids" / "web.secret-id",
        wrapped=True,
    )
    Vault(own_server.connection(login)).new_data_key(uuid4())


def test_killed_half_way_it_is_run_again(own_server: VaultServer, tmp_path: Path) -> None:
    """SIGKILL after the first steps, at three different moments."""
    program = (
        "import sys, time, argparse\n"
        "from vaultsvc.vault import command, bootstrap\n"
        "from vaultsvc.vault.arguments import add_arguments\n"
        "step = bootstrap.Bootstrap._change\n"
        "def slow(*a, **k):\n"
        "    done = step(*a, **k); time.sleep(0.2); return done\n"
        "bootstrap.Bootstrap._change = slow\n"
        "parser = argparse.ArgumentParser(); add_arguments(parser)\n"
        "command.main(parser.parse_args(sys.argv[1:]))\n"
    )
    for steps in (1, 4, 12):
        child = subprocess.Popen(
            [sys.executable, "-c", program, "--ids", str(tmp_path / "ids")],
            env={"PATH": os.environ["PATH"], **environment(own_server)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        changed = 0
        while changed < steps and (line := child.stdout.readline()):
            changed += line.startswith("  * ")
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        assert child.returncode == -signal.SIGKILL
        time.sleep(0.1)
    run(own_server, "--ids", str(tmp_path / "ids"))
    assert {f"qcloud-{process}" for process in DUTIES} <= set(state(own_server)["policies"])
    for process in DUTIES:
        own_server.connection(own_server.role(process))._logged_in()


def test_secrets_are_imported_and_kept_in_versions(
    own_server: VaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run(own_server, "--import-secrets", QCLOUD_REDIS_URL="rediss://:one@redis")
    run(own_server, "--import-secrets", QCLOUD_REDIS_URL="rediss://:two@redis")
    said = capsys.readouterr().out
    assert "* secret qcloud-kv/platform/redis-url: stored\n" in said
    assert "* secret qcloud-kv/platform/redis-url: stored as a new version" in said
    assert "two" not in said
    read = own_server.client().secrets.kv.v2.read_secret_version(
        "platform/redis-url", mount_point="qcloud-kv", raise_on_deleted_version=True
    )["data"]
    assert read["data"] == {"value": "rediss://:two@redis"}
    assert read["metadata"]["version"] == 2


def test_another_engine_at_the_mount_is_refused(own_server: VaultServer) -> None:
    own_server.client().sys.enable_secrets_engine("kv", path="qcloud-kv", options={"version": "1"})
    with pytest.raises(SettingError, match="another secrets engine at qcloud-kv"):
        run(own_server)


def test_other_mounts_are_used_and_named(
    own_server: VaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run(own_server, QCLOUD_VAULT_TRANSIT_MOUNT="keys", QCLOUD_VAULT_KV_MOUNT="secrets")
    assert {"keys/", "secrets/"} <= set(state(own_server)["mounts"])
    said = capsys.readouterr().out
    assert "QCLOUD_VAULT_TRANSIT_MOUNT=keys" in said
    keeper = Vault(own_server.connection(own_server.role("web"), transit_mount="keys"))
    keeper.new_data_key(uuid4())


def test_kubernetes_roles_are_bound_to_service_accounts(own_server: VaultServer) -> None:
    plan = Plan(
        processes=("web", "beat"),
        kubernetes=KubernetesPlan(
            host="https://127.0.0.1:6443",
            ca_certificate=own_server.ca_file.read_text(),
            namespace="cloud",
            audience="vault",
        ),
    )
    tuple(Bootstrap(own_server.connection(), plan).run())
    client = own_server.client()
    role = client.read("auth/kubernetes/role/qcloud-web")["data"]
    assert role["bound_service_account_names"] == ["qcloud-web"]
    assert role["bound_service_account_namespaces"] == ["cloud"]
    assert role["audience"] == "vault"
    assert role["token_policies"] == ["qcloud-web"]
    assert client.read("auth/kubernetes/config")["data"]["kubernetes_host"].endswith(":6443")
    again = list(Bootstrap(own_server.connection(), plan).run())
    assert [done.what for done in again if done.changed] == []


def test_a_token_that_may_not_is_told_so(own_server: VaultServer) -> None:
    run(own_server)
    weak = own_server.client().auth.token.create(policies=["qcloud-beat"])["auth"]["client_token"]
    with pytest.raises(VaultDenied, match="does not let this process list its mounts"):
        run(own_server, QCLOUD_VAULT_TOKEN=weak)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--new-ids",), "--ids FOLDER"),
        (("--ids", "ids", "--wrap", "1"), "between 60 and 86400"),
        (("--kubernetes", "http://k8s"), "https://"),
        (("--database", "postgresql://x"), "QCLOUD_VAULT_DATABASE_MOUNT"),
        (("--import-secrets",), "none of these is set"),
    ],
)
def test_wrong_arguments_are_refused_before_anything(
    vault_server: VaultServer, arguments: tuple[str, ...], says: str
) -> None:
    before = state(vault_server)
    with pytest.raises(SettingError, match=says):
        run(vault_server, *arguments)
    assert state(vault_server) == before
