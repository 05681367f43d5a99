"""Every kind of credential is made as a person makes it; then the whole database, Redis and
what was logged are searched for it. Names of columns play no part: JSON and free text are
searched as well.
"""

from __future__ import annotations

import base64
import io
import logging
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from typing import Final

import pytest
from django.core.cache import cache
from django.db import connection
from redis import Redis
from structlog.testing import capture_logs

from fleet.services import registration_token_create
from fleet.services.tokens import registration_token_reveal
from identity import services
from identity.services.passwords import password_reset_ask
from identity.services.settings import settings_set
from identity.tasks import send_notices
from notify.models import Delivery
from notify.services.channels import channel_create, channel_secret_rotate
from qcloud.kernel.clock import now
from qcloud.kernel.redis_access import redis_client
from qcloud.kernel.scope import unscoped
from tests.factories.cast import PASSWORD, Person, invite, last_token
from tests.fleet.conftest import register
from tests.identity.test_factors import VISITOR, code_of, enter, visit
from tests.vaultsvc.values import environment_of

pytestmark = pytest.mark.django_db(transaction=True)

MAIL_PASSWORD: Final = "correct horse of the mail server"
SLACK: Final = "https://hooks.slack.com/services/T000/B000/canary0of0slack"


@pytest.fixture(autouse=True)
def _no_counts_from_before() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def test_no_credential_is_anywhere_in_the_clear(
    cloud_admin: Person, customer_owner: Person, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = io.StringIO()
    with capture_logs() as logged, redirect_stdout(said), redirect_stderr(said):
        secrets = {
            **tokens(customer_owner),
            **channels(customer_owner),
            **settings(cloud_admin),
            **sign_in(customer_owner),
            **letters(cloud_admin, customer_owner),
        }
    assert len(secrets) == 14
    assert min(len(secret) for secret in secrets.values()) >= 10
    places = {**tables(), **redis(), "logs": f"{logged}{caplog.text}{said.getvalue()}".encode()}
    assert {"identity_session", "notify_delivery", "audit_entry"} <= places.keys()
    found = {
        (what, place)
        for what, secret in secrets.items()
        for place, content in places.items()
        if any(form in content for form in forms(secret))
    }
    assert found == set()


def test_the_search_finds_what_is_there(customer_owner: Person) -> None:
    where = tables()
    assert customer_owner.email.encode() in where["identity_user"]
    hidden = forms(b"\x00\xffcanary\xfe")
    assert b"\\x00ff63616e617279fe"[2:] in hidden
    assert base64.b64encode(b"\x00\xffcanary\xfe") in hidden


def tokens(person: Person) -> dict[str, bytes]:
    environment = environment_of(person)
    made, text = registration_token_create(
        actor=person.actor, environment_id=environment.id, name="rack"
    )
    fresh = replace(person.actor, proved_at=now())
    assert registration_token_reveal(actor=fresh, token_id=made.id) == text
    return {"registration token": text.encode(), "agent token": register(text).agent_token.encode()}


def channels(person: Person) -> dict[str, bytes]:
    made = channel_create(
        actor=person.actor, kind="webhook", name="hook", url="https://8.8.8.8/canary-of-the-url"
    )
    again = channel_secret_rotate(actor=person.actor, channel_id=made[0].id)
    channel_create(actor=person.actor, kind="slack", name="slack", url=SLACK)
    return {
        "webhook secret": made[1].encode(),
        "second webhook secret": again[1].encode(),
        "webhook path": b"canary-of-the-url",
        "slack address": b"canary0of0slack"[:-4],  # its last four characters are shown
    }


def settings(person: Person) -> dict[str, bytes]:
    texts = {
        "notify.mail.host": "mail.example",
        "notify.mail.sender": "qcloud@mail.example",
        "notify.mail.user": "qcloud",
        "notify.mail.password": MAIL_PASSWORD,
    }
    actor = replace(person.actor, proved_at=now())
    assert "notify.mail.password" in settings_set(actor=actor, group="mail", texts=texts)
    return {"mail password": MAIL_PASSWORD.encode()}


def sign_in(person: Person) -> dict[str, bytes]:
    """Half-way through the set-up of a second factor: seed and codes are at their freshest."""
    request = visit()
    enter(person, request)
    seed = services.set_up_seed(request)
    codes = services.set_up_try(request, code=code_of(person, confirmed=False), visitor=VISITOR)
    raw = base64.b32decode(seed.text.replace(" ", ""))
    return {
        "seed": raw,
        "seed as text": seed.text.replace(" ", "").encode(),
        "recovery code": codes[0].encode(),
        "session": str(request.session.session_key).encode(),
        "password": PASSWORD.encode(),
    }


def letters(admin: Person, person: Person) -> dict[str, bytes]:
    invite(person.account, "viewer", "new@acme.example", person.actor)
    password_reset_ask(visit(), email=admin.email, visitor=VISITOR)
    send_notices()
    with unscoped("test"):
        bodies = [row.payload.reveal() for row in Delivery.objects.filter(payload__isnull=False)]
    links = list({found for body in bodies for found in re.findall(r"/password/([\w-]{43})", body)})
    assert len(links) == 1
    return {"invitation": last_token().encode(), "reset link": links[0].encode()}


def forms(secret: bytes) -> set[bytes]:
    """As it is, as PostgreSQL prints bytes, and as JSON, URLs and base64 would carry it."""
    return {
        secret,
        secret.hex().encode(),
        base64.b64encode(secret).rstrip(b"="),
        base64.b64encode(secret),
        base64.urlsafe_b64encode(secret).rstrip(b"="),
    }


def tables() -> dict[str, bytes]:
    """Every row of every table, in PostgreSQL's own words: as a dump would have them."""
    with unscoped("test"), connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        names = [name for (name,) in cursor.fetchall()]
        found = {}
        for name in names:
            cursor.execute(f'SELECT t::text FROM "{name}" AS t')  # noqa: S608  names of tables
            found[name] = "\n".join(row for (row,) in cursor.fetchall()).encode()
    return found


def redis() -> dict[str, bytes]:
    """Cache, counters, and what waits for the workers."""
    with redis_client() as client:
        return {
            f"redis {key!r}": key + repr(_kept(client, key)).encode() for key in client.scan_iter()
        }


def _kept(client: Redis, key: bytes) -> object:
    match client.type(key):
        case b"string":
            return client.get(key)
        case b"hash":
            return client.hgetall(key)
        case b"list":
            return client.lrange(key, 0, -1)
        case b"set":
            return client.smembers(key)
        case b"zset":
            return client.zrange(key, 0, -1)
        case other:
            raise AssertionError(f"how is a {other!r} read?")
