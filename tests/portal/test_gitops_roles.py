"""What the seed document on GitOps says of Viewers, word by word; Editors and Admins likewise.

“Set most users to Viewer role; reserve Admin or Editor roles for config managers.”
"""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from django.test import Client

from fleet.selectors import config_document, object_store_of
from identity.selectors import staff
from qcloud.kernel.permissions import Permission
from qcloud.kernel.scope import scoped
from tests.factories.cast import Person, hire
from tests.portal.conftest import sign_in
from tests.portal.world import World

DASHBOARDS = ("", "start", "live", "requests", "vendors", "environments", "agents")


@pytest.fixture
def viewer(world: World, customer_viewer: Person) -> Client:  # noqa: ARG001
    return sign_in(customer_viewer)


def configuration(owner: Person, world: World) -> tuple[object, object]:
    with scoped(owner.scope):
        return config_document(world.environment_id), object_store_of(world.environment_id)


def refused(client: Client, path: str, form: dict[str, str]) -> None:
    answer = client.post(path, form)
    assert answer.status_code == 403, path
    assert "An owner or administrator of the account can grant it" in answer.content.decode()


# --- Viewers can


def test_viewers_can_access_all_dashboards_and_visualizations(viewer: Client) -> None:
    for page in DASHBOARDS:
        assert viewer.get(f"/c/acme/{page}").status_code == 200, page
    assert "<svg" in viewer.get("/c/acme/live").content.decode()


def test_viewers_can_search_captured_objects(viewer: Client, world: World) -> None:
    found = viewer.get("/c/acme/requests", {"q": str(world.request_id)}).content.decode()
    assert str(world.request_id) in found


def test_viewers_can_view_captured_objects(viewer: Client, world: World) -> None:
    shown = viewer.get(f"/c/acme/requests/{world.request_id}")
    assert shown.context["body"].transaction is not None
    assert shown.context["may_read_body"] is True


def test_viewers_can_see_alerts(customer_viewer: Person) -> None:
    assert Permission.PULSE_ALERT_READ in customer_viewer.actor.permissions


def test_viewers_can_see_issues(customer_viewer: Person) -> None:
    assert Permission.PULSE_ISSUE_READ in customer_viewer.actor.permissions


# --- Viewers cannot


def test_viewers_cannot_modify_stacks_or_plugins(
    viewer: Client, world: World, customer_owner: Person
) -> None:
    before = configuration(customer_owner, world)
    path = f"/c/acme/environments/{world.environment_id}/capture"
    refused(viewer, path, {"capture_level": "none"})
    assert configuration(customer_owner, world) == before


def test_viewers_cannot_change_capture_rules(
    viewer: Client, world: World, customer_owner: Person
) -> None:
    before = configuration(customer_owner, world)
    refused(viewer, "/c/acme/environments", {"name": "Mine", "slug": "mine"})
    shown = viewer.get(f"/c/acme/environments/{world.environment_id}").content.decode()
    assert 'name="capture_level"' not in shown
    assert configuration(customer_owner, world) == before


def test_viewers_cannot_alter_endpoint_configurations(
    viewer: Client, world: World, customer_owner: Person
) -> None:
    before = configuration(customer_owner, world)
    path = f"/c/acme/environments/{world.environment_id}/store"
    refused(viewer, path, {"path": "/srv/elsewhere"})
    assert configuration(customer_owner, world) == before


def test_viewers_cannot_do_anything_at_all(customer_viewer: Person) -> None:
    writes = {p.value for p in customer_viewer.actor.permissions if not p.endswith(":read")}
    assert writes == set()


# --- Editors and Admins manage the configuration


@pytest.mark.parametrize("role", ["editor", "admin"])
def test_config_managers_can_modify_what_is_captured(
    world: World, customer_owner: Person, role: str
) -> None:
    person = hire(customer_owner.account, role, "manager@acme.example", customer_owner.actor)
    client = sign_in(person)
    before = configuration(customer_owner, world)
    path = f"/c/acme/environments/{world.environment_id}/capture"
    assert client.post(path, {"capture_level": "headers"}).status_code == 302
    assert configuration(customer_owner, world) != before


def test_editors_cannot_create_or_revoke_tokens(
    world: World, customer_owner: Person, customer_teammate: Person
) -> None:
    del customer_owner
    client, place = sign_in(customer_teammate), f"/c/acme/environments/{world.environment_id}"
    refused(client, f"{place}/tokens", {"name": "mine"})
    refused(client, f"{place}/tokens/{world.token_id}/revoke", {"confirm": "rack 4"})


def test_admins_can_create_tokens_and_cannot_manage_people(
    world: World, customer_owner: Person
) -> None:
    admin = hire(customer_owner.account, "admin", "ann@acme.example", customer_owner.actor)
    client = sign_in(admin)
    path = f"/c/acme/environments/{world.environment_id}/tokens"
    assert client.post(path, {"name": "mine"}).status_code == 200
    before = {s.email for s in staff(customer_owner.scope)}
    refused(client, "/c/acme/staff", {"email": "new@acme.example", "role": "viewer"})
    refused(client, "/c/acme/roles", {"name": "Mine", "permission": "audit:log:read"})
    assert {s.email for s in staff(customer_owner.scope)} == before


def test_editors_read_no_journal_and_no_invoice(
    world: World,  # noqa: ARG001
    customer_teammate: Person,
) -> None:
    client = sign_in(customer_teammate)
    for page in ("audit", "invoices", "usage"):
        answer = client.get(f"/c/acme/{page}?{urlencode({'q': ''})}")
        assert answer.status_code == 403, page
