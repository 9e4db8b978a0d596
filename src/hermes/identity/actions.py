"""The audit of what is not a tool's call: who changed a customer, a key or a connection."""

from __future__ import annotations

from typing import Literal, Protocol

import structlog
from redis.exceptions import RedisError

from hermes.identity.caller import Caller

log = structlog.get_logger(__name__)

ActionOutcome = Literal["success", "error", "denied"]


class ActionAudit(Protocol):
    """Leaves a line in a customer's trail."""

    async def record(
        self,
        customer_id: str,
        caller: Caller,
        action: str,
        account: str | None = None,
        outcome: ActionOutcome = "success",
        **details: str,
    ) -> None:
        """Write the line: `action` as `connection.connect`, `details` as names and ids."""
        ...


async def audit_action(
    audit: ActionAudit,
    customer_id: str,
    caller: Caller,
    action: str,
    account: str | None = None,
    outcome: ActionOutcome = "success",
    **details: str,
) -> None:
    """Audit what has been done. That it cannot be written is logged: what is done is done, and saying that it failed
    would be the greater lie."""
    try:
        await audit.record(customer_id, caller, action, account, outcome, **details)
    except (RedisError, TimeoutError):
        log.error("action_not_audited", customer_id=customer_id, action=action, outcome=outcome)
