"""Who suspended or closed an account, so that nobody below undoes it."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("identity", "0007_brands"),
    ]

    operations: ClassVar = [
        migrations.AddField(
            model_name="account",
            name="held_by_path",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
    ]
