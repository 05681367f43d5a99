"""The keyring file: torn, foreign, unreadable, full; one writer at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from qcloud.kernel.sealing import KeyShredded, SealerUnavailable
from vaultsvc.backends.keyring import Keyring
from vaultsvc.backends.keyring_file import KeyringFile

OWNER = uuid4()
SECRET = "a root secret of more than 32 characters"


def opened(path: Path, secret: str | None = None) -> Keyring:
    """As another process would."""
    return Keyring(KeyringFile(path, secret))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "keyring"


def test_a_data_key_opens_after_a_restart_and_under_any_version(path: Path) -> None:
    made = opened(path).new_data_key(OWNER)
    assert len(made.plaintext) == 32
    assert made.wrapped.version == 1
    assert made.plaintext not in path.read_bytes() + made.wrapped.blob
    assert opened(path).rotate(OWNER) == 2
    again = opened(path).rewrap(OWNER, made.wrapped.blob)
    assert again.version == 2
    for blob in (made.wrapped.blob, again.blob):
        assert opened(path).unwrap(OWNER, blob) == made.plaintext
    assert repr(made).count(repr(made.plaintext)) == 0


def test_a_wrapped_key_is_its_owners_and_whole(path: Path) -> None:
    keeper = opened(path)
    blob = keeper.new_data_key(OWNER).wrapped.blob
    other = uuid4()
    keeper.new_data_key(other)
    with pytest.raises(ValueError, match="another owner's"):
        keeper.unwrap(other, blob)
    for at in range(len(blob)):
        bent = bytearray(blob)
        bent[at] ^= 1
        with pytest.raises(ValueError, match="wrapped"):
            keeper.unwrap(OWNER, bytes(bent))
    for length in range(len(blob)):
        with pytest.raises(ValueError, match="another length"):
            keeper.unwrap(OWNER, blob[:length])


def test_a_destroyed_owner_stays_destroyed(path: Path) -> None:
    keeper = opened(path)
    blob = keeper.new_data_key(OWNER).wrapped.blob
    keeper.destroy(OWNER)
    keeper.destroy(OWNER)
    keeper.destroy(uuid4())
    again = opened(path)
    for use in (again.new_data_key, again.rotate, lambda o: again.unwrap(o, blob)):
        with pytest.raises(KeyShredded):
            use(OWNER)
    assert again.versions(OWNER) is None


def test_a_keyring_that_knows_nothing_of_an_owner_is_the_wrong_one(path: Path) -> None:
    blob = opened(path).new_data_key(OWNER).wrapped.blob
    path.unlink()
    with pytest.raises(SealerUnavailable, match="Restore the keyring of the same backup"):
        opened(path).unwrap(OWNER, blob)


def test_modes_of_what_it_makes(path: Path) -> None:
    opened(path).new_data_key(OWNER)
    modes = {entry.name: entry.stat().st_mode & 0o777 for entry in path.parent.iterdir()}
    assert modes == {"keyring": 0o600, "keyring.secret": 0o600, "keyring.lock": 0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
@pytest.mark.parametrize("name", ["keyring", "keyring.secret"])
def test_files_that_others_can_read_are_refused(path: Path, name: str, mode: int) -> None:
    blob = opened(path).new_data_key(OWNER).wrapped.blob
    path.with_name(name).chmod(mode)
    with pytest.raises(SealerUnavailable, match=f"{name} can be read by others.*chmod 600"):
        opened(path).unwrap(OWNER, blob)


def test_what_is_somebody_elses_or_no_file_is_refused(path: Path) -> None:
    blob = opened(path).new_data_key(OWNER).wrapped.blob
    real = path.rename(path.with_name("elsewhere"))
    path.symlink_to(real)
    with pytest.raises(SealerUnavailable, match="cannot be opened"):
        opened(path).unwrap(OWNER, blob)
    path.unlink()
    path.mkdir(mode=0o700)
    with pytest.raises(SealerUnavailable, match="not a plain file"):
        opened(path).unwrap(OWNER, blob)
    path.rmdir()
    real.rename(path)
    path.parent.chmod(0o777)
    with pytest.raises(SealerUnavailable, match="others can write to"):
        opened(path).rotate(OWNER)
    path.parent.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(path, 12_345, 12_345)
        with pytest.raises(SealerUnavailable, match="belongs to user 12345"):
            opened(path).unwrap(OWNER, blob)


def test_the_root_secret_from_the_settings(path: Path) -> None:
    made = opened(path, SECRET).new_data_key(OWNER)
    assert not path.with_name("keyring.secret").exists()
    assert opened(path, SECRET).unwrap(OWNER, made.wrapped.blob) == made.plaintext
    with pytest.raises(SealerUnavailable, match="does not open with this root secret"):
        opened(path, SECRET + "x").unwrap(OWNER, made.wrapped.blob)
    with pytest.raises(SealerUnavailable, match="fewer than 32 characters"):
        opened(path, "short").unwrap(OWNER, made.wrapped.blob)
    with pytest.raises(SealerUnavailable, match=r"root secret .* is missing"):
        opened(path).unwrap(OWNER, made.wrapped.blob)
    with pytest.raises(SealerUnavailable, match="is missing"):
        opened(path).rotate(OWNER)
    assert not path.with_name("keyring.secret").exists(), "no second secret beside an old keyring"


def test_torn_and_bent_files_open_at_no_length(path: Path) -> None:
    opened(path, SECRET).new_data_key(OWNER)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(SealerUnavailable, match=r"is damaged|later version"):
            opened(path, SECRET).rotate(OWNER)
        assert path.read_bytes() == whole[:length], "what cannot be read is not overwritten"
    for at in range(0, len(whole), 5):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(SealerUnavailable, match=r"is damaged|later version"):
            opened(path, SECRET).rotate(OWNER)
    path.write_bytes(b"QCKR\x02" + whole[5:])
    with pytest.raises(SealerUnavailable, match="written by a later version"):
        opened(path, SECRET).rotate(OWNER)
    status = opened(path, SECRET).status()
    assert (status.reachable, status.sealed) == (False, True)
    assert "later version" in status.detail


def test_another_processes_change_is_seen_at_once(path: Path) -> None:
    here = opened(path)
    made = here.new_data_key(OWNER)
    for version in range(2, 12):
        there = opened(path)
        assert there.rotate(OWNER) == version
        newest = here.rewrap(OWNER, made.wrapped.blob)
        assert newest.version == version
    there = opened(path)
    there.destroy(OWNER)
    with pytest.raises(KeyShredded):
        here.unwrap(OWNER, made.wrapped.blob)


_WRITER = """
import sys, resource, pathlib, uuid
from vaultsvc.backends.keyring import Keyring
from vaultsvc.backends.keyring_file import KeyringFile
from qcloud.kernel.sealing import SealerUnavailable
path, limit, *owners = sys.argv[1:]
if int(limit):
    import signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
