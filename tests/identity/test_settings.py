"""Who changes a setting, what is refused, and what the journal keeps of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from audit.selectors import EntryFilter, entries
from identity import policies
from identity.services import setting_reset, settings_set, staff_create
from notify.policies import MAIL, MAIL_PASSWORD, MAIL_USER
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound, StepUpNeeded
from qcloud.kernel.models import SettingRow
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import Tier, unscoped
from qcloud.kernel.settings import Source, in_force, value
from tests.factories.cast import Person, hire

pytestmark = pytest.mark.django_db

IDLE = policies.SESSION_IDLE[Tier.CLOUD]
WHOLE = policies.SESSION_ABSOLUTE[Tier.CLOUD]


def fresh(person: Person) -> Actor:
    return replace(person.actor, proved_at=now())


def journal(person: Person, action: str) -> list[dict[str, Any]]:
    found = entries(person.scope, EntryFilter(action=action))
    return [entry.data for entry in found.entries]


def stored() -> dict[str, str]:
    with unscoped("test"):
        return dict(SettingRow.objects.values_list("key", "text"))


def test_a_cloud_admin_changes_settings_and_the_journal_has_both_values(
    cloud_admin: Person,
) -> None:
    changed = settings_set(
        actor=fresh(cloud_admin),
        group="sessions",
        texts={IDLE.key: "20 min", WHOLE.key: "12 h"},
    )
    assert changed == (IDLE.key,)
    assert value(IDLE) == timedelta(minutes=20)
    assert stored() == {IDLE.key: "20 min"}
    found = in_force(IDLE)
    assert (found.source, found.set_by) == (Source.STORED, cloud_admin.email)
    assert journal(cloud_admin, "identity.settings.set") == [
        {"changes": [{"key": IDLE.key, "before": "15 min", "after": "20 min"}]}
    ]


def test_nothing_changed_is_nothing_journalled(cloud_admin: Person) -> None:
    changed = settings_set(actor=cloud_admin.actor, group="sessions", texts={IDLE.key: "900 s"})
    assert changed == ()
    assert journal(cloud_admin, "identity.settings") == []


def test_what_bears_on_security_asks_who_it_is_again(cloud_admin: Person) -> None:
    with pytest.raises(StepUpNeeded):
        settings_set(actor=cloud_admin.actor, group="sessions", texts={IDLE.key: "20 min"})
    settings_set(
        actor=cloud_admin.actor, group="mfa", texts={policies.MFA_ISSUER.key: "Acme Cloud"}
    )
    assert stored() == {policies.MFA_ISSUER.key: "Acme Cloud"}


@pytest.mark.parametrize("role", ["editor", "viewer", "billing", "support"])
def test_other_staff_of_the_provider_change_nothing(cloud_admin: Person, role: str) -> None:
    other = hire(cloud_admin.account, role, "other@provider.example", cloud_admin.actor)
    for actor in (other.actor, fresh(other)):
        with pytest.raises(Denied, match="qcloud:settings:write"):
            settings_set(actor=actor, group="mfa", texts={policies.MFA_ISSUER.key: "Mine"})
        with pytest.raises(Denied):
            setting_reset(actor=actor, key=policies.MFA_ISSUER.key)
    assert stored() == {}


def test_resellers_and_customers_change_nothing(
    reseller_owner: Person, customer_owner: Person
) -> None:
    for person in (reseller_owner, customer_owner):
        with pytest.raises(Denied):
            settings_set(actor=fresh(person), group="mfa", texts={policies.MFA_ISSUER.key: "Mine"})
    assert stored() == {}


def test_one_wrong_field_changes_none_and_is_named(cloud_admin: Person) -> None:
    with pytest.raises(Invalid) as refused:
        settings_set(
            actor=fresh(cloud_admin),
            group="sessions",
            texts={IDLE.key: "20 min", WHOLE.key: "for ever"},
        )
    assert set(refused.value.data["fields"]) == {WHOLE.key}
    assert stored() == {}


def test_a_combination_that_makes_no_sense_names_its_field(cloud_admin: Person) -> None:
    with pytest.raises(Invalid) as refused:
        settings_set(actor=fresh(cloud_admin), group="sessions", texts={IDLE.key: "13 h"})
    assert refused.value.data["fields"] == {
        IDLE.key: "Longer than the session may last at all: it would never count."
    }
    settings_set(
        actor=fresh(cloud_admin), group="sessions", texts={IDLE.key: "13 h", WHOLE.key: "1 d"}
    )
    with pytest.raises(Invalid, match="do not go together"):
        setting_reset(actor=fresh(cloud_admin), key=WHOLE.key)
    assert value(WHOLE) == timedelta(days=1)


def test_a_variable_on_the_server_cannot_be_changed_from_a_page(
    cloud_admin: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QCLOUD_IDENTITY_MFA_ISSUER", "Fixed")
    key = policies.MFA_ISSUER.key
    with pytest.raises(Conflict, match="QCLOUD_IDENTITY_MFA_ISSUER") as refused:
        settings_set(actor=cloud_admin.actor, group="mfa", texts={key: "Mine"})
    assert refused.value.data["fields"] == {key: "Fixed on the server."}
    with pytest.raises(Conflict, match="fixed by"):
        setting_reset(actor=cloud_admin.actor, key=key)
    # The page posts all of its fields: one that says what is in force is no change.
    assert settings_set(actor=cloud_admin.actor, group="mfa", texts={key: "Fixed"}) == ()


def test_a_setting_goes_back_to_its_default(cloud_admin: Person) -> None:
    key = policies.MFA_ISSUER.key
    with pytest.raises(Conflict, match="at its default"):
        setting_reset(actor=cloud_admin.actor, key=key)
    settings_set(actor=cloud_admin.actor, group="mfa", texts={key: "Acme"})
    setting_reset(actor=cloud_admin.actor, key=key)
    assert (value(policies.MFA_ISSUER), stored()) == ("QCloud", {})
    assert journal(cloud_admin, "identity.settings.reset") == [
        {"changes": [{"key": key, "before": "Acme", "after": "QCloud"}]}
    ]


def test_unknown_names_are_refused(cloud_admin: Person) -> None:
    with pytest.raises(NotFound):
        settings_set(actor=cloud_admin.actor, group="nothing", texts={})
    with pytest.raises(NotFound):
        settings_set(actor=cloud_admin.actor, group="mfa", texts={IDLE.key: "1 h"})
    with pytest.raises(NotFound):
        setting_reset(actor=cloud_admin.actor, key="nothing.at.all")


def test_new_passwords_follow_the_settings(cloud_admin: Person) -> None:
    def hired(password: str) -> None:
        staff_create(
            actor=Actor.system("test"),
            account_id=cloud_admin.account.id,
            email="new@provider.example",
            name="New",
            role="viewer",
            password=password,
        )

    with pytest.raises(Invalid) as refused:
        hired("elevenchars")
    assert refused.value.data["fields"] == {"password": ["Too short: at least 12 characters."]}
    settings_set(
        actor=fresh(cloud_admin),
        group="passwords",
        texts={policies.PASSWORD_LENGTH.key: "30"},
    )
    with pytest.raises(Invalid) as longer:
        hired("correct horse battery staple")
    assert longer.value.data["fields"] == {"password": ["Too short: at least 30 characters."]}
    settings_set(
        actor=fresh(cloud_admin),
        group="passwords",
        texts={policies.PASSWORD_LENGTH.key: "8", policies.PASSWORD_COMMON.key: "off"},
    )
    hired("password1")


def test_a_secret_is_sealed_where_it_lies_and_never_shown(cloud_admin: Person) -> None:
    password = "hunter2-hunter2"
    texts = {MAIL_USER.key: "relay", MAIL_PASSWORD.key: password}
    settings_set(actor=fresh(cloud_admin), group=MAIL.key, texts=texts)
    assert value(MAIL_PASSWORD) == password
    assert in_force(MAIL_PASSWORD).shown == "set"
    with unscoped("test"):
        row = SettingRow.objects.get(key=MAIL_PASSWORD.key)
    assert row.text == ""
    assert password.encode() not in bytes(row.sealed)
    found = journal(cloud_admin, "identity.settings.set")
    assert password not in str(found)
    assert {"key": MAIL_PASSWORD.key, "before": "not set", "after": "set"} in found[0]["changes"]
    # A form that shows no secret posts none back: it stays.
    assert (
        settings_set(actor=cloud_admin.actor, group=MAIL.key, texts={MAIL_PASSWORD.key: ""}) == ()
    )
    assert value(MAIL_PASSWORD) == password


def test_a_mail_password_does_not_travel_in_the_clear(cloud_admin: Person) -> None:
    with pytest.raises(Invalid) as refused:
        settings_set(
            actor=fresh(cloud_admin),
            group=MAIL.key,
            texts={
                "notify.mail.host": "mail.example.org",
                "notify.mail.security": "none",
                MAIL_USER.key: "relay",
                MAIL_PASSWORD.key: "x",
            },
        )
    assert set(refused.value.data["fields"]) == {"notify.mail.security", "notify.mail.sender"}
    assert stored() == {}
