"""What each plan allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class Plan:
    """One plan.

    Attributes:
        monthly_calls: successful calls per calendar month (UTC), or `UNLIMITED`.
        calls_per_minute: how fast; the whole minute's calls may come at once, and they come back evenly.
        platforms: ids of the platforms it includes; empty: every platform.
        audit_days: how long the audit trail is kept, at least 90.
    """

    name: str
    monthly_calls: int
    calls_per_minute: int
    platforms: frozenset[str]
    audit_days: int

    def includes(self, platform: str) -> bool:
        return not self.platforms or platform in self.platforms


PLANS: Mapping[str, Plan] = {
    plan.name: plan
    for plan in (
        Plan("free", 100, 10, frozenset({"email", "obsidian", "telegram", "discord"}), 90),
        Plan("starter", 5_000, 60, frozenset(), 90),
        Plan("growth", 50_000, 600, frozenset(), 180),
        Plan("enterprise", UNLIMITED, 6_000, frozenset(), 365),
    )
}

OPERATOR_PLAN = Plan("operator", UNLIMITED, 0, frozenset(), 90)
"""Single-user mode: the operator's own calls are audited and counted, and not limited."""


def plan_of(name: str) -> Plan:
    """The plan by name; `operator` is the operator's own."""
    return OPERATOR_PLAN if name == OPERATOR_PLAN.name else PLANS[name]
