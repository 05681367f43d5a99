"""The demo is made once, whatever is repeated."""

from __future__ import annotations

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
    made = demo.make(tmp_path)
    root = root_account()
    assert root is not None
    assert root.name == "Nordlicht Cloud"
    assert [a.name for a in children(root.scope)] == ["Hansa Systems", "Acme Shop", "Birch Bank"]
    assert {login.tier for login in made.logins} == set(Tier)
    assert len({login.password for login in made.logins}) == len(made.logins) == 5
    for login in made.logins:
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


def test_repeating_makes_nothing_and_passwords_differ_between_installations(
    tmp_path: Path,
) -> None:
    first = demo.make(tmp_path)
    assert demo.make(tmp_path) == demo.Made((), {})
    acme = account_by_slug("acme")
    assert acme is not None
    assert len(environments(acme.scope)) == 1
    assert len(staff(acme.scope)) == 2
    assert all(len(login.password) >= 16 for login in first.logins)
    source = Path(demo.__file__).read_text()
    assert all(login.password not in source for login in first.logins)
