"""The errors for what the admitting script refused, and for what nobody expected."""

from __future__ import annotations

import structlog

from hermes.billing.plans import Plan
from hermes.billing.quota import month_end
from hermes.errors import HermesError, Internal, OutcomeUnknown, QuotaExceeded, RateLimited
from hermes.gateway.admission import Admission, Admissions
from hermes.platforms.base import Effect, Tool

log = structlog.get_logger(__name__)


def limit_refusal(admission: Admission, admissions: Admissions, plan: Plan, tool: Tool) -> HermesError:
    """What the limit is, when it resets and how to raise it."""
    if admission.status == "quota_exceeded":
        resets_at = month_end(admissions.now())
        return QuotaExceeded(
            f"The {plan.name} plan's {plan.monthly_calls} calls of this month are used up. They start anew at "
            f"{resets_at.isoformat()}; a larger plan raises the limit now.",
            limit=plan.monthly_calls,
            used=int(admission.detail[0]),
            resets_at=resets_at.isoformat(),
            retry_after=round((resets_at - admissions.now()).total_seconds(), 1),
        )
    wait = round(float(admission.detail[0]) / 1000 + 0.05, 1)
    if admission.status == "rate_limited":
        return RateLimited(
            f"The {plan.name} plan allows {plan.calls_per_minute} calls per minute. Try again in {wait} s; a larger "
            "plan raises the limit.",
            retry_after=wait,
            limited_by="plan",
        )
    return RateLimited(
        f"{tool.platform} allows no more requests for this account right now. Try again in {wait} s.",
        retry_after=wait,
        limited_by=tool.platform,
    )


def unexpected(error: Exception, tool: Tool, *, may_have_acted: bool) -> HermesError:
    """The error for a fault of ours: never its own text, which may hold anything.

    A write that may have reached the platform has an unknown outcome, whatever our fault was.
    """
    log.error("tool_failed", tool=tool.name, error=type(error).__name__, exc_info=error)
    if may_have_acted and tool.effect is not Effect.READ:
        return OutcomeUnknown(
            "Something went wrong after the request may have been received. It is not sent again by itself; check on "
            "the platform before repeating it.",
            detail=type(error).__name__,
        )
    return Internal(
        "Something went wrong inside the gateway; nothing was changed. Try again, and tell the operator the call_id if "
        "it stays so.",
        detail=type(error).__name__,
        nothing_sent=not may_have_acted,
    )
