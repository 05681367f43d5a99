"""Second factors of the embedded engine: django-otp's devices, seeds sealed."""

from __future__ import annotations

import base64
import re
import secrets
from typing import Final
from urllib.parse import quote, urlencode
from uuid import UUID

from identity import policies
from identity.factors import Factor, FactorEngine, FactorState, Seed
from identity.models import RecoveryDevice, TotpDevice
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped
from qcloud.kernel.settings import value
from vaultsvc.fields import Secret

_SEED_BYTES: Final = 20
"""160 bits, RFC 4226's recommendation."""
_CODE_BYTES: Final = 10
"""16 letters of base 32."""


class OtpEngine:
    """See ``FactorEngine``."""

    def state(self, user_id: UUID) -> FactorState:
        with unscoped("second factors: a person has them whatever the account"):
            totp = TotpDevice.objects.filter(user_id=user_id, confirmed=True).first()
            codes = RecoveryDevice.objects.filter(user_id=user_id).first()
        return FactorState(
            totp_since=totp.created_at if totp else None,
            totp_used=totp.last_used_at if totp else None,
            codes_left=len(codes.hashes) if codes else 0,
            codes_confirmed=bool(codes and codes.confirmed),
        )

    def seed(self, user_id: UUID, label: str) -> Seed:
        with unscoped("second factors: a person has them whatever the account"):
            row = TotpDevice.objects.filter(user_id=user_id, confirmed=False).first()
            if row is None:
                row = TotpDevice(user_id=user_id, confirmed=False, name="authenticator app")
                row.seed = Secret(secrets.token_bytes(_SEED_BYTES))
                row.save(force_insert=True)
            return _seed(row.seed.reveal_bytes(), label)

    def confirm_seed(self, user_id: UUID, code: str) -> bool:
        with unscoped("second factors: a person has them whatever the account"):
            mine = TotpDevice.objects.select_for_update().filter(user_id=user_id)
            rows = {row.confirmed: row for row in mine}
            new = rows.get(False)
            if new is None or not new.verify_token(_digits(code)):
                return False
            if True in rows:
                rows[True].delete()
            new.confirmed, new.created_at = True, now()
            new.save()
        return True

    def codes_make(self, user_id: UUID) -> tuple[str, ...]:
        codes = tuple(_code() for _ in range(value(policies.MFA_RECOVERY_CODES)))
        with unscoped("second factors: a person has them whatever the account"):
            RecoveryDevice.objects.filter(user_id=user_id).delete()
            row = RecoveryDevice(user_id=user_id, confirmed=False, name="recovery codes")
            row.hashes = [row.digest(_letters(code)) for code in codes]
            row.save(force_insert=True)
        return codes

    def codes_confirm(self, user_id: UUID, code: str) -> bool:
        with unscoped("second factors: a person has them whatever the account"):
            row = RecoveryDevice.objects.select_for_update().filter(user_id=user_id).first()
            if row is None or not row.find(_letters(code)):
                return False
            row.confirmed = True
            row.save()
        return True

    def verify(self, user_id: UUID, code: str) -> Factor:
        with unscoped("second factors: a person has them whatever the account"):
            totp = TotpDevice.objects.select_for_update().filter(user_id=user_id, confirmed=True)
            codes = RecoveryDevice.objects.select_for_update().filter(user_id=user_id)
            # By its shape a code is of one kind: a wrong one slows down that kind alone.
            if re.fullmatch(r"[0-9]{6}", _digits(code)):
                return "totp" if any(d.verify_token(_digits(code)) for d in totp) else ""
            return "recovery" if any(d.verify_token(_letters(code)) for d in codes) else ""

    def remove(self, user_id: UUID) -> None:
        with unscoped("second factors: a person has them whatever the account"):
            TotpDevice.objects.filter(user_id=user_id).delete()
            RecoveryDevice.objects.filter(user_id=user_id).delete()


def engine() -> FactorEngine:
    """The engine in use."""
    return OtpEngine()


def _seed(secret: bytes, label: str) -> Seed:
    text = base64.b32encode(secret).decode()
    issuer = value(policies.MFA_ISSUER).replace(":", " ")
    query = urlencode(
        {"secret": text, "issuer": issuer, "digits": 6, "period": 30}, quote_via=quote
    )
    return Seed(f"otpauth://totp/{quote(issuer)}:{quote(label)}?{query}", _grouped(text))


def _code() -> str:
    return _grouped(base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode())


def _grouped(text: str) -> str:
    return " ".join(text[i : i + 4] for i in range(0, len(text), 4))


def _digits(code: str) -> str:
    """As apps show them: with a space in the middle."""
    return re.sub(r"[\s-]", "", code[:64])


def _letters(code: str) -> str:
    return re.sub(r"[\s-]", "", code[:64]).upper()
