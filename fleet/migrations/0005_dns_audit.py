"""Whether an environment's agents report DNS lookups."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("fleet", "0004_s3_stores")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="environment",
            name="dns_audit",
            field=models.BooleanField(default=False, db_default=False),
        ),
    ]
