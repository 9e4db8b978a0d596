"""`/api/approvals` and `/api/approval-rules`: what waits for a person, and what they want to be asked about.

Everybody who calls tools can read; only a person who is signed in decides and sets rules.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, status
from pydantic import BaseModel, ConfigDict

from hermes.errors import HermesError
from hermes.gateway.approval_desk import ApprovalDesk
from hermes.gateway.approval_rows import MOST_SHOWN
from hermes.gateway.approval_rules import RuleBook
from hermes.gateway.models import ApprovalRow
from hermes.identity.approval_rules import ApprovalRules, Rule, SetBy
from hermes.identity.caller import Caller
from hermes.identity.ids import from_cursor, to_cursor
from hermes.observability.logs import request_id_of
from hermes.routing import RoomRouter

Door = Callable[..., Any]
Status = Literal["pending", "approved", "running", "done", "denied", "expired", "outcome_unknown"]
ApprovalId = Annotated[str, Path(pattern=r"^apv_[0-9a-z]{26}$", description="The `approval_id` of the refused call.")]
Target = Annotated[str, Path(max_length=128, description="A tool, `platform:account`, or a platform.")]


class AskedBy(BaseModel):
    """Whose call it is: `id` is the key used, `client` what it calls itself."""

    kind: str
    via: str
    id: str
    client: str | None


class ApprovalView(BaseModel):
    """A call that waits, or waited, for the customer's yes. `call_id` is of the call that ran it."""

    id: str
    status: Status
    tool: str
    platform: str
    account: str
    asked_by: AskedBy
    approve_url: str
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    decided_via: str | None
    call_id: str | None
    finished_at: datetime | None


class ApprovalDetail(ApprovalView):
    """The same with its arguments as the audit trail shows them, and what came of it: `result`, or `problem`."""

    arguments: dict[str, Any]
    result: dict[str, Any] | None
    problem: dict[str, Any] | None


class ApprovalPage(BaseModel):
    """Approvals, newest first; `next_cursor` is absent on the last page."""

    approvals: list[ApprovalView]
    next_cursor: str | None = None


class RuleView(BaseModel):
    """A rule: for a tool, an account (`platform:label`), or a platform."""

    model_config = ConfigDict(from_attributes=True)

    target: str
    rule: Rule
    set_by: SetBy


class RuleList(BaseModel):
    """All rules. A tool's beats the account's, which beats the platform's; where there is none, all is allowed."""

    rules: list[RuleView]

    @classmethod
    def of(cls, rules: ApprovalRules) -> "RuleList":
        return cls(rules=[RuleView.model_validate(rule) for rule in rules.each])


class RuleRequest(BaseModel):
    """What is to be done with calls of the target."""

    model_config = ConfigDict(extra="forbid")

    rule: Rule


def build_approvals_router(desk: ApprovalDesk, tool_caller: Door, customer_only: Door) -> APIRouter:
    """The customer's approvals.

    Args:
        tool_caller: dependency that gives whoever calls.
        customer_only: dependency that gives a customer, no assistant of theirs.
    """
    router = RoomRouter(prefix="/api/approvals", tags=["approvals"])

    @router.get("")
    async def list_approvals(
        caller: Annotated[Caller, Depends(tool_caller)],
        status: Annotated[Status | None, Query(description="Only those of this status.")] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_SHOWN)] = 50,
        cursor: Annotated[str | None, Query(max_length=200)] = None,
    ) -> ApprovalPage:
        """Calls that wait, or waited, for your yes; an assistant sees those that it asked for."""
        before = None if cursor is None else from_cursor(cursor)
        rows = await desk.page(caller, status=status, before=before, limit=limit)
        more = to_cursor(rows[-1].id) if len(rows) == limit else None
        return ApprovalPage(approvals=[ApprovalView(**_members(desk, row)) for row in rows], next_cursor=more)

    @router.get("/{approval_id}")
    async def show_approval(approval_id: ApprovalId, caller: Annotated[Caller, Depends(tool_caller)]) -> ApprovalDetail:
        """How one of them stands."""
        return await _detail(desk, await desk.find(caller, approval_id))

    @router.post("/{approval_id}/approve")
    async def approve(
        approval_id: ApprovalId, caller: Annotated[Caller, Depends(customer_only)], request: Request
    ) -> ApprovalDetail:
        """Approve a call and run it, once. Takes a session: no API key and no assistant can."""
        row = await desk.decide(caller, approval_id, yes=True, request_id=request_id_of(request.scope))
        return await _detail(desk, row)

    @router.post("/{approval_id}/deny")
    async def deny(
        approval_id: ApprovalId, caller: Annotated[Caller, Depends(customer_only)], request: Request
    ) -> ApprovalDetail:
        """Deny a call; nothing is sent. Takes a session."""
        row = await desk.decide(caller, approval_id, yes=False, request_id=request_id_of(request.scope))
        return await _detail(desk, row)

    return router


