"""What can be wrong with Vault, each with its sentence and what to do about it."""

from __future__ import annotations

from typing import Final

import requests
from hvac import exceptions as hvac_errors

from qcloud.kernel.sealing import SealerUnavailable


class VaultUnavailable(SealerUnavailable):
    """No answer that could be used: 503. ``passing``: trying again at once may help."""

    passing: bool = True
    name: str = "vault_down"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.reason = message
        self.code = f"vaultsvc.{self.name}"


class VaultDown(VaultUnavailable):
    name = "vault_down"


class VaultElsewhere(VaultDown):
    """It points to another address; tokens do not follow."""

    passing = False
    name = "vault_elsewhere"


class Redirected(requests.RequestException):
    """An answer that only says where to ask instead."""


class VaultSlow(VaultUnavailable):
    name = "vault_slow"


class VaultSealed(VaultUnavailable):
    """Somebody has to unseal it: trying again helps nobody."""

    passing = False
    name = "vault_sealed"


class VaultUntrusted(VaultUnavailable):
    """What answers is not the server that the CA file vouches for."""

    passing = False
    name = "vault_untrusted"


class VaultDenied(VaultUnavailable):
    """Vault works and refuses: a policy, a role or a secret id is wrong."""

    passing = False
    name = "vault_denied"


ANSWERS: Final = (requests.RequestException, hvac_errors.VaultError)
"""All that a call through hvac raises."""


def translate(error: Exception, address: str) -> VaultUnavailable | None:
    """The sentence for a call that failed; ``None`` for an answer about the request itself
    (400, 404), which its caller understands.
    """
    if isinstance(error, requests.RequestException):
        return _transport(error, address)
    if isinstance(error, hvac_errors.VaultNotInitialized):
        return VaultSealed(
            f"Vault at {address} was never initialized. Run: vault operator init; then"
            " vault operator unseal, and qcloud vault bootstrap."
        )
    if isinstance(error, hvac_errors.VaultDown):
        return _unavailable(error, address)
    if isinstance(error, hvac_errors.RateLimitExceeded):
        return VaultSlow(
            f"Vault at {address} refuses more requests for now (its rate limit quota)."
            " Raise the quota for QCloud's mounts, or wait."
        )
    if isinstance(error, hvac_errors.InvalidRequest | hvac_errors.InvalidPath):
        return None
    return VaultDown(
        f"Vault at {address} answered with an error of its own ({_words(error)})."
        " Its log says why; check its storage and disk."
    )


def denied(address: str, what: str) -> VaultDenied:
    return VaultDenied(
        f"Vault at {address} does not let this process {what}. Its policies may be older than"
        " this version: run qcloud vault bootstrap with an operator's token."
    )


def login_refused(address: str, role: str, error: Exception) -> VaultDenied:
    return VaultDenied(
        f"Vault at {address} does not accept the log-in of {role} ({_words(error)})."
        " The secret id may have expired or been used up, or the role was removed: run qcloud"
        " vault bootstrap with an operator's token and hand out new ids."
    )


def _transport(error: requests.RequestException, address: str) -> VaultUnavailable:
    if isinstance(error, requests.exceptions.SSLError):
        return VaultUntrusted(
            f"What answers at {address} is not vouched for by QCLOUD_VAULT_CA_FILE"
            f" ({_reason(error)}). Check the address, the server's certificate and the CA file."
        )
    if isinstance(error, Redirected):
        return VaultElsewhere(
            f"Vault at {address} points elsewhere instead of answering: a standby that cannot"
            " forward. Let QCLOUD_VAULT_ADDRESS be an address of the active node."
        )
    if isinstance(error, requests.Timeout):
        return VaultSlow(
            f"Vault at {address} did not answer in time. Look at its load, its storage and the"
            " network between; QCLOUD_VAULT_TIMEOUT is how long each answer may take."
        )
    return VaultDown(
        f"Vault at {address} cannot be reached ({_reason(error)}). Check that it runs, and"
        " QCLOUD_VAULT_ADDRESS; values whose keys are in memory can still be read."
    )


def _unavailable(error: hvac_errors.VaultDown, address: str) -> VaultUnavailable:
    if "sealed" in _words(error):
        return VaultSealed(
            f"Vault at {address} is sealed. Unseal it: vault operator unseal, once for each of"
            " the needed key shares. QCloud goes on by itself afterwards."
        )
    return VaultDown(
        f"Vault at {address} is not ready ({_words(error)}). In a cluster: look whether it has"
        " an active node."
    )


def _words(error: Exception) -> str:
    """What the server said, without the address that hvac adds."""
    said = str(error.args[0]) if error.args else type(error).__name__
    return " ".join(said.split())[:200]


def _reason(error: requests.RequestException) -> str:
    """The innermost cause in a word: urllib3 wraps it several times."""
    cause: BaseException = error
    while (deeper := cause.__cause__ or cause.__context__) is not None:
        cause = deeper
    return " ".join(str(cause).split())[:160] or type(cause).__name__