keeper = Keyring(KeyringFile(pathlib.Path(path), None))
try:
    for owner in owners:
        keeper.rotate(uuid.UUID(owner))
except SealerUnavailable as error:
    print(error.message)
"""


def write(path: Path, limit: int, *owners: UUID) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _WRITER, str(path), str(limit), *map(str, owners)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "qcloud.settings"},
    )


def test_without_room_for_the_new_file_the_old_one_stays(path: Path) -> None:
    """The system refuses to write beyond a limit as it does on a full disk."""
    made = opened(path).new_data_key(OWNER)
    before = path.read_bytes()
    limit = len(before) - 20
    said, _ = write(path, limit, OWNER).communicate(timeout=60)
    assert "could not be written (File too large)" in said
    assert "free space" in said
    assert path.read_bytes() == before
    assert not path.with_name("keyring.new").exists()
    assert opened(path).unwrap(OWNER, made.wrapped.blob) == made.plaintext


def test_four_processes_write_and_nobodys_key_is_lost(path: Path) -> None:
    owners = [[uuid4() for _ in range(12)] for _ in range(4)]
    running = [write(path, 0, *group) for group in owners]
    assert [process.communicate(timeout=100)[0] for process in running] == [""] * 4
    keeper = opened(path)
    found = [keeper.versions(owner) for group in owners for owner in group]
    assert [versions.newest for versions in found if versions] == [1] * 48


def test_sixteen_threads_make_one_key(path: Path) -> None:
    keeper, gate = opened(path), threading.Barrier(16)
    made: list[bytes] = []

    def work() -> None:
        gate.wait()
        new = keeper.new_data_key(OWNER)
        made.append(keeper.unwrap(OWNER, new.wrapped.blob))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = keeper.versions(OWNER)
    assert versions is not None
    assert (versions.newest, len(set(made))) == (1, 16)


def test_signing_keys_are_kept_by_purpose_through_rotation(path: Path) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    keeper = opened(path)
    first = keeper.sign("audit", b"tree")
    assert keeper.rotate_signing("audit") != first.key_id
    second = opened(path).sign("audit", b"tree")
    keys = opened(path).public_keys("audit")
    assert list(keys) == [first.key_id, second.key_id]
    for signed in (first, second):
        Ed25519PublicKey.from_public_bytes(keys[signed.key_id]).verify(signed.signature, b"tree")
        with pytest.raises(InvalidSignature):
            Ed25519PublicKey.from_public_bytes(keys[signed.key_id]).verify(
                signed.signature, b"treE"
            )
    keeper.sign("token", b"x")
    assert set(keeper.public_keys("token")).isdisjoint(keys)
    assert len(keeper.public_keys("token")) == 1
