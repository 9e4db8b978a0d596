"""`GET /api/usage`: what the customer did this month and what is left."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from hermes.billing.plans import UNLIMITED, plan_of
from hermes.billing.quota import Quotas, month_end, month_of
from hermes.billing.usage import UsageLedger
from hermes.identity.caller import Caller
from hermes.routing import RoomRouter

Month = Annotated[
    str | None, Query(pattern=r"^2[0-9]{3}-(0[1-9]|1[0-2])$", description="`YYYY-MM`, UTC; default: now.")
]


class UsageReport(BaseModel):
    """A customer's usage of one calendar month (UTC)."""

    customer_id: str
    month: str
    plan: str
    used: int
    limit: int | None
    remaining: int | None
    resets_at: datetime
    calls_per_minute: int
    by_tool: dict[str, int]


async def usage_report(caller: Caller, ledger: UsageLedger, quotas: Quotas, month: str | None) -> UsageReport:
    """The caller's usage of a month; what is on its way to SQL is moved there first, so the figures are exact."""
    now = datetime.now(UTC)
    wanted = month or month_of(now)
    await ledger.flush()
    by_tool = await ledger.by_tool(caller.customer_id, wanted)
    plan = plan_of(caller.plan)
    used = by_tool.total()
    limited = plan.monthly_calls != UNLIMITED
    taken = await quotas.used(caller.customer_id, wanted) if limited and wanted == month_of(now) else used
    return UsageReport(
        customer_id=caller.customer_id,
        month=wanted,
        plan=plan.name,
        used=used,
        limit=plan.monthly_calls if limited else None,
        remaining=max(plan.monthly_calls - taken, 0) if limited else None,
        resets_at=month_end(datetime.strptime(wanted, "%Y-%m").replace(tzinfo=UTC)),
        calls_per_minute=plan.calls_per_minute,
        by_tool=dict(sorted(by_tool.items())),
    )


def build_router(
    ledger: UsageLedger, quotas: Quotas, current_caller: Callable[..., Any], acting_for: Callable[..., Any]
) -> APIRouter:
    """The customer's own usage, and the operator's look at one customer's.

    Args:
        current_caller: dependency that gives the caller.
        acting_for: dependency that gives the operator acting for the customer in the path.
    """
    router = RoomRouter(tags=["usage"])

    @router.get("/api/usage")
    async def usage(caller: Annotated[Caller, Depends(current_caller)], month: Month = None) -> UsageReport:
        """What was used this month and what is left."""
        return await usage_report(caller, ledger, quotas, month)

    @router.get("/api/admin/customers/{customer_id}/usage")
    async def usage_of(caller: Annotated[Caller, Depends(acting_for)], month: Month = None) -> UsageReport:
        """What one customer used."""
        return await usage_report(caller, ledger, quotas, month)

    return router
