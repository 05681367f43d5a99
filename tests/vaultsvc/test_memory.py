"""Data keys in memory: for a bounded time, in idle processes and forked ones as well."""

from __future__ import annotations

import os
import threading
import time
from typing import Any
from uuid import uuid4

import pytest

from qcloud.kernel.sealing import Place, sealer
from vaultsvc.backends.base import KeyMissing
from vaultsvc.backends.keyring import Keyring
from vaultsvc.envelope import Key
from vaultsvc.keys import DataKeys, held

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.usefixtures("keyring")
def test_an_idle_process_forgets_its_keys(settings: Any) -> None:
    settings.KEY_CACHE_SECONDS = 1
    place = Place(uuid4(), "t", "c", "r")
    sealed = sealer().seal(b"x", place)
    assert {entry.owner for entry in held._held.values()} == {place.account_id}
    deadline = time.monotonic() + 10
    while held._held:
        assert time.monotonic() < deadline, "nobody asks for it, and it stays"
        time.sleep(0.1)
    assert sealer().unseal(sealed, place) == b"x"


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_forked_process_has_neither_keys_nor_locks_of_its_parent() -> None:
    keys, owner = DataKeys(), uuid4()
    keys._hold((owner, "seal"), owner, Key(uuid4(), b"k" * 32))
    taken, release = threading.Event(), threading.Event()

    def busy() -> None:
        with keys._guard, keys._asking[owner.int % 64]:
            taken.set()
            release.wait(30)

    thread = threading.Thread(target=busy)
    thread.start()
    taken.wait(5)
    child = os.fork()
    if child == 0:
        free = keys._guard.acquire(timeout=2) and keys._asking[owner.int % 64].acquire(timeout=2)
        os._exit(0 if free and not keys._held and keys._sweeper is None else 1)
    _, status = os.waitpid(child, 0)
    release.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0
    assert len(keys._held) == 1


def test_a_keyring_that_was_lost_is_not_begun_anew(keyring: Keyring) -> None:
    """New accounts under a second keyring would be lost when the first one is put back."""
    old, place = Place(uuid4(), "t", "c", "r"), Place(uuid4(), "t", "c", "r")
    sealed = sealer().seal(b"x", old)
    path = keyring._file.path
    away = path.rename(path.with_name("away"))
    held.forget()
    for what in (place, old):
        with pytest.raises(KeyMissing, match="Restore the keyring of the same backup"):
            sealer().seal(b"y", what)
    with pytest.raises(KeyMissing):
        sealer().blind_index(b"y", old)
    assert not path.exists()
    away.rename(path)
    assert sealer().unseal(sealed, old) == b"x"
    assert sealer().unseal(sealer().seal(b"y", place), place) == b"y"
