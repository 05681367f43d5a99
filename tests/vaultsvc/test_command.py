"""``qcloud vault …`` as an operator has it, one of them killed in the middle."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from qcloud.cli import main
from qcloud.kernel.scope import unscoped
from qcloud.kernel.sealing import KeyShredded, signer
from tests.factories.cast import Person
from tests.vaultsvc.values import (
    SYSTEM,
    active_key,
    entries,
    environment_of,
    fill,
    keys_in_use,
    revealed,
    sealed,
)
from vaultsvc import backends
from vaultsvc.backends.keyring import Keyring
from vaultsvc.models import Run
from vaultsvc.services import key_rewrap_start

ROOT: Final = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.django_db(transaction=True)

Said = pytest.CaptureFixture[str]


@pytest.mark.usefixtures("keyring")
def test_status(customer_owner: Person, capsys: Said) -> None:
    fill(customer_owner, environment_of(customer_owner), 1)
    assert main(["vault", "status"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("keyring: usable, version 1; the file ")
    assert second.endswith(", 0 due (every 90 days), 0 shredded")
    key_rewrap_start(actor=SYSTEM)
    assert main(["vault", "status"]) == 0
    assert capsys.readouterr().out.splitlines()[2].startswith("run: 0 of ")


def test_status_of_keys_that_cannot_be_used(
    keyring: Keyring, customer_owner: Person, capsys: Said
) -> None:
    fill(customer_owner, environment_of(customer_owner), 1)
    keyring._file.path.chmod(0o644)
    assert main(["vault", "status"]) == 1
    assert "keyring: sealed" in (said := capsys.readouterr().out)
    assert "chmod 600" in said


@pytest.mark.usefixtures("keyring")
def test_rotate_all_and_one(customer_owner: Person, capsys: Said) -> None:
    fill(customer_owner, environment_of(customer_owner), 3)
    before = active_key(customer_owner.account.id).id
    assert main(["vault", "rotate", "acme"]) == 0
    said = capsys.readouterr().out.splitlines()
    values = sealed(customer_owner.account.id)
    assert values >= 3
    assert said[-1] == f"done: 1 owners rotated, {values} values sealed anew, 0 broken"
    assert f"{values + 1} of {values + 1}" in said[-2]
    between = active_key(customer_owner.account.id).id
    assert main(["vault", "rotate"]) == 0
    assert len({before, between, active_key(customer_owner.account.id).id}) == 3
    assert main(["vault", "rotate", "nobody"]) == 1
    assert "no account with the short name nobody" in capsys.readouterr().err
    assert [e.actor_label for e in entries("vaultsvc.key.rotate")] == ["qcloud vault"] * 2


@pytest.mark.usefixtures("keyring")
def test_shred_is_confirmed(customer_owner: Person, capsys: Said) -> None:
    fill(customer_owner, environment_of(customer_owner), 1)
    assert main(["vault", "shred", "acme", "--confirm", "acm"]) == 1
    assert "Type the account's short name, acme" in capsys.readouterr().err
    assert len(revealed(customer_owner)) == 1
    assert main(["vault", "shred", "acme", "--confirm", "acme"]) == 0
    assert "within 60 seconds" in capsys.readouterr().out
    with pytest.raises(KeyShredded):
        revealed(customer_owner)
    assert main(["vault", "shred", "provider", "--confirm", "provider"]) == 1


@pytest.mark.usefixtures("keyring")
def test_rotate_signing(cloud_admin: Person, capsys: Said) -> None:
    assert cloud_admin.slug == "provider"
    assert main(["vault", "rotate-signing", "audit"]) == 1
    assert "Nothing was signed for “audit” yet" in capsys.readouterr().err
    first = signer().sign(b"x", purpose="audit")
    assert main(["vault", "rotate-signing", "audit"]) == 0
    second = signer().sign(b"x", purpose="audit")
    assert capsys.readouterr().out == f"audit: {second.key_id}\n"
    assert list(signer().public_keys(purpose="audit")) == [first.key_id, second.key_id]
    (entry,) = entries("vaultsvc.signing.rotate")
    assert entry.data == {"purpose": "audit", "before": first.key_id}


@pytest.mark.slow
def test_a_killed_process_is_taken_up_by_the_next(customer_owner: Person, capsys: Said) -> None:
    """SIGKILL, with the keyring that both processes have."""
    backends.use(None)
    ids = fill(customer_owner, environment_of(customer_owner), 8_000)
    process = subprocess.Popen(
        [sys.executable, "-m", "qcloud", "vault", "rotate"],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    for line in process.stdout:
        if int(line.split(" of ")[0]) >= 2_000:
            break
    process.kill()
    process.wait()
    process.stdout.close()
    with unscoped("test"):
        half = Run.objects.get()
    assert half.finished_at is None
    assert 2_000 <= half.done < half.total
    assert main(["vault", "rewrap"]) == 0
    assert f"{half.total} of {half.total}" in capsys.readouterr().out
    with unscoped("test"):
        whole = Run.objects.get(id=half.id)
    assert whole.resealed == sealed() >= 8_000
    assert whole.finished_at is not None
    assert keys_in_use(customer_owner.account.id) == {active_key(customer_owner.account.id).id}
    assert revealed(customer_owner) == {row: str(row) for row in ids}
