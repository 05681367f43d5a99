"""Rollups are counted anew: their latencies are kept in another form."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [("pulse", "0006_alerts")]

    operations: ClassVar = [
        migrations.RunSQL("DELETE FROM pulse_rollupday", migrations.RunSQL.noop),
        migrations.RunSQL(
            "INSERT INTO pulse_touchedspan (id, account_id, load_id, since, until)"
            " SELECT gen_random_uuid(), account_id, gen_random_uuid(),"
            "  date_trunc('day', hour, 'UTC'), date_trunc('day', hour, 'UTC') + interval '1 day'"
            " FROM pulse_usagehour GROUP BY account_id, date_trunc('day', hour, 'UTC')",
            migrations.RunSQL.noop,
        ),
    ]
