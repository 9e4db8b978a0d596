"""`GET /api/calls/{id}`: what became of a call, also after `outcome_unknown`."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path

from hermes.gateway.lookup import CallLookup, CallStatus
from hermes.identity.caller import Caller
from hermes.routing import RoomRouter

CallId = Annotated[str, Path(pattern=r"^call_[0-9a-f]{32}$", description="The `call_id` that the call answered.")]


def build_router(lookup: CallLookup, current_caller: Callable[..., Any], acting_for: Callable[..., Any]) -> APIRouter:
    """The customer's own calls, and the operator's look at one customer's."""
    router = RoomRouter(tags=["calls"])

    @router.get("/api/calls/{call_id}")
    async def call(call_id: CallId, caller: Annotated[Caller, Depends(current_caller)]) -> CallStatus:
        """What became of a call of yours."""
        return await lookup.find(caller, call_id)

    @router.get("/api/admin/customers/{customer_id}/calls/{call_id}")
    async def call_of(call_id: CallId, caller: Annotated[Caller, Depends(acting_for)]) -> CallStatus:
        """What became of a customer's call."""
        return await lookup.find(caller, call_id)

    return router
