"""The menus of the three portals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from qcloud.kernel.permissions import Permission as P


@dataclass(frozen=True)
class Item:
    name: str
    """Of the page, without its portal."""
    label: str
    icon: str
    permission: P
    key: str
    """Letter after ``g``."""


@dataclass(frozen=True)
class Group:
    title: str
    items: tuple[Item, ...]


MENUS: Final[dict[str, tuple[Group, ...]]] = {
    "c": (
        Group(
            "",
            (
                Item("overview", "Overview", "overview", P.PULSE_OVERVIEW_READ, "o"),
                Item("start", "Start", "rocket", P.FLEET_ENVIRONMENT_READ, "s"),
            ),
        ),
        Group(
            "Traffic",
            (
                Item("live", "Live", "live", P.PULSE_TRAFFIC_READ, "l"),
                Item("requests", "Requests", "requests", P.PULSE_REQUEST_READ, "r"),
            ),
        ),
        Group("Data", (Item("vendors", "Vendors", "vendors", P.PULSE_VENDOR_READ, "v"),)),
        Group(
            "Agents",
            (
                Item("environments", "Environments", "environments", P.FLEET_ENVIRONMENT_READ, "e"),
                Item("agents", "Agents", "agents", P.FLEET_AGENT_READ, "a"),
            ),
        ),
        Group(
            "Billing",
            (
                Item("usage", "Usage", "usage", P.BILLING_USAGE_READ, "u"),
                Item("invoices", "Invoices", "invoice", P.BILLING_INVOICE_READ, "i"),
            ),
        ),
        Group("Settings", (Item("audit", "Audit log", "audit", P.AUDIT_LOG_READ, "t"),)),
    ),
    "r": (
        Group("", (Item("overview", "Overview", "overview", P.IDENTITY_ACCOUNT_READ, "o"),)),
        Group(
            "Customers",
            (
                Item("customers", "Customers", "customers", P.IDENTITY_ACCOUNT_READ, "c"),
                Item("usage", "Usage", "usage", P.BILLING_USAGE_READ, "u"),
            ),
        ),
        Group(
            "Billing",
            (
                Item("books", "Price books", "book", P.BILLING_BOOK_READ, "p"),
                Item("invoices", "Invoices", "invoice", P.BILLING_INVOICE_READ, "i"),
            ),
        ),
        Group("Settings", (Item("audit", "Audit log", "audit", P.AUDIT_LOG_READ, "t"),)),
    ),
    "admin": (
        Group("", (Item("overview", "Overview", "overview", P.IDENTITY_ACCOUNT_READ, "o"),)),
        Group(
            "Accounts",
            (
                Item("accounts", "Accounts", "tree", P.IDENTITY_ACCOUNT_READ, "a"),
                Item("usage", "Usage", "usage", P.BILLING_USAGE_READ, "u"),
            ),
        ),
        Group(
            "Billing",
            (
                Item("books", "Price books", "book", P.BILLING_BOOK_READ, "p"),
                Item("invoices", "Invoices", "invoice", P.BILLING_INVOICE_READ, "i"),
            ),
        ),
        Group("Platform", (Item("health", "Health", "health", P.QCLOUD_PLATFORM_READ, "h"),)),
        Group("Security", (Item("audit", "Audit log", "audit", P.AUDIT_LOG_READ, "t"),)),
    ),
}
