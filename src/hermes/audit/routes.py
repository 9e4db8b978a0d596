"""`GET /api/audit`: the customer's own trail."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from hermes.audit.trail import Trail
from hermes.errors import InvalidArguments
from hermes.identity.caller import Caller
from hermes.routing import RoomRouter

_DEFAULT_DAYS = 7
_MOST_DAYS = 366
"""No plan keeps a line for longer, and each day of a range is looked up by itself."""

Since = Annotated[date | None, Query(description="First day, UTC; default: seven days up to `until`.")]
Until = Annotated[date | None, Query(description="Last day, UTC; default: today.")]
Limit = Annotated[int, Query(ge=1, le=500)]


class AuditCaller(BaseModel):
    """Who called: `kind` is `customer` or `operator`, `id` the key used, `client` what it calls itself."""

    kind: str
    id: str
    client: str | None


class AuditApproval(BaseModel):
    """The approval that a call waited for; once given, `by` whom (a session or key) and `via` `page` or `client`."""

    id: str
    by: str | None = None
    via: str | None = None


class AuditEntry(BaseModel):
    """One line of the trail (contract.md, "Audit entries")."""

    id: str
    at: datetime
    caller: AuditCaller
    tool: str
    account: str | None
    arguments: dict[str, Any]
    outcome: str
    error: str | None
    duration_ms: float
    request_id: str | None
    approval: AuditApproval | None = None


class AuditPage(BaseModel):
    """Entries, newest first; `next_cursor` is absent on the last page."""

    entries: list[AuditEntry]
    next_cursor: str | None = None


async def audit_page(
    trail: Trail, caller: Caller, since: date | None, until: date | None, limit: int, cursor: str | None
) -> AuditPage:
    """A page of the caller's trail.

    Raises:
        InvalidArguments: the days are the wrong way round, or the cursor is not one of ours.
    """
    today = datetime.now(UTC).date()
    oldest = today - timedelta(days=_MOST_DAYS)
    last = max(min(until or today, today), oldest)
    first = since or last - timedelta(days=_DEFAULT_DAYS - 1)
    if since is not None and since > (until or today):
        raise InvalidArguments(
            "`since` must not be after `until`.", fields=[{"field": "since", "problem": "must not be after until"}]
        )
    try:
        page = await trail.page(caller.customer_id, limit=limit, cursor=cursor, since=max(first, oldest), until=last)
    except ValueError:
        problem = "must be the next_cursor of the page before"
        raise InvalidArguments(f"`cursor` {problem}.", fields=[{"field": "cursor", "problem": problem}]) from None
    return AuditPage(entries=[AuditEntry(**entry) for entry in page.entries], next_cursor=page.cursor)


def build_router(trail: Trail, current_caller: Callable[..., Any], acting_for: Callable[..., Any]) -> APIRouter:
    """The customer's own trail, and the operator's look at one customer's."""
    router = RoomRouter(tags=["audit"])

    @router.get("/api/audit")
    async def audit(
        caller: Annotated[Caller, Depends(current_caller)],
        since: Since = None,
        until: Until = None,
        limit: Limit = 100,
        cursor: str | None = None,
    ) -> AuditPage:
        """Your audit trail, newest first."""
        return await audit_page(trail, caller, since, until, limit, cursor)

    @router.get("/api/admin/customers/{customer_id}/audit")
    async def audit_of(
        caller: Annotated[Caller, Depends(acting_for)],
        since: Since = None,
        until: Until = None,
        limit: Limit = 100,
        cursor: str | None = None,
    ) -> AuditPage:
        """A customer's audit trail, newest first."""
        return await audit_page(trail, caller, since, until, limit, cursor)

    return router
