"""Whose API a host is: the vendor of an outgoing request."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final

# What people call the vendor, by the domain its API answers under.
_NAMES: Final = {
    "adyen.com": "Adyen",
    "airtable.com": "Airtable",
    "algolia.net": "Algolia",
    "amazonaws.com": "Amazon Web Services",
    "anthropic.com": "Anthropic",
    "apple.com": "Apple",
    "atlassian.net": "Atlassian",
    "auth0.com": "Auth0",
    "azure.com": "Microsoft Azure",
    "cloudflare.com": "Cloudflare",
    "datadoghq.com": "Datadog",
    "dropboxapi.com": "Dropbox",
    "facebook.com": "Meta",
    "github.com": "GitHub",
    "gitlab.com": "GitLab",
    "googleapis.com": "Google",
    "hubapi.com": "HubSpot",
    "intercom.io": "Intercom",
    "mailgun.net": "Mailgun",
    "microsoft.com": "Microsoft",
    "microsoftonline.com": "Microsoft",
    "mistral.ai": "Mistral",
    "newrelic.com": "New Relic",
    "openai.com": "OpenAI",
    "paypal.com": "PayPal",
    "salesforce.com": "Salesforce",
    "segment.io": "Segment",
    "sendgrid.com": "SendGrid",
    "sentry.io": "Sentry",
    "shopify.com": "Shopify",
    "slack.com": "Slack",
    "snowflakecomputing.com": "Snowflake",
    "stripe.com": "Stripe",
    "twilio.com": "Twilio",
    "windows.net": "Microsoft Azure",
    "zendesk.com": "Zendesk",
}
# Second-level labels below which registries hand out names.
_REGISTRY: Final = frozenset({"ac", "co", "com", "edu", "gov", "net", "org"})


_LONGEST_NAME: Final = 253
"""Characters of a name in DNS; RFC 1035, 2.3.4."""


def vendor_of(host: str) -> str:
    """The vendor's name, else the host's registered domain, else the host itself.

    The domain is a guess by shape (``a.example.co.uk`` → ``example.co.uk``); empty for an
    empty host.
    """
    # What is no name anyway is not remembered: agents choose it, and it may be long.
    return _remembered(host) if len(host) <= _LONGEST_NAME else _worked_out(host)


@lru_cache(maxsize=20_000)
def _remembered(host: str) -> str:
    return _worked_out(host)


def _worked_out(host: str) -> str:
    if not host or _is_address(host):
        return host
    labels = host.rstrip(".").lower().split(".")
    size = 3 if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _REGISTRY else 2
    domain = ".".join(labels[-size:])
    return _NAMES.get(domain, domain)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