def build_rules_router(book: RuleBook, tool_caller: Door, customer_only: Door, acting_for: Door) -> APIRouter:
    """The customer's own rules, and the operator's for one customer.

    Args:
        tool_caller: dependency that gives whoever calls.
        customer_only: dependency that gives a customer, no assistant of theirs.
        acting_for: dependency that gives the operator acting for the customer in the path.
    """
    router = RoomRouter(tags=["approvals"])
    of_customer = "/api/admin/customers/{customer_id}/approval-rules"

    @router.get("/api/approval-rules")
    async def list_rules(caller: Annotated[Caller, Depends(tool_caller)]) -> RuleList:
        """What you want to be asked about, and what is never to be done."""
        return RuleList.of(ApprovalRules() if caller.single_user else await book.of(caller.customer_id))

    @router.put("/api/approval-rules/{target}")
    async def set_rule(
        target: Target, wanted: RuleRequest, caller: Annotated[Caller, Depends(customer_only)]
    ) -> RuleList:
        """Set a rule; it counts within five seconds everywhere. Takes a session."""
        return RuleList.of(await book.set(caller.customer_id, target, wanted.rule, by=caller))

    @router.delete("/api/approval-rules/{target}", status_code=status.HTTP_204_NO_CONTENT)
    async def remove_rule(target: Target, caller: Annotated[Caller, Depends(customer_only)]) -> None:
        """Take a rule away. Takes a session."""
        await book.remove(caller.customer_id, target, by=caller)

    @router.get(of_customer, tags=["operator"])
    async def list_rules_of(caller: Annotated[Caller, Depends(acting_for)]) -> RuleList:
        """A customer's rules."""
        return RuleList.of(await book.of(caller.customer_id))

    @router.put(of_customer + "/{target}", tags=["operator"])
    async def set_rule_of(
        target: Target, wanted: RuleRequest, caller: Annotated[Caller, Depends(acting_for)]
    ) -> RuleList:
        """Set a rule for a customer."""
        return RuleList.of(await book.set(caller.customer_id, target, wanted.rule, by=caller))

    @router.delete(of_customer + "/{target}", tags=["operator"], status_code=status.HTTP_204_NO_CONTENT)
    async def remove_rule_of(target: Target, caller: Annotated[Caller, Depends(acting_for)]) -> None:
        """Take a customer's rule away."""
        await book.remove(caller.customer_id, target, by=caller)

    return router


def _members(desk: ApprovalDesk, row: ApprovalRow) -> dict[str, Any]:
    asked_by = AskedBy(kind=row.caller["kind"], via=row.caller["via"], id=row.key_id, client=row.caller["client"])
    members = {name: getattr(row, name) for name in ApprovalView.model_fields if hasattr(row, name)}
    return {**members, "asked_by": asked_by, "approve_url": desk.approvals.url(row.id), "call_id": row.run_id}


async def _detail(desk: ApprovalDesk, row: ApprovalRow) -> ApprovalDetail:
    outcome = desk.approvals.result(row)
    return ApprovalDetail(
        **_members(desk, row),
        arguments=desk.redacted(row),
        result=outcome if isinstance(outcome, dict) else None,
        problem=outcome.as_dict() if isinstance(outcome, HermesError) else None,
    )
