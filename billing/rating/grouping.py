"""From gathered usage and terms to the lines of an invoice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from billing.rating.exact import to_decimal
from billing.rating.prices import Model, Terms
from billing.rating.rate import Charge, Rated, rate
from billing.rating.usage import Counts, Metric, Source

DIRECTIONS: Final = {
    Metric.REQUESTS_INGRESS: "ingress",
    Metric.REQUESTS_EGRESS_INTERNAL: "egress-internal",
    Metric.REQUESTS_EGRESS_EXTERNAL: "egress-external",
}
"""As events spell them (``wire.events.Direction``). The other metrics count them all."""


@dataclass(frozen=True, slots=True)
class Group:
    """What one line stands for: an environment, or a whole customer of a reseller."""

    account_id: UUID
    environment_id: UUID | None


@dataclass(frozen=True, slots=True)
class Names:
    """Labels frozen into the lines: a customer cannot look up its seller's tree."""

    accounts: Mapping[UUID, str]
    environments: Mapping[UUID, str]

    def of(self, group: Group) -> tuple[str, str]:
        """The group's account and environment as they are printed."""
        environment = group.environment_id
        label = "" if environment is None else self.environments.get(environment, "")
        return self.accounts.get(group.account_id, ""), label or str(environment or "")


def rate_sources(
    terms: Terms, counts: Mapping[Source, Counts], names: Names, *, by_customer: bool
) -> Rated[Group]:
    """Rate an invoice's usage, grouped by customer or by environment, in order of name."""
    grouped: dict[Group, Counts] = {}
    for source, amount in counts.items():
        group = Group(source.account_id, None if by_customer else source.environment_id)
        grouped[group] = grouped.get(group, Counts()) + amount
    order = sorted(grouped, key=lambda g: (*names.of(g), g.account_id, str(g.environment_id)))
    return rate(terms, {group: grouped[group] for group in order})


def line_fields(
    rated: Rated[Group], names: Names, since: datetime, until: datetime
) -> Iterable[dict[str, Any]]:
    """The columns of each line, in the order of the invoice."""
    position = 0
    for charge in rated.charges:
        shared = _charge_fields(charge)
        for line in charge.lines:
            group = line.group
            account, environment = names.of(group) if group else ("", "")
            yield {
                **shared,
                "position": position,
                "quantity": Decimal(line.quantity),
                "amount": line.amount,
                "subject_account_id": group.account_id if group else None,
                "subject_name": account,
                "environment_id": group.environment_id if group else None,
                "environment_label": environment[:120],
                "events_since": since,
                "events_until": until,
            }
            position += 1


def _charge_fields(charge: Charge[Group]) -> dict[str, Any]:
    price = charge.price
    return {
        "price_key": price.key,
        "description": price.description,
        "model": price.model.value,
        "metric": price.metric.value if price.metric else "",
        "direction": DIRECTIONS.get(price.metric, "") if price.metric else "",
        "unit_size": price.unit_size,
        "unit_price": None if price.model is Model.GRADUATED else price.amount,
        "breakdown": breakdown(charge),
    }


def breakdown(charge: Charge[Group]) -> dict[str, Any]:
    """The whole charge as a JSON document; amounts of tiers are not rounded to money."""
    tiers = charge.tiers if charge.price.model is Model.GRADUATED else ()
    return {
        "quantity": charge.quantity,
        "amount": str(charge.amount),
        "tiers": [
            {
                "above": part.above,
                "up_to": part.up_to,
                "quantity": part.quantity,
                "price": str(part.price),
                "amount": str(to_decimal(part.exact)),
            }
            for part in tiers
        ],
    }
