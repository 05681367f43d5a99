from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vaultsvc import backends
from vaultsvc.backends.keyring import Keyring
from vaultsvc.backends.keyring_file import KeyringFile
from vaultsvc.keys import held


@pytest.fixture
def keyring(tmp_path: Path) -> Iterator[Keyring]:
    """A keyring of this test alone, as the keeper of this process."""
    keeper = Keyring(KeyringFile(tmp_path / "keys" / "keyring", None))
    backends.use(keeper)
    yield keeper
    backends.use(None)
    held.forget()
