"""Database and Redis with what Vault says now: real servers, whose passwords really change."""

from __future__ import annotations

import json
import os
import secrets as random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from django.core.cache.backends.redis import RedisCache
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler
from kombu import Connection
from psycopg import sql
from pytest_django import DjangoDbBlocker
from redbeat.schedulers import get_redis

from qcloud.celery import app
from qcloud.kernel import secrets
from qcloud.kernel.env import Env, SettingError
from qcloud.kernel.redis_access import broker_url, present_login, redis_client, without_password
from qcloud.platform import postgres
from qcloud.platform.postgres import Postgres
from qcloud.platform.redis_server import Redis
from tests.vaultsvc.vault.server import VaultServer
from vaultsvc.vault.bootstrap import Bootstrap, DatabasePlan, Plan
from vaultsvc.vault.connection import VaultConnection
from vaultsvc.vault.names import secret_path
from vaultsvc.vault.secrets import VaultSecrets

ROOT = Path(__file__).resolve().parents[3]
SAFE = {
    "QCLOUD_MODE": "production",
    "QCLOUD_ALLOWED_HOSTS": "cloud.example",
    "QCLOUD_DATABASE_HOST": "db.example",
    "QCLOUD_INGEST_PUBLIC_URL": "https://ingest.example",
    "QCLOUD_SECRETS_FROM": "vault",
}
VALUES = {
    secrets.SECRET_KEY: "k" * 50,
    secrets.DATABASE_APP: "app-password",
    secrets.DATABASE_MIGRATOR: "migrator-password",
    secrets.REDIS: "rediss://:redis-password@redis.example/0",
    secrets.EVENTSTORE: "store-password",
}
TELL = (
    "import json, qcloud.settings as s; print(json.dumps({"
    "'QCLOUD_SECRET_KEY': s.SECRET_KEY, 'database': s.DATABASES['default']['PASSWORD'],"
    "'QCLOUD_REDIS_URL': s.REDIS_URL, 'QCLOUD_EVENTSTORE_PASSWORD': s.EVENTSTORE_PASSWORD,"
    "'broker': s.CELERY_BROKER_URL, 'cache': s.CACHES['default']['LOCATION']}))"
)


def keep(server: VaultServer, variable: str, value: str) -> None:
    server.client().secrets.kv.v2.create_or_update_secret(
        secret_path(variable), {"value": value}, mount_point="qcloud-kv"
    )


