"""The one connection of this process, shared by keys and platform secrets."""

from __future__ import annotations

import threading
from typing import Final

from qcloud.kernel.env import Env
from vaultsvc.vault.connection import VaultConnection
from vaultsvc.vault.settings import VaultSettings

_lock: Final = threading.Lock()
_open: Final[dict[VaultSettings, VaultConnection]] = {}


def connection(env: Env) -> VaultConnection:
    """Made at first use; it connects when it is asked something. Raises ``SettingError``."""
    settings = VaultSettings.from_env(env)
    with _lock:
        if settings not in _open:
            _open[settings] = VaultConnection(settings)
        return _open[settings]
