"""Where wrapping keys are kept; ``QCLOUD_KEY_BACKEND`` chooses.

Each module named here has ``open_backend() -> KeyBackend``, which reads its own settings and
neither connects nor opens a file yet.
"""

from __future__ import annotations

import threading
from importlib import import_module
from typing import Final

from django.conf import settings

from vaultsvc.backends.base import KeyBackend

MODULES: Final = {
    "keyring": "vaultsvc.backends.keyring",
    "vault": "vaultsvc.backends.vault",
}


class _Chosen:
    backend: KeyBackend | None = None
    lock: Final = threading.Lock()


def backend() -> KeyBackend:
    """The keeper of this process, opened at first use. Raises ``SettingError``."""
    with _Chosen.lock:
        if _Chosen.backend is None:
            module = import_module(MODULES[settings.KEY_BACKEND])
            opened: KeyBackend = module.open_backend()
            _Chosen.backend = opened
        return _Chosen.backend


def use(keeper: KeyBackend | None) -> None:
    """Replace this process's keeper; ``None``: choose again by the settings at next use."""
    with _Chosen.lock:
        _Chosen.backend = keeper
