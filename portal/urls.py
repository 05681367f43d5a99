"""Every address of the portals. ``tests/portal/test_urls.py`` walks this map."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.urls import URLPattern, URLResolver, include, path

from portal.views import (
    access,
    account,
    accounts,
    agents,
    alert_channels,
    alert_rules,
    alerts,
    asides,
    audit,
    billing,
    branding,
    delegation,
    deliveries,
    dns,
    environment_changes,
    environments,
    exports,
    factors,
    gallery,
    invitations,
    invoice_usage,
    issues,
    keys,
    mfa,
    my,
    objects,
    overview,
    own_account,
    passwords,
    paths,
    platform,
    platform_settings,
    request,
    requests,
    retention,
    roles,
    search,
    session,
    silences,
    staff,
    start,
    takeout,
    traffic,
    usage,
    vendor,
    vendors,
)

Patterns = list[URLPattern | URLResolver]
_ENVIRONMENT: Final = "environments/<uuid:environment_id>"


def _shared() -> Patterns:
    """What every portal has, under its account."""
    return [
        path("search", search.index, name="search"),
        path("usage", usage.index, name="usage"),
        path("invoices", billing.index, name="invoices"),
        path("invoices/<uuid:invoice_id>", billing.detail, name="invoice"),
        path("invoices/<uuid:invoice_id>/usage", invoice_usage.index, name="invoice-usage"),
        path("invoices/<uuid:invoice_id>/pdf", billing.pdf, name="invoice-pdf"),
        path("audit", audit.index, name="audit"),
        path("deliveries", deliveries.index, name="deliveries"),
        path("deliveries/<uuid:delivery_id>", deliveries.detail, name="delivery"),
        path("deliveries/<uuid:delivery_id>/again", deliveries.again, name="delivery-again"),
        path("staff", staff.index, name="staff"),
        path("staff/<uuid:user_id>", staff.person, name="person"),
        path("staff/<uuid:user_id>/remove", staff.remove, name="person-remove"),
        path("invitations/<uuid:invitation_id>", staff.invited, name="invited"),
        path("invitations/<uuid:invitation_id>/send", staff.resend, name="invitation-resend"),
        path("invitations/<uuid:invitation_id>/revoke", staff.revoke, name="invitation-revoke"),
        path("roles", roles.index, name="roles"),
        path("roles/<uuid:role_id>", roles.detail, name="role"),
        path("roles/<uuid:role_id>/delete", roles.delete, name="role-delete"),
        path("delegated", delegation.index, name="delegated"),
        path("delegated/grants", delegation.grant, name="grant-create"),
        path(
            "delegated/grants/<uuid:grant_id>/revoke", delegation.grant_revoke, name="grant-revoke"
        ),
        path("delegated/<uuid:delegation_id>", delegation.look, name="delegated-look"),
        path("delegated/<uuid:delegation_id>/end", delegation.end, name="delegated-end"),
        path("settings/account", own_account.index, name="own-account"),
        path("settings/account/profile", own_account.profile, name="own-profile"),
        path("settings/account/networks", own_account.networks, name="own-networks"),
        path("access", access.index, name="access"),
        path("access/<uuid:user_id>/unlock", access.unlock, name="name-unlock"),
        path("views", access.view_keep, name="view-keep"),
        path("views/<uuid:view_id>/delete", access.view_drop, name="view-drop"),
        path("my/sign-in", my.index, name="my-sign-in"),
        path("my/sign-in/end", my.sessions_end, name="my-sessions-end"),
        path("my/sign-in/<uuid:session_id>/end", my.session_end, name="my-session-end"),
        path("my/sign-in/password", my.password, name="my-password"),
        path("my/sign-in/factor/remove", my.factor_remove, name="my-factor-remove"),
    ]


def _account(place: str) -> Patterns:
    """One account below the reader's."""
    return [
        path(f"{place}/view", delegation.start, name="account-view"),
        path(place, account.detail, name="account"),
        path(f"{place}/quotas", account.quotas, name="account-quotas"),
        path(f"{place}/networks", account.networks, name="account-networks"),
        path(f"{place}/lifecycle", account.lifecycle, name="account-lifecycle"),
        path(f"{place}/suspend", account.suspend, name="account-suspend"),
        path(f"{place}/resume", account.resume, name="account-resume"),
        path(f"{place}/close", account.close, name="account-close"),
        path(f"{place}/withdraw", account.withdraw, name="account-withdraw"),
    ]


