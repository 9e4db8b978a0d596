"""Audit lines of what is not a tool's call: linking and unlinking accounts, and the like."""

from __future__ import annotations

from hermes.audit.trail import new_call_id
from hermes.billing.plans import plan_of
from hermes.billing.quota import month_of
from hermes.gateway.admission import Admissions, Call, Outcome
from hermes.identity.caller import Caller


class ActionTrail:
    """Writes one line to a customer's trail per action. Actions are not charged."""

    def __init__(self, admissions: Admissions) -> None:
        self._admissions = admissions

    async def record(
        self,
        customer_id: str,
        caller: Caller,
        action: str,
        account: str | None = None,
        outcome: Outcome = "success",
        **details: str,
    ) -> None:
        """Write the line.

        Args:
            action: what was done, e.g. `connection.connect`; stands where a call has its tool.
            caller: who did it; the operator acting for the customer shows as the operator.
            details: names and ids; they stand where a call has its arguments.
        """
        now = self._admissions.now()
        call_id = new_call_id()
        entry = {
            "id": call_id,
            "at": now.isoformat(),
            "caller": {"kind": caller.kind, "id": caller.key_id, "client": caller.client},
            "tool": action,
            "account": account,
            "arguments": details,
            "request_id": None,
        }
        call = Call(
            id=call_id,
            customer_id=customer_id,
            tool=action,
            platform=details.get("platform", ""),
            month=month_of(now),
            counted=False,
            audit_days=plan_of(caller.plan).audit_days,
            entry=entry,
            billable=False,
        )
        await self._admissions.settle(call, outcome, error=None, duration=0.0)
