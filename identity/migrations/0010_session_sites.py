"""A session is bound to the host name that it was begun on."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("identity", "0009_takeouts"),
    ]

    operations: ClassVar = [
        migrations.AddField(
            model_name="session",
            name="site_id",
            field=models.UUIDField(null=True),
        ),
    ]