def _takeout() -> Patterns:
    """Its own data, for every account that may end."""
    return [
        path("settings/export", takeout.index, name="takeout"),
        path("settings/export/<uuid:takeout_id>/file", takeout.file, name="takeout-file"),
        path("settings/export/<uuid:takeout_id>/remove", takeout.remove, name="takeout-remove"),
    ]


_alerting: Patterns = [
    path("alerts", alerts.index, name="alerts"),
    path("alerts/incidents/<uuid:incident_id>", alerts.detail, name="incident"),
    path(
        "alerts/incidents/<uuid:incident_id>/acknowledge",
        alerts.acknowledge,
        name="incident-acknowledge",
    ),
    path("alerts/rules", alert_rules.index, name="alert-rules"),
    path("alerts/rules/new", alert_rules.create, name="alert-rule-create"),
    path("alerts/rules/<uuid:rule_id>", alert_rules.detail, name="alert-rule"),
    path("alerts/rules/<uuid:rule_id>/switch", alert_rules.switch, name="alert-rule-switch"),
    path("alerts/rules/<uuid:rule_id>/remove", alert_rules.remove, name="alert-rule-remove"),
    path("alerts/channels", alert_channels.index, name="alert-channels"),
    path("alerts/channels/<uuid:channel_id>", alert_channels.detail, name="alert-channel"),
    path("alerts/silences", silences.index, name="alert-silences"),
    path("alerts/silences/<uuid:silence_id>/end", silences.end, name="silence-end"),
]


def _seller(name: str) -> Patterns:
    """What a reseller and the provider have; ``name`` is that of their list of accounts."""
    return [
        path("", overview.index, name="overview"),
        path(name, accounts.index, name=name),
        *_account(f"{name}/<uuid:account_id>"),
        path("settings/branding", branding.index, name="branding"),
        path("settings/branding/logo", branding.logo, name="branding-logo"),
        path("settings/branding/logo/remove", branding.logo_remove, name="branding-logo-remove"),
        path("settings/branding/reset", branding.reset, name="branding-reset"),
        path("settings/branding/preview.css", branding.preview, name="branding-preview"),
        *_alerting,
        path("price-books", billing.books, name="books"),
        path("price-books/<slug:code>/<int:version>", billing.book, name="book"),
        *_shared(),
    ]


_customer: Patterns = [
    *_alerting,
    path("issues", issues.index, name="issues"),
    path("issues/<uuid:issue_id>", issues.detail, name="issue"),
    path("issues/<uuid:issue_id>/change", issues.change, name="issue-change"),
    path("", traffic.overview, name="overview"),
    path("start", start.index, name="start"),
    path("live", traffic.live, name="live"),
    path("requests", requests.index, name="requests"),
    path("requests/<uuid:request_id>", request.detail, name="request"),
    path("exports", exports.index, name="exports"),
    path("exports/<uuid:export_id>/file", exports.file, name="export-file"),
    path("exports/<uuid:export_id>/remove", exports.remove, name="export-remove"),
    path("objects", objects.index, name="objects"),
    path(
        "objects/<uuid:environment_id>/<slug:digest>/open",
        objects.open_at_store,
        name="object-open",
    ),
    path("paths", paths.index, name="paths"),
    path("paths/<uuid:path_host_id>", paths.detail, name="path-host"),
    path("paths/templates/<uuid:template_id>", paths.change, name="path-template"),
    path("dns", dns.index, name="dns"),
    path("vendors", vendors.index, name="vendors"),
    path("vendors/<uuid:vendor_id>", vendor.detail, name="vendor"),
    path("vendors/<uuid:vendor_id>/callers", vendor.callers_page, name="vendor-callers"),
    path("vendors/<uuid:vendor_id>/paths", vendor.paths_page, name="vendor-paths"),
    path("vendors/<uuid:vendor_id>/review", vendor.review, name="vendor-review"),
    path("environments", environments.index, name="environments"),
    path(_ENVIRONMENT, environments.detail, name="environment"),
    path(f"{_ENVIRONMENT}/tokens", environments.token_create, name="token-create"),
    path(
        f"{_ENVIRONMENT}/tokens/<uuid:token_id>/revoke",
        environments.token_revoke,
        name="token-revoke",
    ),
    path(
        f"{_ENVIRONMENT}/tokens/<uuid:token_id>/reveal",
        environments.token_reveal,
        name="token-reveal",
    ),
    path(f"{_ENVIRONMENT}/capture", environment_changes.capture_set, name="capture-set"),
    path(f"{_ENVIRONMENT}/dns-audit", environment_changes.dns_audit_set, name="dns-audit-set"),
    path(
        f"{_ENVIRONMENT}/certificates",
        environment_changes.certificates_set,
        name="certificates-set",
    ),
    path(f"{_ENVIRONMENT}/store", environment_changes.store_set, name="store-set"),
    path(f"{_ENVIRONMENT}/store-s3", environment_changes.store_s3_set, name="store-s3-set"),
    path("settings/retention", retention.index, name="retention"),
    path("settings/retention/preview", retention.preview, name="retention-preview"),
    path("settings/retention/undo", retention.undo, name="retention-undo"),
    path("settings/retention/holds", retention.hold_list, name="retention-holds"),
    path("settings/retention/holds/<uuid:hold_id>", retention.hold_change, name="retention-hold"),
    path("settings/retention/removals", retention.runs, name="retention-runs"),
    path("agents", agents.index, name="agents"),
    path("agents/<uuid:agent_id>", agents.detail, name="agent"),
    path("agents/<uuid:agent_id>/remove", agents.remove, name="agent-remove"),
    *_takeout(),
    *_shared(),
]

