"""Registration tokens are kept sealed, so that who may can copy one again."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

import vaultsvc.fields


class Migration(migrations.Migration):
    dependencies: ClassVar = [("fleet", "0002_environment_limit")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="registrationtoken",
            name="token",
            field=vaultsvc.fields.EncryptedField(null=True),
        ),
    ]
