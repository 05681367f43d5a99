"""Sealing: a value, a cold account, and sealing everything anew.

``vault_seal`` and ``vault_unseal`` are one value of 100 bytes with its data key in memory, in
microseconds, beside plain AES-GCM with the key already scheduled. ``vault_rewrap`` walks a
table of sealed values after a rotation, in values a second and core: this process's
processor time and PostgreSQL's together. ``vault_cold_calls`` counts the calls to the keeper
until an account without any key has its first value sealed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.database import database
from bench.result import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vaultsvc.backends.base import KeyBackend

_ROUNDS: Final = 9
_CALLS: Final = 5_000
_VALUES: Final = 40_000
_BYTES: Final = 100


def run() -> Iterator[Result]:
    with TemporaryDirectory(prefix="qcloud-bench-") as folder, database(Path(folder)) as server:
        yield from _warm()
        yield _cold()
        yield _rewrap(server.cpu_seconds)


def _warm() -> Iterator[Result]:
    from qcloud.kernel.sealing import Place, sealer

    place, plaintext = Place(uuid4(), "fleet_objectstore", "secret", "1"), os.urandom(_BYTES)
    plain, nonce = AESGCM(os.urandom(32)), os.urandom(12)
    sealed, ciphertext = sealer().seal(plaintext, place), plain.encrypt(nonce, plaintext, None)
    yield _beside(
        "vault_seal",
        lambda: sealer().seal(plaintext, place),
        lambda: plain.encrypt(os.urandom(12), plaintext, None),
    )
    yield _beside(
        "vault_unseal",
        lambda: sealer().unseal(sealed, place),
        lambda: plain.decrypt(nonce, ciphertext, None),
    )


def _beside(name: str, ours: Callable[[], object], plain: Callable[[], object]) -> Result:
    """Taken in turns, so that whatever slows the machine down slows both."""
    pairs = [(_microseconds(ours), _microseconds(plain)) for _ in range(_ROUNDS)]
    value, baseline = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    return Result(name, value, "µs", baseline, value / baseline, _ROUNDS * _CALLS)


def _microseconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    for _ in range(_CALLS):
        call()
    return (time.process_time() - began) / _CALLS * 1e6


class _Counted:
    """A keeper whose calls are counted: each is a round trip when it is a server."""

    def __init__(self, keeper: KeyBackend) -> None:
        self._keeper = keeper
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        self.calls += name != "begun"  # that one asks nobody
        return getattr(self._keeper, name)


def _cold() -> Result:
    from qcloud.kernel.sealing import Place, sealer
    from vaultsvc import backends

    counted = _Counted(backends.backend())
    backends.use(counted)
    try:
        sealer().seal(b"first", Place(uuid4(), "fleet_objectstore", "secret", "1"))
    finally:
        backends.use(None)
    return Result("vault_cold_calls", counted.calls, "calls", None, None, 1)


def _rewrap(database_seconds: Callable[[], float]) -> Result:
    from qcloud.kernel.permissions import Actor
    from vaultsvc.services import key_rotate_start, run_carry_on

    _fill()
    actor = Actor.system("bench")
    key_rotate_start(actor=actor)
    began = time.process_time() + database_seconds()
    done = run_carry_on(actor=actor)
    used = time.process_time() + database_seconds() - began
    assert done is not None  # noqa: S101  started above
    assert done.resealed == _VALUES  # noqa: S101  every value is what is measured
    return Result("vault_rewrap", _VALUES / used, "values/s a core", None, None, _VALUES)


def _fill() -> None:
    from fleet.models import Environment, RegistrationToken
    from qcloud.kernel.ids import new_id
    from qcloud.kernel.scope import unscoped

    account_id = uuid4()
    with unscoped("bench"):
        place = Environment.objects.create(account_id=account_id, slug="bench", name="Bench")
        for _ in range(_VALUES // 2_000):
            rows: Sequence[RegistrationToken] = [
                RegistrationToken(
                    account_id=account_id,
                    environment=place,
                    name="node",
                    token_hash=new_id().hex,
                    token=os.urandom(_BYTES),
                    last_four="0000",
                    created_by="bench",
                )
                for _ in range(2_000)
            ]
            RegistrationToken.objects.bulk_create(rows)
