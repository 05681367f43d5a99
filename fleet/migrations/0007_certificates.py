"""Whether an environment's agents look at the certificates of servers."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("fleet", "0006_defaults_for_older_writers")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="environment",
            name="certificates",
            field=models.BooleanField(default=False, db_default=False),
        ),
    ]
