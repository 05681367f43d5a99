"""What is known of rollups; whatever was loaded before is noted as to be counted."""

from __future__ import annotations

from typing import ClassVar

import django.contrib.postgres.fields
from django.db import migrations, models

import qcloud.kernel.ids
from qcloud.kernel.rls import RowClass, RowSecurity


def _id() -> tuple[str, models.UUIDField]:
    return (
        "id",
        models.UUIDField(
            default=qcloud.kernel.ids.new_id, editable=False, primary_key=True, serialize=False
        ),
    )


def _versions(count: int) -> django.contrib.postgres.fields.ArrayField:
    return django.contrib.postgres.fields.ArrayField(
        base_field=models.BigIntegerField(), size=count
    )


class Migration(migrations.Migration):
    dependencies: ClassVar = [("pulse", "0004_issues")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="TouchedSpan",
            fields=[
                _id(),
                ("account_id", models.UUIDField(db_index=True)),
                ("load_id", models.UUIDField()),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField()),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(
                        models.F("account_id"), models.F("since"), name="pulse_touched_span"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RollupDay",
            fields=[
                _id(),
                ("account_id", models.UUIDField(db_index=True)),
                ("day", models.DateField()),
                ("quarters", _versions(96)),
                ("hours", _versions(24)),
                ("whole", models.BigIntegerField(default=0)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account_id", "day"), name="pulse_rollup_day_once"
                    )
                ],
            },
        ),
        migrations.RunSQL(
            "INSERT INTO pulse_touchedspan (id, account_id, load_id, since, until)"
            " SELECT gen_random_uuid(), account_id, gen_random_uuid(),"
            "  date_trunc('day', hour, 'UTC'), date_trunc('day', hour, 'UTC') + interval '1 day'"
            " FROM pulse_usagehour GROUP BY account_id, date_trunc('day', hour, 'UTC')",
            migrations.RunSQL.noop,
        ),
        RowSecurity("pulse_touchedspan", RowClass.OWN),
        RowSecurity("pulse_rollupday", RowClass.OWN),
    ]
