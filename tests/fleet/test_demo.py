"""The demo is made once, whatever is repeated."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from django.contrib.auth.hashers import check_password

from fleet import demo
from fleet.selectors import config_document, environments, registration_by_token
from identity.models import User
from identity.selectors import account_by_slug, children, memberships_of, root_account, staff
from qcloud.kernel.scope import Tier, scoped, unscoped

pytestmark = pytest.mark.django_db


def test_the_demo_has_each_tier_and_says_its_secrets_once(tmp_path: Path) -> None:
    made = demo.Secrets(save=lambda _secrets: None)
    demo.make(tmp_path, made)
    root = root_account()
    assert root is not None
    assert root.name == "Nordlicht Cloud"
    assert [a.name for a in children(root.scope)] == ["Hansa Systems", "Acme Shop", "Birch Bank"]
    assert {login.tier for login in made.logins.values()} == set(Tier)
    assert len({login.password for login in made.logins.values()}) == len(made.logins) == 5
    for login in made.logins.values():
        with unscoped("test"):
            user = User.objects.get(email=login.email)
        assert check_password(login.password, user.password)
        assert [(m.account.slug, m.role) for m in memberships_of(user.id)] == [
            (login.account, login.role)
        ]
    assert set(made.registration_tokens) == {"acme", "birch"}
    for slug, token in made.registration_tokens.items():
        registration = registration_by_token(token)
        assert registration is not None
        assert (registration.account_slug, registration.environment_slug) == (slug, "production")
        with scoped(registration.scope):
            document = config_document(registration.environment_id)
        assert document["services"]["object_stores"][0]["path"] == str(tmp_path / slug)


def test_repeating_makes_nothing_and_passwords_are_random(tmp_path: Path) -> None:
    saved: list[int] = []
    kept = demo.Secrets(save=lambda secrets: saved.append(len(secrets.logins)))
    demo.make(tmp_path, kept)
    logins, tokens, saves = dict(kept.logins), dict(kept.registration_tokens), len(saved)
    demo.make(tmp_path, kept)
    assert (kept.logins, kept.registration_tokens, len(saved)) == (logins, tokens, saves)
    acme = account_by_slug("acme")
    assert acme is not None
    assert len(environments(acme.scope)) == 1
    assert len(staff(acme.scope)) == 2
    assert all(len(login.password) >= 16 for login in logins.values())
    source = Path(demo.__file__).read_text()
    assert all(login.password not in source for login in logins.values())


def test_a_demo_killed_at_any_point_is_finished_by_the_next_one(tmp_path: Path) -> None:
    """Whatever was saved last is all that the next call knows."""
    disk: dict[str, demo.Secrets] = {}

    class Killed(Exception):
        pass

    def save_and_maybe_die(secrets: demo.Secrets) -> None:
        disk["file"] = replace(
            secrets,
            logins=dict(secrets.logins),
            registration_tokens=dict(secrets.registration_tokens),
        )
        raise Killed

    for _ in range(10):
        known = disk.get("file", demo.Secrets(save=save_and_maybe_die))
        with suppress(Killed):
            demo.make(tmp_path, replace(known, save=save_and_maybe_die))
    for login in disk["file"].logins.values():
        with unscoped("test"):
            user = User.objects.get(email=login.email)
        assert check_password(login.password, user.password)
    assert len(disk["file"].logins) == 5
    for token in disk["file"].registration_tokens.values():
        assert registration_by_token(token) is not None
    assert set(disk["file"].registration_tokens) == {"acme", "birch"}
