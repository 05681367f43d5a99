"""How often the event store died at a load."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("pulse", "0020_limited_holds")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="load", name="store_began", field=models.DateTimeField(null=True)
        ),
        migrations.AddField(
            model_name="load", name="deaths", field=models.IntegerField(db_default=0)
        ),
    ]
