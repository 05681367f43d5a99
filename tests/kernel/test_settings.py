"""Settings of the running platform: types, where a value comes from, how old it can be."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from qcloud.kernel import settings as platform
from qcloud.kernel.env import SettingError
from qcloud.kernel.models import SettingRow
from qcloud.kernel.scope import unscoped
from qcloud.kernel.settings import kinds, registry

GROUP = platform.Group("test", "Test", "For tests.", 1)


@pytest.fixture
def length(monkeypatch: pytest.MonkeyPatch) -> Iterator[platform.Setting[int]]:
    """A setting of this test's own, gone afterwards."""
    monkeypatch.setattr(registry._registry, "settings", dict(registry._registry.settings))
    yield platform.integer(
        "kernel.test.length", "Length", about="", group=GROUP, default=12, low=1, high=99
    )
    registry._parsed.clear()


def put(setting: platform.Setting[int], number: int) -> None:
    with unscoped("test"):
        platform.store(setting, number, by_label="ada@provider.example", by_id=None)


@pytest.mark.django_db
def test_environment_before_stored_before_default(
    length: platform.Setting[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = platform.in_force(length)
    assert (first.value, first.source, first.set_by) == (12, platform.Source.DEFAULT, "")
    put(length, 20)
    second = platform.in_force(length)
    assert (second.value, second.source, second.set_by) == (
        20,
        platform.Source.STORED,
        "ada@provider.example",
    )
    assert second.set_at is not None
    monkeypatch.setenv("QCLOUD_KERNEL_TEST_LENGTH", "30")
    third = platform.in_force(length)
    assert (third.value, third.source, third.set_at) == (30, platform.Source.ENVIRONMENT, None)
    monkeypatch.delenv("QCLOUD_KERNEL_TEST_LENGTH")
    with unscoped("test"):
        platform.unset(length)
    assert platform.value(length) == 12


@pytest.mark.django_db
def test_a_question_costs_no_query_until_the_answer_is_a_second_old(
    length: platform.Setting[int],
    monkeypatch: pytest.MonkeyPatch,
    django_assert_num_queries: pytest.FixtureRequest,
) -> None:
    moment = [1_000.0]
    monkeypatch.setattr("time.monotonic", lambda: moment[0])
    assert platform.value(length) == 12
    with unscoped("another process stored it"):
        SettingRow(key=length.key, text="44", set_by="x", set_at="2026-01-01T00:00Z").save()
    with django_assert_num_queries(0):  # type: ignore[operator]  # a fixture without a type
        moment[0] += platform.MAX_AGE
        assert platform.value(length) == 12
    moment[0] += 0.01
    assert platform.value(length) == 44


@pytest.mark.django_db(transaction=True)
def test_a_change_that_was_rolled_back_was_never_in_force(length: platform.Setting[int]) -> None:
    def change_and_fail() -> None:
        with transaction.atomic():
            put(length, 50)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change_and_fail()
    assert platform.value(length) == 12
    put(length, 50)
    assert platform.value(length) == 50


@pytest.mark.django_db
def test_what_this_release_does_not_take_counts_as_not_set(
    length: platform.Setting[int],
) -> None:
    with unscoped("test"):
        for key, text in ((length.key, "100"), ("gone.in.this.release", "1")):
            SettingRow(key=key, text=text, set_by="x", set_at="2026-01-01T00:00Z").save()
    platform.forget()
    assert platform.in_force(length).source is platform.Source.DEFAULT
    assert platform.value(length) == 12


def test_an_unusable_variable_keeps_every_process_from_starting() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import django; django.setup()"],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "qcloud.settings",
            "QCLOUD_IDENTITY_SESSION_IDLE_CLOUD": "soon",
            "QCLOUD_IDENTITY_PASSWORD_LENGTH": "4",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr[done.stderr.index("SettingError") :]
    assert "QCLOUD_IDENTITY_SESSION_IDLE_CLOUD: Say a number and a unit" in last
    assert "QCLOUD_IDENTITY_PASSWORD_LENGTH: Between 8 and 128." in last


def test_a_key_is_declared_once(length: platform.Setting[int]) -> None:
    with pytest.raises(RuntimeError, match="declared twice"):
        platform.flag(length.key, "", about="", group=GROUP, default=True)


def test_every_declared_setting_reads_as_a_sentence_and_has_a_name_of_its_room() -> None:
    settings = platform.declared()
    assert len(settings) >= 20
    for setting in settings:
        assert setting.key.count(".") == 2, setting.key
        assert setting.about.endswith("."), setting.key
        assert setting.label[0].isupper(), setting.key
        assert setting.kind.parse(setting.show(setting.default)) == setting.default, setting.key
    assert next(g.key for g in platform.groups()) == "sessions"


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        (kinds.Flag(), " On ", True),
        (kinds.Integer(0, 9_999_999), "1,000,000", 1_000_000),
        (kinds.Limit(10), "", None),
        (kinds.Limit(10), "no limit", None),
        (kinds.Limit(10), "0", 0),
        (kinds.Duration(timedelta(), timedelta(days=9)), "1 h 30 min", timedelta(minutes=90)),
        (kinds.Duration(timedelta(), timedelta(days=9)), "15min", timedelta(minutes=15)),
        (kinds.Host(), "Mail.Example.ORG.", "mail.example.org"),
        (kinds.Host(), "2001:db8::1", "2001:db8::1"),
        (kinds.Email(), " Ops@Example.org ", "ops@example.org"),
        (
            kinds.Networks(),
            "192.0.2.0/24,\n2001:db8::/32 192.0.2.0/24",
            (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")),
        ),
    ],
)
def test_what_people_type_is_understood(
    kind: kinds.Kind[object], text: str, wanted: object
) -> None:
    assert kind.parse(text) == wanted


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (kinds.Flag(), "maybe"),
        (kinds.Integer(1, 5), "6"),
        (kinds.Integer(1, 5), "2.5"),
        (kinds.Integer(1, 5), "9" * 30),
        (kinds.Limit(10), "-1"),
        (kinds.Duration(timedelta(), timedelta(days=9)), "15"),
        (kinds.Duration(timedelta(), timedelta(days=9)), "10 d"),
        (kinds.Duration(timedelta(), timedelta(days=9)), "1 fortnight"),
        (kinds.Duration(timedelta(), timedelta(days=9)), "999999999 d 999999999 d"),
        (kinds.Text(5, optional=False), "  "),
        (kinds.Text(5, optional=True), "123456"),
        (kinds.Text(50, optional=True), "two\nlines"),
        (kinds.Choice((("a", "A"),)), "b"),
        (kinds.Email(), "nobody"),
        (kinds.Host(), "https://mail.example.org"),
        (kinds.Host(), "mail.example.org:25"),
        (kinds.Host(), "-bad.example"),
        (kinds.Networks(), "192.0.2.1/24"),
        (kinds.Networks(), "example.org"),
        (kinds.Networks(), "::ffff:192.0.2.0/120"),
        (kinds.Secret(), "a\nb"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(
    kind: kinds.Kind[object], text: str
) -> None:
    with pytest.raises(ValueError, match=r"\w.*\.$"):
        kind.parse(text)


@given(st.timedeltas(timedelta(), timedelta(days=400)).map(lambda t: t - t % timedelta(seconds=1)))
def test_a_duration_survives_its_text(span: timedelta) -> None:
    kind = kinds.Duration(timedelta(), timedelta(days=400))
    assert kind.parse(kind.show(span)) == span


def test_a_bad_variable_names_itself(
    length: platform.Setting[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(length.variable, "x")
    with pytest.raises(SettingError, match="QCLOUD_KERNEL_TEST_LENGTH: A whole number"):
        platform.check_environment()
