from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qcloud.kernel.scope import unscoped
from vaultsvc import backends
from vaultsvc.backends.keyring import Keyring
from vaultsvc.backends.keyring_file import KeyringFile
from vaultsvc.keys import held
from vaultsvc.models import DataKey


@pytest.fixture
def keyring(tmp_path: Path, transactional_db: None) -> Iterator[Keyring]:  # noqa: ARG001
    """A keyring of this test alone, as the keeper of this process.

    Data keys outlive the transaction of the test that first needed them, and those of another
    keyring would not open.
    """
    with unscoped("test"):
        DataKey.objects.all().delete()
    keeper = Keyring(KeyringFile(tmp_path / "keys" / "keyring", None))
    backends.use(keeper)
    yield keeper
    backends.use(None)
    held.forget()