def start(server: VaultServer, process: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Load the settings in a process of that name, as production would."""
    role = server.role(process)
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", TELL],
        env={
            **SAFE,
            "QCLOUD_PROCESS": process,
            "QCLOUD_VAULT_ADDRESS": server.address,
            "QCLOUD_VAULT_CA_FILE": str(server.ca_file),
            "QCLOUD_VAULT_ROLE_ID": role.role_id,
            "QCLOUD_VAULT_SECRET_ID": role.secret_id or "",
            "QCLOUD_LOG_LEVEL": "ERROR",
            **more,
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def kept(vault_server: VaultServer) -> VaultServer:
    for variable, value in VALUES.items():
        keep(vault_server, variable, value)
    return vault_server


@pytest.fixture
def source(kept: VaultServer) -> Iterator[Callable[..., VaultSecrets]]:
    """Installs a source for this process; taken away after the test."""
    opened: list[VaultConnection] = []

    def install(fresh_seconds: float = 60.0, **changes: Any) -> VaultSecrets:
        opened.append(kept.connection(kept.role("web"), **changes))
        made = VaultSecrets(opened[-1], fresh_seconds=fresh_seconds)
        secrets.install(made)
        return made

    yield install
    secrets.install(None)
    for each in opened:
        each.close()


@pytest.mark.parametrize(
    ("process", "has"),
    [
        ("web", {secrets.SECRET_KEY, "database", secrets.REDIS, secrets.EVENTSTORE}),
        ("ingest", {"database", secrets.REDIS}),
        ("loader", {"database", secrets.EVENTSTORE}),
        ("worker", {secrets.SECRET_KEY, "database", secrets.REDIS, secrets.EVENTSTORE}),
        ("beat", {secrets.REDIS}),
        ("migrator", {"database", secrets.EVENTSTORE}),
    ],
)
def test_each_process_starts_with_its_own_secrets_alone(
    kept: VaultServer, process: str, has: set[str]
) -> None:
    role = {"QCLOUD_DATABASE_ROLE": "migrator"} if process == "migrator" else {}
    done = start(kept, process, **role)
    assert done.stderr == ""
    found = {name: value for name, value in json.loads(done.stdout).items() if value}
    urls = {found.pop("broker", ""), found.pop("cache", "")}
    assert set(found) == has
    password = "migrator-password" if process == "migrator" else "app-password"
    wanted = {**VALUES, "database": password}
    assert found == {name: wanted[name] for name in has}
    assert not any("redis-password" in url for url in urls)


def test_the_environment_goes_before_vault(kept: VaultServer) -> None:
    done = start(kept, "beat", QCLOUD_REDIS_URL="rediss://elsewhere")
    assert json.loads(done.stdout)["QCLOUD_REDIS_URL"] == "rediss://elsewhere"


def test_vault_out_of_reach_at_start_says_so(kept: VaultServer) -> None:
    done = start(kept, "beat", QCLOUD_VAULT_ADDRESS="https://127.0.0.1:1")
    assert done.returncode == 1
    assert "SettingError: QCLOUD_REDIS_URL is to come from Vault" in done.stderr
    assert "cannot be reached" in done.stderr


def test_a_secret_that_vault_lacks_is_named(kept: VaultServer) -> None:
    kept.client().secrets.kv.v2.delete_metadata_and_all_versions(
        secret_path(secrets.REDIS), mount_point="qcloud-kv"
    )
    done = start(kept, "beat")
    assert done.returncode == 1
    assert "QCLOUD_REDIS_URL is not set" in done.stderr


def test_another_keeper_of_secrets_is_refused(kept: VaultServer) -> None:
    done = start(kept, "beat", QCLOUD_SECRETS_FROM="paper")
    assert "QCLOUD_SECRETS_FROM must be environment or vault, not 'paper'" in done.stderr


def test_a_secret_without_its_field_says_how_to_store_it(
    kept: VaultServer, source: Callable[..., VaultSecrets]
) -> None:
    kept.client().secrets.kv.v2.create_or_update_secret(
        secret_path(secrets.REDIS), {"url": "x"}, mount_point="qcloud-kv"
    )
    with pytest.raises(SettingError, match="field named value: vault kv put"):
        source().read(secrets.REDIS)


def test_a_known_secret_outlives_vault(own_server: VaultServer) -> None:
    tuple(Bootstrap(own_server.connection(), Plan(secrets={secrets.REDIS: "redis://a"})).run())
    made = VaultSecrets(own_server.connection(own_server.role("beat"), timeout=1), fresh_seconds=0)
    assert made.read(secrets.REDIS) == "redis://a"
    own_server.stop()
    assert made.read(secrets.REDIS) == "redis://a"
    assert made.changed(secrets.REDIS) is False
    with pytest.raises(SettingError, match="QCLOUD_SECRET_KEY is to come from Vault"):
        made.read(secrets.SECRET_KEY)
    own_server.start()
    keep(own_server, secrets.REDIS, "redis://b")
    time.sleep(1.1)  # as long as nobody asks again after a failure
    assert made.read(secrets.REDIS) == "redis://b"


def test_what_is_no_platform_secret_is_not_asked_for(
    source: Callable[..., VaultSecrets], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QCLOUD_KEYRING_SECRET", raising=False)
    source(address="https://127.0.0.1:1")
    assert Env().secret("QCLOUD_KEYRING_SECRET", "none") == "none"


@dataclass
class Database:
    server: Postgres
    password: str

    def change(self, password: str) -> None:
        with self.server.connect(postgres.SUPERUSER, "qcloud") as connection:
            connection.execute(
                sql.SQL("ALTER ROLE qcloud_app PASSWORD {}").format(sql.Literal(password))
            )
        self.password = password

    def django(self) -> BaseDatabaseWrapper:
        """A wrapper of our engine, as settings make it."""
        return ConnectionHandler(
            {
                "default": {
                    "ENGINE": "qcloud.kernel.postgresql",
                    "HOST": str(self.server.sockets),
                    "PORT": postgres.PORT,
                    "NAME": "qcloud",
                    "USER": "qcloud_app",
                    "PASSWORD": "as it was at start",
                    "OPTIONS": {"connect_timeout": 5},
                }
            }
        )["default"]


@pytest.fixture(scope="module")
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL of this module alone: others would lose their passwords."""
    folder = tmp_path_factory.mktemp("pg")
    passwords = {
        role: random.token_urlsafe(12)
        for role in (postgres.SUPERUSER, postgres.MIGRATOR, postgres.APP, postgres.READONLY)
    }
    server = Postgres(folder / "postgres", folder / "s", folder / "log", passwords)
    server.initialize()
    child = server.child()
    child.start()
    child.wait_until(server.ready, 30)
    server.provision()
    with server.connect(postgres.SUPERUSER, "qcloud") as connection:
        connection.execute("CREATE ROLE vault_admin LOGIN CREATEROLE PASSWORD 'admin'")
        connection.execute("GRANT qcloud_app TO vault_admin WITH ADMIN OPTION")
        connection.execute("GRANT CONNECT ON DATABASE qcloud TO vault_admin")
    yield server
    child.stop()


@pytest.fixture
def database(
    own_postgres: Postgres, monkeypatch: pytest.MonkeyPatch, django_db_blocker: DjangoDbBlocker
) -> Iterator[Database]:
    monkeypatch.delenv(secrets.DATABASE_APP)
    opened = Database(own_postgres, "")
    opened.change(random.token_urlsafe(12))
    with django_db_blocker.unblock():
        yield opened


def asked(wrapper: BaseDatabaseWrapper, question: str) -> Any:
    with wrapper.cursor() as cursor:
        cursor.execute(question)
        return cursor.fetchone()


def test_a_changed_database_password_is_used_by_the_next_connection(
    kept: VaultServer, source: Callable[..., VaultSecrets], database: Database
) -> None:
    keep(kept, secrets.DATABASE_APP, database.password)
    source(fresh_seconds=600)
    open_before, wrapper = database.django(), database.django()
    assert asked(open_before, "SELECT 1") == asked(wrapper, "SELECT 1") == (1,)
    wrapper.close()
    database.change("the next one")
    with pytest.raises(psycopg.OperationalError, match="password"):
        wrapper.connect()
    keep(kept, secrets.DATABASE_APP, "the next one")
    # At once, although the old one is known to be fresh for ten minutes.
    assert asked(wrapper, "SELECT 2") == (2,)
    assert asked(open_before, "SELECT 3") == (3,)
    wrapper.close()
    open_before.close()


def test_a_password_in_a_file_is_read_anew(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    file.write_text(database.password)
    monkeypatch.setenv(f"{secrets.DATABASE_APP}_FILE", str(file))
    wrapper = database.django()
    assert asked(wrapper, "SELECT 1") == (1,)
    wrapper.close()
    database.change("another")
    file.write_text("another")
    assert asked(wrapper, "SELECT 1") == (1,)
    wrapper.close()


@pytest.fixture
def logins(kept: VaultServer, database: Database) -> str:
    """Vault makes logins of 6 seconds, 15 at most; the mount where."""
    mount = f"db-{random.token_hex(4)}"
    plan = Plan(
        database=DatabasePlan(
            url=f"postgresql://{{{{username}}}}:{{{{password}}}}@/qcloud?host={database.server.sockets}",
            user="vault_admin",
            password="admin",
            seconds=6,
            longest_seconds=15,
        )
    )
    tuple(Bootstrap(kept.connection(database_mount=mount), plan).run())
    return mount


def test_vault_makes_the_login_and_the_session_is_the_application(
    source: Callable[..., VaultSecrets], database: Database, logins: str
) -> None:
    made = source(database_mount=logins)
    wrapper = database.django()
    user, session = asked(wrapper, "SELECT current_user, session_user")
    assert user == "qcloud_app"
    assert session.startswith("v-")
    login = made.database_login("app")
    assert login is not None
    assert login.user == session
    powers = asked(
        wrapper,
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles"
        " WHERE rolname = session_user",
    )
    assert powers == (False, False, False, False)
    assert made.database_login("migrator") is None
    wrapper.close()


@pytest.mark.slow
def test_a_login_is_renewed_and_replaced_before_it_ends(
    source: Callable[..., VaultSecrets], database: Database, logins: str
) -> None:
    made = source(database_mount=logins)
    first = made.database_login("app")
    seen: set[str] = set()
    began = time.monotonic()
    while time.monotonic() - began < 20:
        wrapper = database.django()
        (user,) = asked(wrapper, "SELECT session_user")
        seen.add(user)
        if time.monotonic() - began < 7:  # past its first lease: it was renewed
            assert first is not None
            assert user == first.user
        wrapper.close()
        time.sleep(0.5)
    assert len(seen) == 2


def test_a_withdrawn_login_is_replaced_at_the_next_connection(
    kept: VaultServer, source: Callable[..., VaultSecrets], database: Database, logins: str
) -> None:
    made = source(database_mount=logins)
    wrapper = database.django()
    (before,) = asked(wrapper, "SELECT session_user")
    wrapper.close()
    kept.client().sys.revoke_prefix(f"{logins}/creds/qcloud-app")
    with database.server.connect(postgres.SUPERUSER, "qcloud") as connection:
        gone = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (before,)).fetchone()
        assert gone is None
    (after,) = asked(wrapper, "SELECT session_user")
    assert after != before
    assert made.database_login("app") is not None
    wrapper.close()


def test_a_logins_end_with_their_token_is_noticed(
    kept: VaultServer, source: Callable[..., VaultSecrets], database: Database, logins: str
) -> None:
    made = source(fresh_seconds=0, database_mount=logins)
    wrapper = database.django()
    (before,) = asked(wrapper, "SELECT session_user")
    wrapper.close()
    kept.client().auth.token.revoke(made._vault._logged_in().client.token)
    (after,) = asked(wrapper, "SELECT session_user")
    assert after != before
    wrapper.close()


@pytest.fixture
def own_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    monkeypatch.delenv(secrets.REDIS)
    server = Redis(tmp_path / "redis", tmp_path / "r.sock", tmp_path / "redis.log", "first")
    child = server.child()
    child.start()
    child.wait_until(server.ready, 30)
    yield server
    child.stop()


def test_a_changed_redis_password_is_used_by_the_next_connection(
    kept: VaultServer, source: Callable[..., VaultSecrets], own_redis: Redis
) -> None:
    url = own_redis.url
    keep(kept, secrets.REDIS, url)
    source(fresh_seconds=0)
    cache = RedisCache(without_password(url), {"OPTIONS": present_login(url)})
    cache.set("a", 1)
    with redis_client() as broker:
        broker.config_set("requirepass", "second")
    keep(kept, secrets.REDIS, url.replace("first", "second"))
    # What was connected before stays connected; what connects now has the new one.
    assert cache.get("a") == 1
    fresh = RedisCache(without_password(url), {"OPTIONS": present_login(url)})
    assert fresh.get("a") == 1
    with redis_client() as broker, Connection(broker_url(url)) as queue:
        assert broker.ping() is True
        queue.connect()
        assert queue.connected
    with pytest.raises(redis.AuthenticationError), redis.Redis.from_url(url) as old:
        old.ping()
    cache.close()
    fresh.close()


def test_broker_and_scheduler_of_the_platform_get_in_without_a_password_in_their_urls() -> None:
    password = urlsplit(os.environ[secrets.REDIS]).password
    assert password
    assert password not in app.conf.broker_url
    assert password not in app.conf.redbeat_redis_url
    assert get_redis(app).ping() is True
    with app.connection_for_write() as queue:
        queue.connect()
        assert queue.connected


def test_a_redis_without_password_is_left_alone() -> None:
    url = "redis://127.0.0.1:6379/3"
    assert present_login(url) == {}
    assert without_password(url) == broker_url(url) == url
