"""The menus of the three portals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from qcloud.kernel.permissions import Permission


@dataclass(frozen=True)
class Item:
    name: str
    """Of the page, without its portal."""
    label: str
    icon: str
    permission: Permission
    key: str
    """Letter after ``g``."""


@dataclass(frozen=True)
class Group:
    title: str
    items: tuple[Item, ...]


_ALERTS: Final = Item("alerts", "Alerts", "warn", Permission.PULSE_ALERT_READ, "m")
_DELIVERIES: Final = Item("deliveries", "Deliveries", "out", Permission.NOTIFY_DELIVERY_READ, "d")
_PEOPLE: Final = (
    Item("staff", "Staff", "user", Permission.IDENTITY_STAFF_READ, "f"),
    Item("roles", "Roles", "key", Permission.IDENTITY_ROLE_READ, "y"),
    Item("delegated", "Delegated access", "link", Permission.IDENTITY_DELEGATION_READ, "w"),
)

MENUS: Final[dict[str, tuple[Group, ...]]] = {
    "c": (
        Group(
            "",
            (
                Item("overview", "Overview", "overview", Permission.PULSE_OVERVIEW_READ, "o"),
                Item("start", "Start", "rocket", Permission.FLEET_ENVIRONMENT_READ, "s"),
            ),
        ),
        Group(
            "Traffic",
            (
                Item("live", "Live", "live", Permission.PULSE_TRAFFIC_READ, "l"),
                Item("requests", "Requests", "requests", Permission.PULSE_REQUEST_READ, "r"),
                Item("dns", "DNS", "dns", Permission.PULSE_TRAFFIC_READ, "q"),
                Item("objects", "Objects", "lock", Permission.PULSE_OBJECT_READ, "j"),
                Item("paths", "Path templates", "link", Permission.PULSE_ROUTE_READ, "z"),
            ),
        ),
        Group("Data", (Item("vendors", "Vendors", "vendors", Permission.PULSE_VENDOR_READ, "v"),)),
        Group(
            "Issues",
            (
                Item("issues", "Issues", "danger", Permission.PULSE_ISSUE_READ, "b"),
                Item("alerts", "Alerts", "warn", Permission.PULSE_ALERT_READ, "m"),
            ),
        ),
        Group(
            "Agents",
            (
                Item(
                    "environments",
                    "Environments",
                    "environments",
                    Permission.FLEET_ENVIRONMENT_READ,
                    "e",
                ),
                Item("agents", "Agents", "agents", Permission.FLEET_AGENT_READ, "a"),
            ),
        ),
        Group(
            "Billing",
            (
                Item("usage", "Usage", "usage", Permission.BILLING_USAGE_READ, "u"),
                Item("invoices", "Invoices", "invoice", Permission.BILLING_INVOICE_READ, "i"),
            ),
        ),
        Group(
            "Settings",
            (
                Item("own-account", "Account", "settings", Permission.IDENTITY_ACCOUNT_READ, "n"),
                Item("retention", "Retention", "clock", Permission.PULSE_RETENTION_READ, "k"),
                *_PEOPLE,
                _DELIVERIES,
                Item("audit", "Audit log", "audit", Permission.AUDIT_LOG_READ, "t"),
                Item("access", "Access log", "out", Permission.AUDIT_ACCESS_READ, "x"),
            ),
        ),
    ),
    "r": (
        Group(
            "", (Item("overview", "Overview", "overview", Permission.IDENTITY_ACCOUNT_READ, "o"),)
        ),
        Group(
            "Customers",
            (
                Item("customers", "Customers", "customers", Permission.IDENTITY_ACCOUNT_READ, "c"),
                Item("usage", "Usage", "usage", Permission.BILLING_USAGE_READ, "u"),
            ),
        ),
        Group(
            "Billing",
            (
                Item("books", "Price books", "book", Permission.BILLING_BOOK_READ, "p"),
                Item("invoices", "Invoices", "invoice", Permission.BILLING_INVOICE_READ, "i"),
            ),
        ),
        Group(
            "Settings",
            (
                Item("own-account", "Account", "settings", Permission.IDENTITY_ACCOUNT_READ, "n"),
                Item("branding", "Branding", "sun", Permission.IDENTITY_BRANDING_WRITE, "d"),
                *_PEOPLE,
                _ALERTS,
                _DELIVERIES,
                Item("audit", "Audit log", "audit", Permission.AUDIT_LOG_READ, "t"),
                Item("access", "Access log", "out", Permission.AUDIT_ACCESS_READ, "x"),
            ),
        ),
    ),
    "admin": (
        Group(
            "", (Item("overview", "Overview", "overview", Permission.IDENTITY_ACCOUNT_READ, "o"),)
        ),
        Group(
            "Accounts",
            (
                Item("accounts", "Accounts", "tree", Permission.IDENTITY_ACCOUNT_READ, "a"),
                Item("usage", "Usage", "usage", Permission.BILLING_USAGE_READ, "u"),
            ),
        ),
        Group(
            "Billing",
            (
                Item("books", "Price books", "book", Permission.BILLING_BOOK_READ, "p"),
                Item("invoices", "Invoices", "invoice", Permission.BILLING_INVOICE_READ, "i"),
            ),
        ),
        Group(
            "Platform",
            (
                Item("health", "Health", "health", Permission.QCLOUD_PLATFORM_READ, "h"),
                _DELIVERIES,
            ),
        ),
        Group(
            "Security",
            (
                *_PEOPLE,
                Item("audit", "Audit log", "audit", Permission.AUDIT_LOG_READ, "t"),
                Item("access", "Access log", "out", Permission.AUDIT_ACCESS_READ, "x"),
                Item("mfa", "MFA", "lock", Permission.IDENTITY_MFA_READ, "m"),
                Item("keys", "Keys", "key", Permission.VAULTSVC_KEY_READ, "k"),
            ),
        ),
        Group(
            "Settings",
            (
                Item("settings", "Platform", "settings", Permission.QCLOUD_SETTINGS_READ, "s"),
                Item("own-account", "Account", "building", Permission.IDENTITY_ACCOUNT_READ, "n"),
                Item("branding", "Branding", "sun", Permission.IDENTITY_BRANDING_WRITE, "d"),
            ),
        ),
    ),
}
