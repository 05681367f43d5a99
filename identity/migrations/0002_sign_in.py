"""Sessions of one portal each, the access log, known browsers, guards against guessing."""

from __future__ import annotations

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

import qcloud.kernel.clock
import qcloud.kernel.ids
from qcloud.kernel.rls import RowClass, RowSecurity

# Sessions from before belong to no portal; whoever has one signs in again.
_FORGET_SESSIONS = """
SELECT set_config('qcloud.mode', 'system', true);
DELETE FROM identity_session;
SELECT set_config('qcloud.mode', '', true);
"""

# The log is append-only but for its age: in system mode what is older than 30 days can be
# deleted, nothing younger, by nobody.
_FORGET = """
DROP TRIGGER identity_accessevent_append_only ON identity_accessevent;
CREATE TRIGGER identity_accessevent_append_only BEFORE UPDATE OR TRUNCATE
    ON identity_accessevent FOR EACH STATEMENT EXECUTE FUNCTION qcloud_refuse_change();
CREATE TRIGGER identity_accessevent_keep BEFORE DELETE
    ON identity_accessevent FOR EACH STATEMENT WHEN (NOT qcloud_is_system())
    EXECUTE FUNCTION qcloud_refuse_change();
CREATE TRIGGER identity_accessevent_keep_young BEFORE DELETE
    ON identity_accessevent FOR EACH ROW WHEN (OLD.at > now() - interval '30 days')
    EXECUTE FUNCTION qcloud_refuse_change();
CREATE POLICY identity_accessevent_forget ON identity_accessevent FOR DELETE
    USING (qcloud_is_system());
GRANT DELETE ON identity_accessevent TO qcloud_app;
"""
_KEEP = """
REVOKE DELETE ON identity_accessevent FROM qcloud_app;
DROP POLICY identity_accessevent_forget ON identity_accessevent;
DROP TRIGGER identity_accessevent_keep_young ON identity_accessevent;
DROP TRIGGER identity_accessevent_keep ON identity_accessevent;
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("identity", "0001_initial"),
    ]

    operations: ClassVar = [
        migrations.RunSQL(_FORGET_SESSIONS, migrations.RunSQL.noop),
        migrations.CreateModel(
            name="AccessEvent",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=qcloud.kernel.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("account_id", models.UUIDField(db_index=True)),
                ("account_path", models.TextField()),
                ("at", models.DateTimeField(default=qcloud.kernel.clock.now)),
                ("event", models.CharField(max_length=24)),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("allowed", "Allowed"),
                            ("denied", "Denied"),
                            ("failed", "Failed"),
                        ],
                        max_length=8,
                    ),
                ),
                ("reason", models.CharField(blank=True, max_length=200)),
                ("user_id", models.UUIDField(null=True)),
                ("user_name", models.CharField(max_length=254)),
                ("portal", models.CharField(blank=True, max_length=8)),
                ("factor", models.CharField(blank=True, max_length=16)),
                ("ip", models.CharField(blank=True, max_length=64)),
                ("user_agent", models.CharField(blank=True, max_length=256)),
                ("place", models.CharField(blank=True, max_length=100)),
                ("latitude", models.FloatField(null=True)),
                ("longitude", models.FloatField(null=True)),
                ("flags", models.JSONField(default=list)),
                ("session_id", models.UUIDField(null=True)),
                ("request_id", models.CharField(blank=True, max_length=64)),
            ],
            options={
                "ordering": ("-id",),
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="KnownDevice",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=qcloud.kernel.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("token_hash", models.CharField(max_length=64)),
                ("first_seen", models.DateTimeField(default=qcloud.kernel.clock.now)),
                ("last_seen", models.DateTimeField(default=qcloud.kernel.clock.now)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="NameGuard",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=qcloud.kernel.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("user_name", models.CharField(max_length=254, unique=True)),
                ("failures", models.IntegerField(default=0)),
                ("since", models.DateTimeField(default=qcloud.kernel.clock.now)),
                ("locked_until", models.DateTimeField(null=True)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.AddField(
            model_name="session",
            name="begun_at",
            field=models.DateTimeField(default=qcloud.kernel.clock.now),
        ),
        migrations.AddField(
            model_name="session",
            name="break_glass",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="session",
            name="factor",
            field=models.CharField(blank=True, max_length=16),
        ),
        migrations.AddField(
            model_name="session",
            name="ip",
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddField(
            model_name="session",
            name="portal",
            field=models.CharField(blank=True, max_length=8),
        ),
        migrations.AddField(
            model_name="session",
            name="proved_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="session",
            name="public_id",
            field=models.UUIDField(default=qcloud.kernel.ids.new_id),
        ),
        migrations.AddField(
            model_name="session",
            name="seen_at",
            field=models.DateTimeField(default=qcloud.kernel.clock.now),
        ),
        migrations.AddField(
            model_name="session",
            name="stage",
            field=models.CharField(
                choices=[("factor", "Factor"), ("enrol", "Enrol"), ("full", "Full")],
                default="full",
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="session",
            name="tries",
            field=models.SmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="session",
            name="user",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="identity.user",
            ),
        ),
        migrations.AddField(
            model_name="session",
            name="user_agent",
            field=models.CharField(blank=True, max_length=256),
        ),
        migrations.AddIndex(
            model_name="session",
            index=models.Index(fields=["user", "-seen_at"], name="identity_session_user"),
        ),
        migrations.AddConstraint(
            model_name="session",
            constraint=models.UniqueConstraint(
                models.F("public_id"), name="identity_session_public"
            ),
        ),
        migrations.AddIndex(
            model_name="accessevent",
            index=models.Index(fields=["account_id", "-id"], name="identity_access_account"),
        ),
        migrations.AddIndex(
            model_name="accessevent",
            index=models.Index(fields=["user_id", "-id"], name="identity_access_user"),
        ),
        migrations.AddIndex(
            model_name="accessevent",
            index=models.Index(fields=["ip", "-id"], name="identity_access_ip"),
        ),
        migrations.AddIndex(
            model_name="accessevent",
            index=models.Index(
                condition=models.Q(("flags", []), _negated=True),
                fields=["-id"],
                name="identity_access_flagged",
            ),
        ),
        migrations.AddField(
            model_name="knowndevice",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="identity.user"
            ),
        ),
        migrations.AddConstraint(
            model_name="knowndevice",
            constraint=models.UniqueConstraint(
                fields=("user", "token_hash"), name="identity_device_once"
            ),
        ),
        RowSecurity("identity_accessevent", RowClass.SUBTREE, append_only=True),
        RowSecurity("identity_knowndevice", RowClass.INTERNAL),
        RowSecurity("identity_nameguard", RowClass.INTERNAL),
        migrations.RunSQL(_FORGET, _KEEP),
    ]
