"""A run can rotate keys before it seals values anew."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("vaultsvc", "0001_data_keys_and_rewrapping")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="run",
            name="rotated",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="run",
            name="rotates",
            field=models.BooleanField(default=False),
        ),
    ]
