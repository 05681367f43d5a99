from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("pulse", "0018_boots_in_bounds"),
    ]

    operations = [
        migrations.AddField(
            model_name="issue",
            name="severity",
            field=models.CharField(
                choices=[("info", "Info"), ("warning", "Warning"), ("critical", "Critical")],
                db_default="warning",
                default="warning",
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="issue",
            name="kind",
            field=models.CharField(
                choices=[
                    ("errors", "Errors"),
                    ("latency", "Latency"),
                    ("new_status", "New status"),
                    ("reported", "Reported by a rule"),
                    ("certificate", "Certificate expires"),
                    ("overflow", "Too many to list"),
                ],
                max_length=12,
            ),
        ),
    ]