_ways: Patterns = [
    path("sign-in", session.sign_in_page, name="sign-in"),
    path("sign-in/code", factors.code, name="code"),
    path("continue", passwords.go_on, name="continue"),
    path("password", passwords.forgotten, name="password-forgotten"),
    path("password/<str:token>", passwords.chosen, name="password-new"),
    path("set-up", factors.set_up, name="set-up"),
    path("confirm", factors.confirm, name="confirm"),
    path("sign-out", session.sign_out_page, name="sign-out"),
    # One part, so that it is no account's address.
    path("invitation-<str:token>", invitations.invitation, name="invitation"),
]
customer: Patterns = [*_ways, path("<slug:account>/", include(_customer))]
reseller: Patterns = [
    *_ways,
    path("<slug:account>/", include([*_takeout(), *_seller("customers")])),
]
admin: Patterns = [
    *_ways,
    path("health", platform.health, name="health"),
    path("health/refused", asides.index, name="asides"),
    path("health/refused/<uuid:batch_id>", asides.decide, name="aside-decide"),
    path("keys", keys.index, name="keys"),
    path("keys/rotate", keys.rotate, name="keys-rotate"),
    path("mfa", mfa.index, name="mfa"),
    path("mfa/preview", mfa.preview, name="mfa-preview"),
    path("mfa/rules", mfa.rule_set, name="mfa-rule-set"),
    path("mfa/rules/<uuid:rule_id>/remove", mfa.rule_remove, name="mfa-rule-remove"),
    path("mfa/groups", mfa.group_set, name="mfa-group-set"),
    path("mfa/reset", mfa.factors_reset, name="mfa-factors-reset"),
    path("mfa/exemptions", mfa.exempt, name="mfa-exempt"),
    path("mfa/exemptions/<uuid:exemption_id>/end", mfa.exemption_end, name="mfa-exemption-end"),
    *_seller("accounts"),
    path("settings/platform", platform_settings.index, name="settings"),
    path("settings/platform/<slug:key>", platform_settings.group, name="settings-group"),
    path("settings/platform/<slug:key>/reset", platform_settings.reset, name="settings-reset"),
]

urlpatterns: Patterns = [
    path("", session.home, name="home"),
    path("sign-in", session.sign_in_page, name="sign-in"),
    path("accounts", session.accounts, name="accounts"),
    path("preferences", session.preferences, name="preferences"),
    path("healthz", platform.healthz, name="healthz"),
    path("brand/<uuid:account_id>/<slug:digest>.css", branding.style, name="brand-style"),
    path("brand/<uuid:account_id>/<slug:digest>.png", branding.picture, name="brand-logo"),
    path("c/", include((customer, "c"))),
    path("r/", include((reseller, "r"))),
    path("admin/", include((admin, "admin"))),
]

if settings.DEBUG:
    urlpatterns.append(path("gallery", gallery.gallery, name="gallery"))
