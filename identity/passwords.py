"""What a new password must be like, as the settings say it."""

from __future__ import annotations

from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError

from identity import policies
from qcloud.kernel.settings import value


class LongEnough:
    def validate(self, password: str, user: object = None) -> None:
        del user
        shortest = value(policies.PASSWORD_LENGTH)
        if len(password) < shortest:
            raise ValidationError(f"Too short: at least {shortest} characters.")

    def get_help_text(self) -> str:
        return f"At least {value(policies.PASSWORD_LENGTH)} characters."


class NotCommon(password_validation.CommonPasswordValidator):
    def validate(self, password: str, user: object = None) -> None:
        if value(policies.PASSWORD_COMMON):
            super().validate(password, user)  # type: ignore[arg-type]  # it does not look at it


class NotPersonal(password_validation.UserAttributeSimilarityValidator):
    def validate(self, password: str, user: object = None) -> None:
        if value(policies.PASSWORD_PERSONAL):
            super().validate(password, user)  # type: ignore[arg-type]  # any object with attributes
